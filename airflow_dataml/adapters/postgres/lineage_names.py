"""Names of datasets and the assets they stand for; nobody's dataset becomes a stub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.catalog_joining import join_assets
from airflow_dataml.core.catalog import schema_of, search_words
from airflow_dataml.core.catalog_search import slips
from airflow_dataml.core.openlineage import DatasetName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.openlineage import ObservedDataset

# Ours by their logical name, whatever server they are on.
_LOGICAL = "dataml"
_KNOWN = """
WITH RECURSIVE named AS (
  SELECT x.i, l.asset_id FROM jsonb_to_recordset(%s) x(i int, ns text, name text)
  JOIN dataml.asset_alias l ON l.namespace = x.ns AND l.name = x.name
  UNION ALL
  SELECT x.i, a.asset_id FROM jsonb_to_recordset(%s) x(i int, name text)
  JOIN dataml.asset a ON a.name = x.name
), followed AS (
  SELECT i, asset_id, 0 AS step FROM named
  UNION ALL
  SELECT f.i, a.merged_into, f.step + 1 FROM followed f JOIN dataml.asset a USING (asset_id)
  WHERE a.merged_into IS NOT NULL AND f.step < 10
)
SELECT f.i, f.asset_id, a.source = 'observed' AS stub
FROM followed f JOIN dataml.asset a USING (asset_id) WHERE a.merged_into IS NULL
"""
_STUBS = """
INSERT INTO dataml.asset (name, kind, uri, subtype, source, schema_hash, search_text, said)
SELECT x.name, 'external', x.name, x.subtype, 'observed', x.sh, coalesce(w.words ->> x.sh, ''),
       CASE WHEN x.sh IS NULL THEN '{}' ELSE '{"columns": "observed"}'::jsonb END
FROM (SELECT %s::jsonb) w(words), jsonb_to_recordset(%s) x(name text, subtype text, sh text) ORDER BY x.name
ON CONFLICT (name) DO NOTHING
"""
# As in a registration: who brings the words of many assets spares the ledger to take them apart again.
_WORDS = """
INSERT INTO dataml.asset_word (word, near)
SELECT x.word, x.near FROM jsonb_to_recordset(%s) x(word text, near text[])
WHERE NOT EXISTS (SELECT FROM dataml.asset_word k WHERE k.word = x.word)
"""
_ALIASES = """
INSERT INTO dataml.asset_alias (namespace, name, asset_id, source)
SELECT x.ns, x.name, x.asset_id, 'observed'
FROM jsonb_to_recordset(%s) x(ns text, name text, asset_id bigint) ORDER BY x.ns, x.name
ON CONFLICT (namespace, name) DO UPDATE SET asset_id = excluded.asset_id
WHERE asset_alias.asset_id <> excluded.asset_id
"""


class LineageNames:
    """The assets of one batch by the names its events use."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._canonical = {
            row["namespace"]: row["canonical"]
            for row in connection.rows("SELECT namespace, canonical FROM dataml.namespace_alias")
        }
        self.assets: dict[DatasetName, int] = {}

    def __call__(self, name: DatasetName) -> int:
        """Return the asset of a name that was resolved before."""
        return self.assets[self.canonical(name)]

    def canonical(self, name: DatasetName) -> DatasetName:
        """Return a name with the one address of a server that has several."""
        namespace = self._canonical.get(name.namespace)
        return DatasetName(namespace, name.name) if namespace else name

    def resolve(
        self,
        datasets: Iterable[ObservedDataset],
        others: Iterable[DatasetName] = (),
        *,
        hash_of: Callable[[tuple[Column, ...] | None], str | None],
    ) -> None:
        """Find the assets of datasets, and make stubs of those nobody knows.

        A declared asset comes before a stub, and the dataset's own name before its symlinks.

        :param others: names that only stand in what events say of flows.
        :param hash_of: address of a schema that is kept already; what a stub begins with.
        """
        wanted = self._wanted(datasets, others)
        known = self._known({name for links in wanted.values() for name in links[0]})
        owned = self._known_assets({asset for _, asset, _ in wanted.values() if asset})
        # A stub that is yet to be made has its place in ``fresh`` below zero as its number.
        fresh: list[dict[str, str | None]] = []
        schemas: dict[str, str] = {}
        found: dict[DatasetName, int] = {}
        turned: dict[int, int] = {}
        for name, (names, own, said) in wanted.items():
            best = owned.get(own or "") or _best([known[n] for n in names if n in known])
            if best is None:
                columns = said.columns if said else None
                subtype = (said.type or "").lower() or None if said else None
                key = hash_of(columns)
                if columns and key and key not in schemas:
                    schemas[key] = schema_of(columns)[1]
                fresh.append({"name": name.asset, "subtype": subtype, "sh": key})
                best = (-len(fresh), True)
            for other in names:
                # A stub goes over to the asset that it turns out to be, with all that points at it.
                if other not in known or (known[other][1] and not best[1]):
                    if other in known:
                        turned[known[other][0]] = best[0]
                    found[other] = best[0]
                    known[other] = best
            found[name] = best[0]
        made = self._make(fresh, schemas)
        for loser, winner in sorted(turned.items()):
            join_assets(self._db, loser=loser, winner=winner)
        self._alias({name: made.get(asset, turned.get(asset, asset)) for name, asset in found.items()})

    def _wanted(
        self, datasets: Iterable[ObservedDataset], others: Iterable[DatasetName]
    ) -> dict[DatasetName, tuple[list[DatasetName], str | None, ObservedDataset | None]]:
        """Return every name with its other names, the asset of ours it says it is, and what is said of it."""
        wanted: dict[DatasetName, tuple[list[DatasetName], str | None, ObservedDataset | None]] = {}
        for seen in datasets:
            name = self.canonical(seen.name)
            links = [self.canonical(link) for link in seen.symlinks]
            links += [self.canonical(seen.renamed_from)] if seen.renamed_from else []
            own = seen.facets.get("dataml_version")
            asset = own.get("asset") if isinstance(own, dict) else None
            before = wanted.get(name, ([name], None, None))
            names = list(dict.fromkeys([*before[0], *links]))
            said = seen if before[2] is None or seen.columns else before[2]
            wanted[name] = (names, before[1] or (str(asset) if asset else None), said)
        for name in map(self.canonical, others):
            wanted.setdefault(name, ([name], None, None))
        return {n: said for n, said in wanted.items() if n not in self.assets}

    def _known(self, names: set[DatasetName]) -> dict[DatasetName, tuple[int, bool]]:
        listed = sorted(names)
        pairs = [{"i": i, "ns": n.namespace, "name": n.name} for i, n in enumerate(listed)]
        logical = [
            {"i": i, "name": n.name.rpartition("/")[2]}
            for i, n in enumerate(listed)
            if n.namespace == _LOGICAL and "/" in n.name
        ]
        rows = self._db.rows(_KNOWN, [json.dumps(pairs), json.dumps(logical)])
        return {listed[row["i"]]: (row["asset_id"], row["stub"]) for row in rows}

    def _known_assets(self, names: set[str]) -> dict[str, tuple[int, bool]]:
        if not names:
            return {}
        rows = self._db.rows(
            "SELECT name, asset_id FROM dataml.asset WHERE name = ANY (%s) AND merged_into IS NULL",
            [list(names)],
        )
        return {row["name"]: (row["asset_id"], False) for row in rows}

    def _make(self, fresh: Sequence[dict[str, str | None]], schemas: Mapping[str, str]) -> dict[int, int]:
        """Write stubs and return their ids by their places.

        :param schemas: the words of schemas' columns by their addresses.
        """
        if not fresh:
            return {}
        texts = (*schemas.values(), *(search_words(str(one["name"])) for one in fresh))
        words = {word for text in texts for word in text.split() if not word.isdecimal()}
        self._db.execute(_WORDS, [json.dumps([{"word": w, "near": slips(w)} for w in words])])
        self._db.execute("SET LOCAL dataml.words = 'sent'")
        self._db.execute(_STUBS, [json.dumps(schemas), json.dumps(fresh)])
        self._db.execute("SET LOCAL dataml.words = ''")
        rows = self._db.rows(
            "SELECT name, coalesce(merged_into, asset_id) AS asset_id FROM dataml.asset WHERE name = ANY (%s)",
            [[one["name"] for one in fresh]],
        )
        ids = {row["name"]: row["asset_id"] for row in rows}
        return {-place: ids[one["name"]] for place, one in enumerate(fresh, start=1)}

    def _alias(self, found: dict[DatasetName, int]) -> None:
        rows = [{"ns": name.namespace, "name": name.name, "asset_id": asset} for name, asset in found.items()]
        if rows:
            self._db.execute(_ALIASES, [json.dumps(rows)])
        self.assets |= found


def _best(found: list[tuple[int, bool]]) -> tuple[int, bool] | None:
    return min(found, key=lambda one: one[1], default=None)

"""What events say of datasets themselves: schema, owner, documentation, tags, and their end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import schema_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.openlineage import DatasetName, ObservedDataset, ObservedEvent

_SCHEMAS_KEPT = 4096
_BLOBS = """
INSERT INTO dataml.schema_blob (schema_hash, columns)
SELECT x.h, x.columns FROM jsonb_to_recordset(%s) x(h text, columns jsonb) ORDER BY x.h ON CONFLICT DO NOTHING
"""
# An event never overrules what somebody said on purpose.
_WORDS = """
UPDATE dataml.asset a SET
  owner = coalesce(a.owner, x.owner), documentation = coalesce(a.documentation, x.doc),
  subtype = coalesce(a.subtype, x.subtype), tags = CASE WHEN a.tags = '[]' THEN x.tags ELSE a.tags END,
  said = jsonb_strip_nulls(jsonb_build_object(
    'owner', CASE WHEN x.owner IS NOT NULL THEN 'observed' END,
    'documentation', CASE WHEN x.doc IS NOT NULL THEN 'observed' END,
    'subtype', CASE WHEN x.subtype IS NOT NULL THEN 'observed' END,
    'tags', CASE WHEN x.tags <> '[]' THEN 'observed' END)) || a.said
FROM jsonb_to_recordset(%s) x(a bigint, owner text, doc text, subtype text, tags jsonb)
WHERE a.asset_id = x.a AND (
  a.owner IS NULL AND x.owner IS NOT NULL OR a.documentation IS NULL AND x.doc IS NOT NULL
  OR a.subtype IS NULL AND x.subtype IS NOT NULL OR a.tags = '[]' AND x.tags <> '[]')
"""
_SCHEMAS = """
SELECT dataml.set_schema(a.asset_id, x.sh, 'observed')
FROM jsonb_to_recordset(%s) x(a bigint, sh text, written boolean, at timestamptz)
JOIN dataml.asset a ON a.asset_id = x.a
WHERE a.kind = 'external' AND a.schema_hash IS DISTINCT FROM x.sh
  AND coalesce(a.said ->> 'columns', 'observed') = 'observed'
  AND (a.schema_hash IS NULL OR x.written AND (a.last_write IS NULL OR a.last_write <= x.at))
ORDER BY a.asset_id
"""
# Many assets of a batch say the same of their columns, and have said it before: each text is sent once, and
# nothing is tried where every column has its words.
_DOCS = """
INSERT INTO dataml.asset_column (asset_id, name, description)
SELECT t.a, c.name, c.description FROM jsonb_to_recordset(%s) x(a bigint[], n text[], d text[])
CROSS JOIN LATERAL (
  SELECT a FROM unnest(x.a) a
  WHERE (SELECT count(*) FROM dataml.asset_column k WHERE k.asset_id = a AND k.name = ANY (x.n)) < cardinality(x.n)
  OFFSET 0) t
CROSS JOIN LATERAL unnest(x.n, x.d) c(name, description)
ORDER BY t.a, c.name ON CONFLICT (asset_id, name) DO NOTHING
"""
_STATUS = """
UPDATE dataml.asset a SET status = CASE WHEN x.gone THEN 'deleted' ELSE 'active' END, status_at = x.at
FROM jsonb_to_recordset(%s) x(a bigint, gone boolean, at timestamptz)
WHERE a.asset_id = x.a AND a.kind = 'external' AND (a.status = 'active') = x.gone
  AND coalesce(a.status_at, '-infinity') < x.at AND (NOT x.gone OR coalesce(a.last_write, '-infinity') < x.at)
"""
_SEEN = """
UPDATE dataml.asset SET last_seen = now() WHERE asset_id IN (
  SELECT asset_id FROM dataml.asset WHERE asset_id = ANY (%s) AND last_seen < now() - interval '1 hour'
  ORDER BY asset_id FOR NO KEY UPDATE SKIP LOCKED)
"""
_KNOWN = """
SELECT x.i, b.columns FROM jsonb_to_recordset(%s) x(i int, ns text, name text)
JOIN dataml.asset_alias l ON l.namespace = x.ns AND l.name = x.name
JOIN dataml.asset a ON a.asset_id = l.asset_id JOIN dataml.schema_blob b ON b.schema_hash = a.schema_hash
"""


class LineageAssets:
    """Writes what events say of datasets; hashes of schemas are kept while it lives."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        # By identity: equal schemas are read as one object, and hashing twenty columns costs more than the rest.
        self._hashes: dict[int, tuple[tuple[Column, ...], str]] = {}
        self._documented: dict[tuple[int, int], tuple[tuple[str, str], ...]] = {}

    def hash_of(self, columns: tuple[Column, ...] | None) -> str | None:
        """Return the content address of a schema."""
        if columns is None:
            return None
        known = self._hashes.get(id(columns))
        if known is None:
            if len(self._hashes) >= _SCHEMAS_KEPT:
                self._hashes.clear()
            known = self._hashes[id(columns)] = columns, schema_hash(columns)
        return known[1]

    def keep_schemas(self, schemas: Iterable[tuple[Column, ...] | None]) -> None:
        """Keep schemas that are not there yet; only those are sent."""
        told = {str(self.hash_of(columns)): columns for columns in schemas if columns}
        if not told:
            return
        rows = self._db.rows(
            "SELECT schema_hash FROM dataml.schema_blob WHERE schema_hash = ANY (%s)", [list(told)]
        )
        known = {row["schema_hash"] for row in rows}
        fresh = [
            {"h": key, "columns": [[c.name, c.type] for c in columns]}
            for key, columns in told.items()
            if key not in known
        ]
        if fresh:
            self._db.execute(_BLOBS, [json.dumps(fresh)])

    def describe(self, events: Sequence[ObservedEvent], *, asset_of: Callable[[DatasetName], int]) -> None:
        """Write what events say of datasets where nobody said so on purpose."""
        if len(self._documented) >= _SCHEMAS_KEPT:
            self._documented.clear()
        told: dict[int, dict[str, Any]] = {}
        docs: dict[int, tuple[tuple[str, str], ...]] = {}
        gone: dict[int, tuple[datetime, bool]] = {}
        for event in sorted(events, key=lambda e: (e.at, e.key)):
            for seen, written in [(s, False) for s in event.inputs] + [(s, True) for s in event.outputs]:
                asset = asset_of(seen.name)
                self._take(told.setdefault(asset, _nothing(asset)), seen, written, event.at)
                if seen.column_docs and (asset, id(seen.column_docs)) not in self._documented:
                    self._documented[asset, id(seen.column_docs)] = seen.column_docs
                    docs[asset] = _joined(docs.get(asset, ()), seen.column_docs)
                if event.type in ("COMPLETE", None) and written and seen.lifecycle != "RENAME":
                    gone[asset] = (event.at, seen.lifecycle == "DROP")
        rows = list(told.values())
        if any(row["owner"] or row["doc"] or row["subtype"] or row["tags"] for row in rows):
            self._db.execute(_WORDS, [json.dumps(rows, default=str)])
        if schemas := [row for row in rows if row["sh"]]:
            self._db.rows(_SCHEMAS, [json.dumps(schemas, default=str)])
        if docs:
            self._db.execute(_DOCS, [_documents(docs)])
        if gone:
            ends = [{"a": a, "at": at, "gone": end} for a, (at, end) in gone.items()]
            self._db.execute(_STATUS, [json.dumps(ends, default=str)])
        self._db.execute(_SEEN, [sorted(told)])

    def _take(self, row: dict[str, Any], seen: ObservedDataset, written: bool, at: datetime) -> None:
        row["owner"] = seen.owner or row["owner"]
        row["doc"] = seen.documentation or row["doc"]
        row["subtype"] = (seen.type or "").lower() or row["subtype"]
        row["tags"] = list(seen.tags) or row["tags"]
        if seen.columns and (written or not row["written"]):
            row |= {"sh": self.hash_of(seen.columns), "written": written, "at": at}

    def columns(self, names: Sequence[DatasetName]) -> Mapping[DatasetName, tuple[tuple[str, str], ...]]:
        """Return the schemas that the catalog has of datasets."""
        asked = [{"i": i, "ns": n.namespace, "name": n.name} for i, n in enumerate(names)]
        rows = self._db.rows(_KNOWN, [json.dumps(asked)])
        return {names[row["i"]]: tuple((name, kind) for name, kind in row["columns"]) for row in rows}


def _joined(
    known: tuple[tuple[str, str], ...], said: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return what was said of columns, each once; what is said later stands."""
    return tuple((dict(known) | dict(said)).items()) if known or len(dict(said)) < len(said) else said


def _documents(docs: Mapping[int, tuple[tuple[str, str], ...]]) -> str:
    assets: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for asset, said in docs.items():
        assets.setdefault(said, []).append(asset)
    return json.dumps(
        [{"a": of, "n": [n for n, _ in said], "d": [d for _, d in said]} for said, of in assets.items()]
    )


def _nothing(asset: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "owner": None,
        "doc": None,
        "subtype": None,
        "tags": [],
        "sh": None,
        "written": False,
        "at": None,
    }
    return {"a": asset} | said

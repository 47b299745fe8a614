"""What an export tells of assets: two statements for each thousand of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.catalog import AssetFilter
from airflow_dataml.core.errors import AssetNotFoundError, SpecError
from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportedVersion, ModelFacts, Upstream
from airflow_dataml.core.exports_places import database_of
from airflow_dataml.core.exports_text import plain_uri
from airflow_dataml.core.refs import AssetNaming, Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

NAMING = AssetNaming()
BATCH = 1000
# A profile of more parts than these costs more to add than it tells.
_PROFILED = 16
_CHECKS = 10
_EVERYTHING = AssetFilter()
_NAMES = """(SELECT jsonb_agg(jsonb_build_array(l.namespace, l.name) ORDER BY l.first_seen, l.namespace, l.name)
    FROM dataml.asset_alias l WHERE l.asset_id = {a}.asset_id AND l.namespace NOT IN ('uri', 'asset')) AS names"""
_ASSETS = f"""
SELECT a.asset_id, a.name, a.kind, a.uri, a.subtype, a.description, a.documentation, a.owner, a.tags, a.terms,
  a.domain, a.asset_group, a.importance, a.freshness_s, a.status, a.first_seen, a.location, b.columns,
  v.version_id, v.number, v.created_at, v.row_count, v.fingerprint, v.partition_key,
  CASE WHEN a.kind = 'model' THEN jsonb_build_object('spec', v.facts -> 'spec', 'metrics', v.facts #> '{{training,metrics}}',
    'registry', v.facts -> 'registry', 'trained_on', v.facts #> '{{plan,version}}') END AS model,
  held.bytes, held.parts, held.live, {_NAMES.format(a="a")},
  (SELECT jsonb_object_agg(d.name, jsonb_build_array(d.description, d.tags, d.terms))
   FROM dataml.asset_column d WHERE d.asset_id = a.asset_id) AS docs,
  (SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l WHERE l.version_id = v.version_id) AS aliases,
  (SELECT array_agg(DISTINCT m.name) FROM (
     SELECT r.body -> 'mask' AS mask FROM dataml.report r WHERE r.asset_id = a.asset_id AND r.kind = 'check'
     ORDER BY r.report_id DESC LIMIT {_CHECKS}) recent,
     jsonb_array_elements_text(CASE jsonb_typeof(mask) WHEN 'array' THEN mask ELSE '[]' END) m (name)) AS masked,
  CASE WHEN held.parts BETWEEN 1 AND {_PROFILED} THEN (
    SELECT jsonb_object_agg(name, nulls) FROM (
      SELECT c.key AS name, sum((c.value ->> 'nulls')::bigint) AS nulls FROM dataml.version_part vp
      JOIN dataml.part p USING (part_id), jsonb_each(
        CASE jsonb_typeof(p.profile -> 'columns') WHEN 'object' THEN p.profile -> 'columns' ELSE '{{}}' END) c
      WHERE vp.version_id = v.version_id AND p.row_count > 0 GROUP BY 1 HAVING count(*) = held.filled) seen) END AS nulls
FROM dataml.asset a
LEFT JOIN LATERAL (
  SELECT n.* FROM dataml.version n WHERE n.version_id = coalesce(
    (SELECT c.version_id FROM dataml.alias c WHERE c.asset_id = a.asset_id AND c.name IN ('current', 'champion')
     ORDER BY c.name DESC LIMIT 1),
    (SELECT n.version_id FROM dataml.version n WHERE n.asset_id = a.asset_id ORDER BY n.number DESC LIMIT 1))
) v ON true
LEFT JOIN dataml.schema_blob b ON b.schema_hash = coalesce(v.schema_hash, a.schema_hash)
LEFT JOIN LATERAL (
  SELECT sum(p.bytes)::bigint AS bytes, count(*) AS parts, count(*) FILTER (WHERE p.state = 'live') AS live,
         count(*) FILTER (WHERE p.row_count > 0) AS filled
  FROM dataml.version_part vp JOIN dataml.part p USING (part_id) WHERE vp.version_id = v.version_id) held ON true
WHERE a.merged_into IS NULL AND a.name > %(after)s AND {{where}} ORDER BY a.name LIMIT {BATCH}
"""
# By name, which covers what anybody was seen doing, and by the version exported, which covers our own tasks.
_UPSTREAM = f"""
WITH pairs AS (
  SELECT e.dst AS target, e.src AS source, e.column_map FROM dataml.asset_edge e
  WHERE e.dst = ANY (%(assets)s) AND e.src <> e.dst
  UNION
  SELECT v.asset_id, s.asset_id, e.column_map FROM dataml.version v JOIN dataml.edge e ON e.dst_id = v.version_id
  JOIN dataml.version s ON s.version_id = e.src_id WHERE v.version_id = ANY (%(versions)s) AND s.asset_id <> v.asset_id
)
SELECT p.target, o.name, o.kind, o.location, m.mapping, m.confidence, {_NAMES.format(a="o")}
FROM pairs p JOIN dataml.asset o ON o.asset_id = p.source LEFT JOIN dataml.column_map m USING (column_map)
WHERE o.merged_into IS NULL ORDER BY p.target, o.name, m.column_map
"""
_CONDITIONS = {
    "kinds": "a.kind = ANY (%(kinds)s)",
    "status": "a.status = ANY (%(status)s)",
    "subtype": "a.subtype = %(subtype)s",
    "owner": "a.owner = %(owner)s",
    "tag": "a.tags ? %(tag)s",
    "term": "a.terms ? %(term)s",
    "domain": "a.domain = %(domain)s",
    "group": "a.asset_group = %(group)s",
    "producer": "a.location ->> 'producer' = %(producer)s",
    "importance": "a.importance = %(importance)s",
}
_STALE = "(a.freshness_s IS NOT NULL AND coalesce(a.last_write, a.first_seen) < now() - a.freshness_s * interval '1 second')"
_FAILING = "EXISTS (SELECT FROM dataml.asset_verdict f WHERE f.asset_id = a.asset_id AND f.verdict IN ('fail', 'error'))"


class PostgresExports:
    """Assets for other catalogs.

    :param connection: the ledger's connection; reads only.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def assets(
        self, names: Sequence[str] = (), filter: AssetFilter = _EVERYTHING
    ) -> tuple[ExportedAsset, ...]:
        """Return assets by name: those named, or else those a filter lets through.

        :raises AssetNotFoundError: a name is nobody's.
        """
        where, params = _where(names, filter)
        found = tuple(self._batches(where, params))
        if missing := sorted(set(names) - {asset.name for asset in found}):
            known = [row["name"] for row in self._db.rows("SELECT name FROM dataml.asset LIMIT 1000")]
            what = "asset"
            raise AssetNotFoundError.from_available(what, missing[0], known)
        return found

    def _batches(self, where: str, params: dict[str, Any]) -> Iterator[ExportedAsset]:
        after = ""
        while rows := self._db.rows(_ASSETS.replace("{where}", where), params | {"after": after}):  # type: ignore[arg-type] # named parameters
            ids = [row["asset_id"] for row in rows]
            versions = [row["version_id"] for row in rows if row["version_id"]]
            upstream = self._upstream(ids, versions)
            yield from (_asset(row, upstream.get(row["asset_id"], ())) for row in rows)
            if len(rows) < BATCH:
                return
            after = rows[-1]["name"]

    def _upstream(self, assets: Sequence[int], versions: Sequence[int]) -> dict[int, tuple[Upstream, ...]]:
        rows = self._db.rows(_UPSTREAM, {"assets": assets, "versions": versions})  # type: ignore[arg-type] # as above
        found: dict[int, dict[str, list[dict[str, Any]]]] = {}
        for row in rows:
            found.setdefault(row["target"], {}).setdefault(row["name"], []).append(row)
        return {key: tuple(_source(some) for some in by.values()) for key, by in found.items()}


def _where(names: Sequence[str], filter: AssetFilter) -> tuple[str, dict[str, Any]]:
    if names:
        return "a.name = ANY (%(names)s)", {"names": list(names)}
    conditions, params = ["true"], {}
    for field, condition in _CONDITIONS.items():
        value = getattr(filter, field)
        if value not in (None, ()):
            conditions.append(condition)
            params[field] = list(value) if isinstance(value, tuple) else value
    for wanted, condition in ((filter.stale, _STALE), (filter.failing, _FAILING)):
        if wanted is not None:
            conditions.append(condition if wanted else f"NOT {condition}")
    return " AND ".join(conditions), params


def _asset(row: Mapping[str, Any], upstream: tuple[Upstream, ...]) -> ExportedAsset:
    namespace, lineage_name, relation = _names(row)
    location = row["location"] or {}
    return ExportedAsset(
        name=row["name"],
        kind=row["kind"],
        uri=plain_uri(row["uri"]),
        namespace=namespace,
        lineage_name=lineage_name,
        group=row["asset_group"],
        tags=tuple(row["tags"]),
        terms=tuple(row["terms"]),
        columns=_columns(row),
        version=_version(row),
        relation=relation,
        database=database_of(lineage_name, relation) if relation else None,
        store=str(location.get("store") or "postgres"),
        masked=frozenset(row["masked"] or ()),
        upstream=upstream,
        model=_model(row) if row["kind"] == "model" and row["version_id"] else None,
        **{
            field: row[field]
            for field in (
                "subtype", "description", "documentation", "owner", "domain", "importance", "freshness_s", "status",
                "first_seen",
            )
        },
    )  # fmt: skip


def _names(row: Mapping[str, Any]) -> tuple[str, str, Relation | None]:
    """Return what OpenLineage calls an asset, and its table if it is one of PostgreSQL."""
    relation = _relation(row["location"] or {})
    names = [(plain_uri(namespace), name) for namespace, name in row["names"] or ()]
    tail = f".{relation.schema}.{relation.name}" if relation else None
    fits = [one for one in names if tail and one[1].endswith(tail)]
    namespace, name = (fits or names or [NAMING.lineage_logical(row["kind"], row["name"])])[0]
    if relation is None and namespace.startswith("postgres://") and name.count(".") == 2:
        _, schema, table = name.split(".")
        relation = Relation(schema, table) if schema and table else None
    return namespace, name, relation if namespace.startswith("postgres://") else None


def _relation(location: Mapping[str, Any]) -> Relation | None:
    """Return the table an asset is, by what publishes it or by what a crawl saw."""
    try:
        if table := location.get("table"):
            return Relation.parse(str(table))
        schema, _, name = str(location.get("relation") or "").partition(".")
        return Relation(schema, name) if schema and name else None
    except SpecError:
        return None


def _columns(row: Mapping[str, Any]) -> tuple[ExportedColumn, ...]:
    docs, nulls = row["docs"] or {}, row["nulls"] or {}
    typed = row["columns"] or [[name, ""] for name in docs]
    return tuple(
        ExportedColumn(
            name=name,
            type=type_,
            description=(said := docs.get(name) or (None, (), ()))[0],
            tags=tuple(said[1]),
            terms=tuple(said[2]),
            nullable=nulls[name] > 0 if name in nulls else None,
        )
        for name, type_ in typed
    )


def _version(row: Mapping[str, Any]) -> ExportedVersion | None:
    if row["version_id"] is None:
        return None
    return ExportedVersion(
        number=row["number"],
        created_at=row["created_at"],
        rows=row["row_count"],
        bytes=row["bytes"],
        fingerprint=row["fingerprint"],
        partition_key=row["partition_key"],
        readable=bool(row["parts"]) and row["parts"] == row["live"],
    )


def _model(row: Mapping[str, Any]) -> ModelFacts:
    said = row["model"] or {}
    spec, registry = said.get("spec") or {}, said.get("registry") or {}
    metrics = said.get("metrics") or {}
    plain = {
        name: str(value)
        for name, value in spec.items()
        if isinstance(value, int | float | str) and name not in ("model", "task", "target", "module")
    }
    return ModelFacts(
        framework="lightning" if spec else None,
        format="onnx" if spec else None,
        task=spec.get("task"),
        target=spec.get("target"),
        features=tuple(str(one["name"]) for one in spec.get("features") or ()),
        metrics={name: float(value) for name, value in metrics.items() if _finite(value)},
        hyperparameters=plain,
        aliases=tuple(row["aliases"] or ()),
        source=plain_uri(str(registry["source"])) if registry.get("source") else None,
        run_id=registry.get("run_id"),
        trained_on=said.get("trained_on"),
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _source(rows: Sequence[Mapping[str, Any]]) -> Upstream:
    """Return what one source gave, by every task that was seen doing it."""
    first = rows[0]
    namespace, name, relation = _names(first)
    flows = {(one[0], one[1], one[2]) for row in rows for one in row["mapping"] or ()}
    sure = [row["confidence"] for row in rows if row["confidence"] is not None]
    return Upstream(
        name=first["name"],
        kind=first["kind"],
        namespace=namespace,
        lineage_name=name,
        columns=tuple(sorted(flows)),
        confidence=min(sure, default=1.0),
        relation=relation,
    )

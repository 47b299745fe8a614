"""Why a table cannot be adopted, or a dataset not be given back: every reason at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.dependents import dependents_of
from airflow_dataml.core.refs import AssetNaming

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.dependents import Dependents
    from airflow_dataml.core.refs import Relation

_SYSTEM = ("pg_catalog", "information_schema", "pg_toast", "dataml", AssetNaming.data_schema)
_KINDS = {
    "p": "a partitioned table", "f": "a foreign table", "v": "a view", "m": "a materialized view",
    "S": "a sequence", "i": "an index", "c": "a composite type", "t": "a TOAST table",
}  # fmt: skip
_FACTS = """
SELECT c.relkind AS kind, c.relpersistence AS persistence, c.relreplident AS identity, c.reloftype <> 0 AS typed,
       c.relrowsecurity OR c.relforcerowsecurity AS row_security, pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owns, current_user::text AS me, s.rolsuper AS super,
       has_schema_privilege(c.relnamespace, 'CREATE') AS may_create,
       has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') AS owner_may_create,
       has_schema_privilege(to_regnamespace(%s), 'CREATE') AS may_keep,
       EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
       (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension,
       ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY 1) AS triggers,
       ARRAY(SELECT r.rulename::text FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' ORDER BY 1) AS rules,
       ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY 1) AS policies,
       ARRAY(SELECT p.pubname::text FROM pg_publication_tables p
              WHERE p.schemaname = n.nspname AND p.tablename = c.relname ORDER BY 1) AS publications,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped ORDER BY a.attnum) AS generated
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles s ON s.rolname = current_user
WHERE c.oid = %s
"""
_FOREIGN_VIEWS = "SELECT c.oid::regclass::text AS view, pg_get_userbyid(c.relowner) AS owner FROM pg_class c WHERE c.oid = ANY (%s) AND NOT pg_has_role(c.relowner, 'USAGE')"
_KEPT_BY = """
SELECT DISTINCT a.name || '@' || v.number AS ref, p.holder, p.reason FROM dataml.version_part vp
JOIN dataml.version v USING (version_id) JOIN dataml.asset a ON a.asset_id = v.asset_id JOIN dataml.pin p USING (version_id)
WHERE vp.part_id = ANY (%s) ORDER BY 1, 2
"""
_ALIASES = """
SELECT DISTINCT l.name FROM dataml.version_part vp JOIN dataml.alias l USING (version_id)
WHERE vp.part_id = ANY (%s) AND l.name <> 'current' ORDER BY 1
"""


def adoption_obstacles(db: Connection, table: Relation, oid: int, found: Dependents) -> tuple[str, ...]:
    """Return why a table cannot be adopted; nothing when it can."""
    facts = db.one(_FACTS, [AssetNaming.data_schema, oid])
    foreign = _foreign_views(db, list(found.views))
    fixed = [f"{what} uses it" for what in found.fixed]
    return (*_of_its_kind(table, facts), *_of_its_guards(facts), *_of_rights(table, facts), *fixed, *foreign)


def release_obstacles(
    db: Connection, view: Relation, view_oid: int, parts: Sequence[int], *, part_ids: Sequence[int]
) -> tuple[str, ...]:
    """Return why a dataset cannot be given back.

    :param parts: object numbers of the part that would become the table; none when rows are copied.
    """
    found = dependents_of(db, view_oid)
    reasons = [f"{what} uses {view}" for what in found.fixed]
    reasons += _foreign_views(db, list(found.views))
    for oid in parts:
        other = dependents_of(db, oid)
        reasons += [f"view {v} reads its part directly" for n, v in other.views.items() if n != view_oid]
        reasons += [f"{what} uses its part" for what in other.fixed]
    if parts:
        aliases = db.rows(_ALIASES, [list(part_ids)])
        reasons += [f"{row['name']!r} points at a version that holds its part" for row in aliases]
    return tuple(dict.fromkeys(reasons))


def pinned_by(db: Connection, part_ids: Sequence[int]) -> tuple[str, ...]:
    """Return the pinned versions that hold some parts, with who holds them and why."""
    rows = db.rows(_KEPT_BY, [list(part_ids)])
    return tuple(f"{row['ref']} (held by {row['holder']}: {row['reason']})" for row in rows)


def _of_its_kind(table: Relation, facts: dict[str, Any]) -> Iterator[str]:
    if facts["kind"] != "r":
        yield f"it is {_KINDS.get(facts['kind'], 'no table')}"
    if table.schema in _SYSTEM or table.schema.startswith("pg_"):
        yield f"schema {table.schema!r} is not one for tables of people's own"
    if facts["persistence"] != "p":
        yield (
            "it is temporary"
            if facts["persistence"] == "t"
            else "it is unlogged (ALTER TABLE ... SET LOGGED)"
        )
    if facts["inherits"]:
        yield "it is part of a table inheritance or partitioning"
    if facts["typed"]:
        yield "it is a typed table (ALTER TABLE ... NOT OF)"
    if facts["extension"]:
        yield f"it belongs to extension {facts['extension']!r}"
    if facts["generated"]:
        yield f"columns {facts['generated']} are generated, and batches would have to bring them (ALTER COLUMN ... DROP EXPRESSION)"


def _of_its_guards(facts: dict[str, Any]) -> Iterator[str]:
    if facts["triggers"]:
        yield f"triggers {facts['triggers']} would not fire for batches"
    if facts["rules"]:
        yield f"rules {facts['rules']} would not apply to batches"
    if facts["row_security"] or facts["policies"]:
        yield f"row level security would be lost (policies {facts['policies']})"
    if facts["publications"]:
        yield f"publications {facts['publications']} replicate it"
    if facts["identity"] != "d":
        yield "its replica identity is not the default (ALTER TABLE ... REPLICA IDENTITY DEFAULT)"


def _of_rights(table: Relation, facts: dict[str, Any]) -> Iterator[str]:
    if not facts["owns"]:
        yield f"it belongs to {facts['owner']!r} and {facts['me']!r} is no member of that role"
    if not facts["may_create"]:
        yield f"{facts['me']!r} may not create the view in schema {table.schema!r}"
    if not facts["may_keep"]:
        yield f"{facts['me']!r} may not create tables in schema {AssetNaming.data_schema!r}"
    if facts["owner"] != facts["me"] and not (facts["super"] or facts["owner_may_create"]):
        yield f"its owner {facts['owner']!r} may not own a view in schema {table.schema!r}"


def _foreign_views(db: Connection, views: Sequence[int]) -> list[str]:
    rows = db.rows(_FOREIGN_VIEWS, [list(views)])
    return [
        f"view {row['view']} reads it, belongs to {row['owner']!r} and cannot be pointed elsewhere by this role"
        for row in rows
    ]

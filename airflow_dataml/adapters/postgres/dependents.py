"""What stands on a table or view: views that can be made anew, and everything that cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.ddl import full_names
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# A relation is also used through its row type, the array of that, and a view through its keys (GROUP BY).
_DEPENDENTS = """
WITH used AS (
  SELECT 'pg_class'::regclass AS class, c.oid, 'rows' AS how FROM pg_class c WHERE c.oid = %(oid)s
  UNION ALL SELECT 'pg_type'::regclass, t.oid, 'type' FROM pg_type t WHERE t.typrelid = %(oid)s
  UNION ALL SELECT 'pg_type'::regclass, t.typarray, 'type' FROM pg_type t WHERE t.typrelid = %(oid)s AND t.typarray <> 0
  UNION ALL SELECT 'pg_constraint'::regclass, o.oid, 'key' FROM pg_constraint o WHERE o.conrelid = %(oid)s
), found AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid, u.how,
         d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'I', 'P', 'S') AS built_in
  FROM used u JOIN pg_depend d ON d.refclassid = u.class AND d.refobjid = u.oid
  WHERE NOT (d.classid = 'pg_class'::regclass AND d.objid = %(oid)s) AND d.deptype <> 'e'
    AND (u.how <> 'key' OR d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass))
), named AS (
  SELECT f.*, r.ev_class, c.relkind, n.nspname AS schema, c.relname AS name,
         c.relpersistence = 't' AS temporary,
         coalesce(r.ev_class, o.conrelid, a.adrelid, g.tgrelid, s.stxrelid, p.polrelid, pr.prrelid) AS holder
  FROM found f
  LEFT JOIN pg_rewrite r ON f.classid = 'pg_rewrite'::regclass AND r.oid = f.objid
  LEFT JOIN pg_class c ON c.oid = r.ev_class
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_constraint o ON f.classid = 'pg_constraint'::regclass AND o.oid = f.objid
  LEFT JOIN pg_attrdef a ON f.classid = 'pg_attrdef'::regclass AND a.oid = f.objid
  LEFT JOIN pg_trigger g ON f.classid = 'pg_trigger'::regclass AND g.oid = f.objid
  LEFT JOIN pg_statistic_ext s ON f.classid = 'pg_statistic_ext'::regclass AND s.oid = f.objid
  LEFT JOIN pg_policy p ON f.classid = 'pg_policy'::regclass AND p.oid = f.objid
  LEFT JOIN pg_publication_rel pr ON f.classid = 'pg_publication_rel'::regclass AND pr.oid = f.objid
)
SELECT CASE WHEN relkind = 'v' AND how = 'rows' AND NOT temporary THEN 'view'
            WHEN relkind = 'm' THEN 'materialized view' ELSE 'other' END AS kind,
       how, ev_class::oid AS view_oid, schema, name,
       CASE WHEN relkind IS NULL THEN pg_describe_object(classid, objid, objsubid)
            ELSE CASE relkind WHEN 'm' THEN 'materialized view ' WHEN 'v' THEN 'view ' ELSE 'rule on ' END
                 || quote_ident(schema) || '.' || quote_ident(name) END
       || CASE how WHEN 'type' THEN ' (by its row type)' WHEN 'key' THEN ' (by its key, as in GROUP BY)' ELSE '' END AS what
FROM named
WHERE coalesce(holder, 0) <> %(oid)s AND NOT built_in AND classid <> 'pg_type'::regclass
ORDER BY what
"""


@dataclass(frozen=True, slots=True)
class Dependents:
    """What uses one relation.

    :param views: views that read it, by object number.
    :param fixed: what else uses it and cannot be pointed elsewhere, described.
    """

    views: dict[int, Relation]
    fixed: tuple[str, ...]


def dependents_of(db: Connection, oid: int) -> Dependents:
    """Return what directly uses a table or view."""
    with full_names(db):
        rows = db.rows(_DEPENDENTS.replace("%(oid)s", str(int(oid))))
    fixed = tuple(dict.fromkeys(row["what"] for row in rows if row["kind"] != "view"))
    views = {row["view_oid"]: Relation(row["schema"], row["name"]) for row in rows if row["kind"] == "view"}
    return Dependents(views, fixed)


def views_above(db: Connection, oid: int) -> tuple[dict[int, Relation], tuple[str, ...]]:
    """Return every view that stands on a relation, each after those it reads, and what is fixed to any of them."""
    order: list[tuple[int, Relation]] = []
    fixed: dict[str, None] = {}
    seen: set[int] = set()

    def visit(start: int) -> None:
        found = dependents_of(db, start)
        fixed.update(dict.fromkeys(found.fixed))
        for view, relation in found.views.items():
            if view not in seen:
                seen.add(view)
                visit(view)
                order.append((view, relation))

    visit(oid)
    return dict(reversed(order)), tuple(fixed)

"""Everything PostgreSQL knows about one table, as plain values two of which can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from airflow_dataml.core.refs import Relation

_QUERIES = {
    "relation": """
        SELECT relkind, pg_get_userbyid(relowner), reloptions, relpersistence, relreplident, obj_description(oid, 'pg_class')
        FROM pg_class WHERE oid = %(oid)s""",
    "rights": """
        SELECT pg_get_userbyid(a.grantor), a.grantee::regrole::text, a.privilege_type, a.is_grantable
        FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a WHERE c.oid = %(oid)s ORDER BY 1, 2, 3""",
    "column rights": """
        SELECT c.attname, pg_get_userbyid(a.grantor), a.grantee::regrole::text, a.privilege_type, a.is_grantable
        FROM pg_attribute c, aclexplode(c.attacl) a WHERE c.attrelid = %(oid)s ORDER BY 1, 2, 3, 4""",
    "columns": """
        SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attcollation::regcollation::text,
               a.attstorage, a.attcompression, a.attoptions, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum""",
    "constraints": """
        SELECT conname, contype, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE conrelid = %(oid)s ORDER BY 1""",
    "indexes": """
        SELECT pg_get_indexdef(i.indexrelid), i.indisclustered, obj_description(i.indexrelid, 'pg_class')
        FROM pg_index i WHERE i.indrelid = %(oid)s ORDER BY 1""",
    "statistics": """
        SELECT pg_get_statisticsobjdef(oid), obj_description(oid, 'pg_statistic_ext')
        FROM pg_statistic_ext WHERE stxrelid = %(oid)s ORDER BY 1""",
    "triggers": """SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %(oid)s AND NOT tgisinternal ORDER BY 1""",
    "sequences": """
        SELECT c.oid::regclass::text, d.deptype, d.refobjsubid, s.seqtypid::regtype::text, s.seqstart, s.seqincrement, s.seqcache,
               s.seqcycle, pg_sequence_last_value(c.oid), c.relacl::text, obj_description(c.oid, 'pg_class')
        FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_sequence s ON s.seqrelid = c.oid
        WHERE d.refobjid = %(oid)s AND d.deptype IN ('a', 'i') ORDER BY 1""",
    "readers": """
        SELECT DISTINCT r.ev_class::regclass::text, pg_get_viewdef(r.ev_class), c.reloptions, c.relacl::text,
               pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class')
        FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_class c ON c.oid = r.ev_class
        WHERE d.refobjid = %(oid)s AND r.ev_class <> %(oid)s ORDER BY 1""",
}


def dump(raw: psycopg.Connection[Any], relation: Relation) -> dict[str, Any]:
    """Return what the catalog says of a table or view, and its rows in order of their text."""
    with raw.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)::oid AS oid", [relation.quoted])
        oid = cursor.fetchone()["oid"]
        found = {
            name: [tuple(row.values()) for row in cursor.execute(query, {"oid": oid}).fetchall()]
            for name, query in _QUERIES.items()
        }
        cursor.execute(f"SELECT t::text AS row FROM {relation.quoted} t ORDER BY 1")
        return found | {"rows": [row["row"] for row in cursor.fetchall()]}

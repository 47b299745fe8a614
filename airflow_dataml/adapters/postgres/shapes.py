"""The shape of a table besides rows and columns, as plain JSON: read off it, and given to another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ddl import full_names, literal
from airflow_dataml.core.layout import Index, Layout
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import Relation

_CONSTRAINTS = """
SELECT o.conname AS name, o.contype AS kind, pg_get_constraintdef(o.oid) AS definition, i.relname AS index,
       obj_description(o.oid, 'pg_constraint') AS comment, o.confrelid = o.conrelid AS to_itself,
       ARRAY(SELECT a.attname::text FROM unnest(o.conkey) WITH ORDINALITY k(num, pos)
              JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.num ORDER BY k.pos) AS columns
FROM pg_constraint o LEFT JOIN pg_class i ON i.oid = o.conindid AND o.contype IN ('p', 'u', 'x')
WHERE o.conrelid = %s AND o.contype IN ('c', 'f', 'n', 'p', 'u', 'x')
ORDER BY array_position(ARRAY['n', 'p', 'u', 'x', 'c', 'f'], o.contype::text), o.conname
"""
_INDEXES = """
SELECT i.relname AS name, x.indisunique AS "unique", am.amname AS method, x.indisclustered AS clustered,
       obj_description(i.oid, 'pg_class') AS comment,
       substr(pg_get_indexdef(i.oid), length(format('CREATE %%sINDEX %%I ON %%I.%%I ',
         CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1) AS definition,
       EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.oid AND o.conrelid = t.oid
                AND o.contype IN ('p', 'u', 'x')) AS by_constraint,
       pg_get_expr(x.indpred, x.indrelid) AS "where",
       ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k(num, pos)
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.num ORDER BY k.pos) AS listed,
       ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_class'::regclass AND d.objid = i.oid AND d.refobjid = t.oid AND d.refobjsubid > 0) AS used
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am am ON am.oid = i.relam
WHERE x.indrelid = %s AND x.indisvalid ORDER BY i.relname
"""
_COLUMNS = """
SELECT a.attname AS name, a.attnotnull AS required, a.attstorage::text AS storage, a.attcompression::text AS compression,
       coalesce(a.attoptions, '{}') AS options, a.attstattarget AS target, l.collname AS collation, cn.nspname AS collation_schema
FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND a.attcollation <> y.typcollation
LEFT JOIN pg_namespace cn ON cn.oid = l.collnamespace
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_STATISTICS = """
SELECT n.nspname AS schema, s.stxname AS name, pg_get_statisticsobjdef(s.oid) AS definition,
       obj_description(s.oid, 'pg_statistic_ext') AS comment,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys)) AS columns
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = %s ORDER BY s.stxname
"""
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}


def shape_of(db: Connection, oid: int) -> dict[str, Any]:
    """Return constraints, indexes, column settings, statistics and options of a table."""
    with full_names(db):
        constraints = db.rows(_CONSTRAINTS, [oid])
        indexes = db.rows(_INDEXES, [oid])
        statistics = db.rows(_STATISTICS, [oid])
    options = db.scalar("SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = %s", [oid])
    return {
        "constraints": [c for c in constraints if c["kind"] != "f"],
        "foreign_keys": [c for c in constraints if c["kind"] == "f"],
        "indexes": indexes,
        "columns": db.rows(_COLUMNS, [oid]),
        "statistics": statistics,
        "options": options,
    }


def layout_of(shape: dict[str, Any], *, keys: Sequence[str], defaults: dict[str, str]) -> Layout:
    """Return the layout that gives later parts what the table has.

    :param keys: the logical key; the primary key unless given.
    """
    primary: list[str] = next((c["columns"] for c in shape["constraints"] if c["kind"] == "p"), [])
    chosen = tuple(keys or primary)
    indexes = [_index(i) for i in shape["indexes"] if i["definition"]]
    wanted = [
        i for i in indexes if not (i.unique and i.columns == chosen and not i.where and not i.definition)
    ]
    return Layout(indexes=tuple(dict.fromkeys(wanted)), keys=chosen, defaults=defaults)


def unfit(shape: dict[str, Any], columns: Collection[str]) -> tuple[str, ...]:
    """Return the names of what these columns no longer allow."""
    constraints = [*shape["constraints"], *shape["foreign_keys"]]
    used = {c["name"]: c["columns"] for c in constraints} | {
        item["name"]: item["used"] for item in shape["indexes"] if not item["by_constraint"]
    }
    used |= {item["name"]: item["columns"] for item in shape["statistics"]}
    return tuple(sorted(name for name, needed in used.items() if not set(needed) <= set(columns)))


def give_shape(db: Connection, table: Relation, shape: dict[str, Any], columns: Collection[str]) -> None:
    """Give a new table what a remembered one had, where its columns allow it.

    Foreign keys and statistics are not among it: they may want the table under its own name.
    """
    left = unfit(shape, columns)
    # Since PostgreSQL 18 NOT NULL is a constraint with a name.
    named = {name for c in shape["constraints"] if c["kind"] == "n" for name in c["columns"]}
    for column in shape["columns"]:
        if column["name"] in columns:
            _give_column(db, table, column, required=column["required"] and column["name"] not in named)
    for item in shape["constraints"]:
        if item["name"] not in left:
            add_constraint(db, table, item)
    for index in shape["indexes"]:
        if index["name"] in left:
            continue
        if not index["by_constraint"]:
            unique = "UNIQUE " if index["unique"] else ""
            name = quote_identifier(index["name"])
            db.execute(f"CREATE {unique}INDEX {name} ON {table.quoted} {index['definition']}")
        _give_index(db, table, index)
    if shape["options"]:
        db.execute(f"ALTER TABLE {table.quoted} SET ({', '.join(shape['options'])})")


def give_statistics(db: Connection, shape: dict[str, Any], columns: Collection[str]) -> None:
    """Make extended statistics anew; the table stands under its own name."""
    for item in shape["statistics"]:
        name = f"{quote_identifier(item['schema'])}.{quote_identifier(item['name'])}"
        db.execute(f"DROP STATISTICS IF EXISTS {name}")
        if set(item["columns"]) <= set(columns):
            db.execute(item["definition"])
            if item["comment"] is not None:
                db.execute(f"COMMENT ON STATISTICS {name} IS {literal(db, item['comment'])}")


def add_constraint(db: Connection, table: Relation, item: dict[str, Any]) -> None:
    """Add one remembered constraint with its comment."""
    name = quote_identifier(item["name"])
    db.execute(f"ALTER TABLE {table.quoted} ADD CONSTRAINT {name} {item['definition']}")
    if item["comment"] is not None:
        db.execute(f"COMMENT ON CONSTRAINT {name} ON {table.quoted} IS {literal(db, item['comment'])}")


def _give_column(db: Connection, table: Relation, column: dict[str, Any], *, required: bool) -> None:
    name = quote_identifier(column["name"])
    changes = [f"ALTER COLUMN {name} SET STORAGE {_STORAGE[column['storage']]}"]
    if required:
        changes.append(f"ALTER COLUMN {name} SET NOT NULL")
    if column["compression"] in _COMPRESSION:
        changes.append(f"ALTER COLUMN {name} SET COMPRESSION {_COMPRESSION[column['compression']]}")
    if column["options"]:
        changes.append(f"ALTER COLUMN {name} SET ({', '.join(column['options'])})")
    if column["target"] is not None and column["target"] >= 0:
        changes.append(f"ALTER COLUMN {name} SET STATISTICS {column['target']}")
    db.execute(f"ALTER TABLE {table.quoted} {', '.join(changes)}")


def _give_index(db: Connection, table: Relation, index: dict[str, Any]) -> None:
    name = quote_identifier(index["name"])
    if index["comment"] is not None:
        place = f"{quote_identifier(table.schema)}.{name}"
        db.execute(f"COMMENT ON INDEX {place} IS {literal(db, index['comment'])}")
    if index["clustered"]:
        db.execute(f"ALTER TABLE {table.quoted} CLUSTER ON {name}")


def _index(row: dict[str, Any]) -> Index:
    """Return an index as a layout says it: in columns where that is all there is to it."""
    listed, where = tuple(row["listed"]), row["where"]
    plain = f"USING {row['method']} ({', '.join(map(_as_printed, listed))})" + (
        f" WHERE {where}" if where else ""
    )
    simple = row["definition"] == plain and row["method"] in (
        "btree",
        "hash",
        "gin",
        "gist",
        "spgist",
        "brin",
    )
    if simple:
        return Index(columns=listed, unique=row["unique"], method=row["method"], where=where)
    return Index(
        columns=tuple(sorted(row["used"])) or listed, unique=row["unique"], definition=row["definition"]
    )


def _as_printed(name: str) -> str:
    """Write a column as PostgreSQL prints a plain one; a reserved word differs and is kept as a definition."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quote_identifier(name)

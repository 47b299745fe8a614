"""Sequences behind columns: kept apart while a table is managed, so that they outlive any part."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ddl import full_names, literal
from airflow_dataml.adapters.postgres.privileges import rights_on, set_rights
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_dataml.adapters.postgres.connection import Connection

_OWNED = """
SELECT a.attname AS "column", n.nspname AS schema, c.relname AS name, a.attidentity::text AS identity,
       'nextval(' || quote_literal(c.oid::regclass::text) || '::regclass)' AS "default"
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %s
  AND d.deptype IN ('a', 'i') ORDER BY a.attnum
"""
_STATE = """
SELECT format_type(s.seqtypid, NULL) AS type, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
       pg_get_userbyid(c.relowner) AS owner, obj_description(c.oid, 'pg_class') AS comment
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE s.seqrelid = to_regclass(%s)
"""
_IDENTITY = {"a": "ALWAYS", "d": "BY DEFAULT"}


def sequences_of(db: Connection, oid: int) -> list[dict[str, Any]]:
    """Return the sequences that belong to a table's columns."""
    with full_names(db):
        return db.rows(_OWNED, [oid])


def part_from(db: Connection, table: Relation, sequences: Collection[dict[str, Any]]) -> None:
    """Let go of a table's sequences: they stay where they are, with names, values and privileges."""
    for item in sequences:
        column, sequence = quote_identifier(item["column"]), Relation(item["schema"], item["name"])
        if item["identity"]:
            kind = db.one(_STATE, [sequence.quoted])["type"]
            with _remade(db, sequence) as settings:
                db.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {column} DROP IDENTITY")
                db.execute(f"CREATE SEQUENCE {sequence.quoted} AS {kind} {settings}")
        else:
            db.execute(f"ALTER SEQUENCE {sequence.quoted} OWNED BY NONE")
            db.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {column} DROP DEFAULT")


def join_to(
    db: Connection, table: Relation, sequences: Collection[dict[str, Any]], columns: Collection[str]
) -> None:
    """Give a table its sequences back; one whose column is gone stays on its own."""
    for item in sequences:
        if item["column"] not in columns:
            continue
        column, sequence = quote_identifier(item["column"]), Relation(item["schema"], item["name"])
        if item["identity"]:
            how = f"ADD GENERATED {_IDENTITY[item['identity']]} AS IDENTITY"
            db.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {column} SET NOT NULL")
            with _remade(db, sequence) as settings:
                db.execute(f"DROP SEQUENCE {sequence.quoted}")
                db.execute(
                    f"ALTER TABLE {table.quoted} ALTER COLUMN {column} {how} (SEQUENCE NAME {sequence.quoted} {settings})"
                )
        else:
            db.execute(f"ALTER SEQUENCE {sequence.quoted} OWNED BY {table.quoted}.{column}")


@contextmanager
def _remade(db: Connection, sequence: Relation) -> Iterator[str]:
    """Yield a sequence's settings as SQL; what is made of them inside gets its value, owner and privileges."""
    facts = db.one(_STATE, [sequence.quoted])
    value = db.one(f"SELECT last_value, is_called FROM {sequence.quoted}")
    rights = rights_on(db, sequence)
    cycle = "CYCLE" if facts["seqcycle"] else "NO CYCLE"
    yield (
        f"INCREMENT BY {facts['seqincrement']} MINVALUE {facts['seqmin']} MAXVALUE {facts['seqmax']} "
        f"START WITH {facts['seqstart']} CACHE {facts['seqcache']} {cycle}"
    )
    db.execute(
        "SELECT setval(to_regclass(%s), %s, %s)", [sequence.quoted, value["last_value"], value["is_called"]]
    )
    if facts["comment"] is not None:
        db.execute(f"COMMENT ON SEQUENCE {sequence.quoted} IS {literal(db, facts['comment'])}")
    owner = db.scalar(
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)", [sequence.quoted]
    )
    if owner != facts["owner"]:
        db.execute(f"ALTER SEQUENCE {sequence.quoted} OWNER TO {quote_identifier(facts['owner'])}")
    set_rights(db, sequence, rights, kind="SEQUENCE", owner=facts["owner"])

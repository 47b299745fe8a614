"""Merges on PostgreSQL: which parts hold a touched key, and what is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.errors import QualityGateError, SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import MergeSpec


def check_keys(db: Connection, batch: Relation, merge: MergeSpec, *, asset: str) -> None:
    """Refuse a batch whose keys do not name one row each.

    :raises SpecError: a key or the delete flag is no column of the batch.
    :raises QualityGateError: a key is null, or occurs twice.
    """
    have = db.rows(
        "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        [batch.quoted],
    )
    types = {row["name"]: row["type"] for row in have}
    wanted = [*merge.keys, *([merge.delete_flag] if merge.delete_flag else [])]
    for name in wanted:
        if name not in types:
            msg = f"the batch for {asset!r} has no column {name!r} to merge by: it has {', '.join(types)}."
            raise SpecError(msg)
    if merge.delete_flag and types[merge.delete_flag] != "boolean":
        msg = f"delete flag {merge.delete_flag!r} of {asset!r} is {types[merge.delete_flag]}, not boolean."
        raise SpecError(msg)
    keys = ", ".join(quote_identifier(k) for k in merge.keys)
    nulls = " OR ".join(f"{quote_identifier(k)} IS NULL" for k in merge.keys)
    found = db.one(
        f"""SELECT (SELECT count(*) FROM {batch.quoted} WHERE {nulls}) AS nulls,
                   (SELECT count(*) FROM (SELECT 1 FROM {batch.quoted} GROUP BY {keys} HAVING count(*) > 1) k) AS twice"""
    )
    db.execute(f"ANALYZE {batch.quoted}")
    if found["nulls"] or found["twice"]:
        msg = (
            f"the batch for {asset!r} cannot be merged by ({', '.join(merge.keys)}): {found['nulls']} rows have a null "
            f"key, {found['twice']} keys occur more than once. Nothing was staged."
        )
        raise QualityGateError(msg)


def touched(db: Connection, batch: Relation, keys: Sequence[str], parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts that hold a key of the batch; one whose value range is elsewhere is not read."""
    ranges = _ranges(db, batch, keys[0]) if parts else None
    for part in parts:
        # A key the part lacks is null in all of its rows, and null is nobody's key.
        if not set(keys) <= {c.name for c in part.columns} or _apart(part, keys[0], ranges):
            continue
        if db.scalar(
            f"SELECT EXISTS (SELECT 1 FROM {batch.quoted} b JOIN {part.relation.quoted} p ON {_same('p', 'b', keys)})"
        ):
            yield part


def rest_of(db: Connection, part: Part, batch: Relation, keys: Sequence[str], *, into: Relation) -> int:
    """Write the rows of a part whose key the batch does not have; returns how many."""
    names = ", ".join(quote_identifier(c.name) for c in part.columns)
    rows = db.execute(
        f"""CREATE TABLE {into.quoted} AS SELECT {names} FROM {part.relation.quoted} p
            WHERE NOT EXISTS (SELECT 1 FROM {batch.quoted} b WHERE {_same("p", "b", keys)})"""
    )
    if not rows:
        db.execute(f"DROP TABLE {into.quoted}")
    return rows


def _same(one: str, other: str, keys: Sequence[str]) -> str:
    return " AND ".join(f"{one}.{quote_identifier(k)} = {other}.{quote_identifier(k)}" for k in keys)


def _ranges(db: Connection, batch: Relation, key: str) -> tuple[float, float] | None:
    """The span of an integer key; of any other type none."""
    name = quote_identifier(key)
    kind = db.scalar(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
        [batch.quoted, key],
    )
    if kind not in ("smallint", "integer", "bigint"):
        return None
    row = db.one(f"SELECT min({name}) AS low, max({name}) AS high FROM {batch.quoted}")
    return None if row["low"] is None else (row["low"], row["high"])


def _apart(part: Part, key: str, ranges: tuple[float, float] | None) -> bool:
    column = part.profile.get("columns", {}).get(key, {})
    low, high = column.get("min"), column.get("max")
    if ranges is None or not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    # Profiles hold numbers as doubles: beyond 2^53 neighbours look equal, which only widens the range.
    return bool(float(ranges[1]) < low or float(ranges[0]) > high)

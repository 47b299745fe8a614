"""What two manifests are compared by: the parts only one side has, in SQL under names of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.key_ranges import Piece
    from airflow_dataml.core.datasets import Column, Part

_SAMPLE_CHARACTERS = 200
# A row constructor takes 1,664 values, and some columns need two.
_COLUMNS_PER_ROW = 800
# Types with an equality of their own, or that of what they hold. A box equals any other of its area, so
# an operator named = is not enough: it must be that of the type's default index or hash.
_COMPARABLE = """
WITH RECURSIVE held AS (
  SELECT spelled, to_regtype(spelled)::oid AS oid FROM unnest(%s::text[]) spelled
  UNION
  SELECT h.spelled, CASE y.typtype WHEN 'd' THEN y.typbasetype WHEN 'r' THEN r.rngsubtype
                                   WHEN 'm' THEN m.rngsubtype ELSE y.typelem END
  FROM held h JOIN pg_type y ON y.oid = h.oid LEFT JOIN pg_range r ON r.rngtypid = y.oid
  LEFT JOIN pg_range m ON m.rngmultitypid = y.oid
  WHERE y.typtype IN ('d', 'r', 'm') OR y.typcategory = 'A'
), indexed AS (
  SELECT c.opcintype AS oid FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
  WHERE c.opcdefault AND a.amname = ANY (%s)
)
SELECT h.spelled FROM held h LEFT JOIN pg_type y ON y.oid = h.oid
GROUP BY h.spelled
HAVING bool_and(y.oid IS NOT NULL AND (y.typtype IN ('d', 'r', 'm', 'e') OR y.typcategory = 'A'
  OR y.oid IN (SELECT oid FROM indexed)
  OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = y.oid AND k.castmethod = 'b' AND k.castcontext = 'i'
             AND k.casttarget IN (SELECT oid FROM indexed))))
"""
# Parts that sort one column differently have no order in common; bytes are one.
_MIXED = """
SELECT attname AS name FROM pg_attribute WHERE attrelid = ANY (%s::regclass[]) AND attnum > 0 AND attcollation <> 0
GROUP BY attname HAVING count(DISTINCT attcollation) > 1
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: the parts only one side has, under names that need no quoting.

    :param columns: the keys first; column i is called ``c<i>``.
    :param spelled: columns compared as text, for want of an equality.
    :param mixed: columns compared by their bytes, for want of a common collation.
    """

    columns: tuple[Column, ...]
    keys: int
    old: tuple[Part, ...]
    new: tuple[Part, ...]
    spelled: frozenset[str]
    mixed: frozenset[str]
    samples: int

    def side(self, parts: Iterable[Part]) -> str:
        """SQL that reads some parts."""
        return " UNION ALL ".join(self._part(part) for part in parts)

    def pieces(self, pieces: Sequence[Piece]) -> str:
        """SQL that reads pieces of parts; of none, no row."""
        if not pieces:
            nothing = (f"NULL::{self.type(i)} AS c{i}" for i in range(len(self.columns)))
            return f"SELECT {', '.join(nothing)} WHERE false"
        return " UNION ALL ".join(
            self._part(piece.part) + (f" WHERE {piece.where}" if piece.where else "") for piece in pieces
        )

    def type(self, i: int) -> str:
        """The type column i is compared in."""
        return "text" if self.columns[i].name in self.spelled else self.columns[i].type

    def names(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Names of some columns."""
        return [f"c{i}" for i in range(len(self.columns))[start:stop]]

    def values(self) -> str:
        """The columns as people see them in a sample."""
        return ", ".join(f"left(r.{name}::text, {_SAMPLE_CHARACTERS})" for name in self.names())

    def row_hash(self) -> str:
        """The hash of a row; PostgreSQL hashes bigints and moments by 32 bits, which is made up for."""
        hashes = []
        for start in range(0, len(self.columns), _COLUMNS_PER_ROW):
            values = [
                v for i in range(len(self.columns))[start : start + _COLUMNS_PER_ROW] for v in self._hashed(i)
            ]
            hashes.append(f"hash_record_extended(ROW({', '.join(values)}), {start})")
        return " # ".join(hashes)

    def named(self, values: Sequence[str | None]) -> dict[str, str | None]:
        """A sampled row."""
        return {column.name: value for column, value in zip(self.columns, values, strict=True)}

    def _hashed(self, i: int) -> tuple[str, ...]:
        base, _, array = normal_type(self.type(i))
        if not array and base == "bigint":
            return f"r.c{i}", f"r.c{i} >> 32"
        if not array and base.startswith("timestamp"):
            return (f"date_part('epoch', r.c{i})",)
        return (f"r.c{i}",)

    def _part(self, part: Part) -> str:
        own = {c.name: c.type for c in part.columns}
        fields = []
        for i, column in enumerate(self.columns):
            value = quote_identifier(column.name)
            if column.name not in own:
                value = f"NULL::{column.type}"
            elif normal_type(own[column.name]) != normal_type(column.type):
                value = f"{value}::{column.type}"
            if column.name in self.spelled:
                value = f"({value})::text"
            if column.name in self.mixed:
                value = f'({value}) COLLATE "C"'
            fields.append(f"{value} AS c{i}")
        return f"SELECT {', '.join(fields)} FROM {part.relation.quoted}"


def comparison_of(
    db: Connection,
    *,
    columns: Sequence[Column],
    keys: Sequence[str],
    old: Sequence[Part],
    new: Sequence[Part],
    samples: int,
) -> Comparison:
    """Return what is to be read of two manifests, and how.

    :raises SpecError: a key is no column.
    """
    by_name = {c.name: c for c in columns}
    for key in keys:
        if key not in by_name:
            what = "the column to compare by,"
            raise SpecError(str(NotFoundError.from_available(what, key, by_name)))
    before, after = _unshared(old, new)
    return Comparison(
        columns=(*(by_name[key] for key in keys), *(c for c in columns if c.name not in keys)),
        keys=len(keys),
        old=before,
        new=after,
        spelled=_without_equality(db, columns, methods=["btree", "hash"] if keys else ["hash"]),
        mixed=_mixed(db, (*before, *after)),
        samples=samples,
    )


def _unshared(old: Sequence[Part], new: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The parts only one side has; two of equal schema and content cancel out, for neither differs."""
    shared = {p.part_id for p in old} & {p.part_id for p in new}
    before = [p for p in old if p.part_id not in shared and p.rows]
    after = []
    for part in new:
        if part.part_id in shared or not part.rows:
            continue
        twin = next(
            (p for p in before if p.fingerprint == part.fingerprint and p.columns == part.columns), None
        )
        if twin is None:
            after.append(part)
        else:
            before.remove(twin)
    return tuple(before), tuple(after)


def _without_equality(db: Connection, columns: Sequence[Column], *, methods: Sequence[str]) -> frozenset[str]:
    types = list({c.type for c in columns})
    comparable = {row["spelled"] for row in db.rows(_COMPARABLE, [types, list(methods)])}
    return frozenset(c.name for c in columns if c.type not in comparable)


def _mixed(db: Connection, parts: Sequence[Part]) -> frozenset[str]:
    tables = [part.relation.quoted for part in parts]
    return frozenset(row["name"] for row in db.rows(_MIXED, [tables]))

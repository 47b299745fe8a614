"""What PostgreSQL knows about a table without reading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from airflow_dataml.adapters.native.reader import Reader
    from airflow_dataml.core.refs import Relation

# information_schema's names of types, domains as what they are made of. A table that others inherit
# from shows their rows too, which its own constraints and indexes say nothing about.
_RELATION = """
SELECT c.oid::bigint, c.relkind, c.relpersistence <> 't',
  c.relkind IN ('r', 'p') AND (c.relkind = 'p' OR NOT c.relhassubclass)
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)
"""
_COLUMNS = """
SELECT a.attname,
  CASE WHEN t.typcategory = 'A' OR t.typelem <> 0 THEN 'ARRAY' ELSE
    CASE coalesce(b.typname, t.typname)
      WHEN 'varchar' THEN 'character varying' WHEN 'bpchar' THEN 'character' WHEN 'bool' THEN 'boolean'
      WHEN 'int2' THEN 'smallint' WHEN 'int4' THEN 'integer' WHEN 'int8' THEN 'bigint'
      WHEN 'float4' THEN 'real' WHEN 'float8' THEN 'double precision'
      WHEN 'timestamptz' THEN 'timestamp with time zone' WHEN 'timestamp' THEN 'timestamp without time zone'
      WHEN 'timetz' THEN 'time with time zone' WHEN 'time' THEN 'time without time zone'
      WHEN 'varbit' THEN 'bit varying' ELSE coalesce(b.typname, t.typname) END END,
  CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
  CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (a.atttypmod - 4) >> 16 END,
  CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (a.atttypmod - 4) & 65535 END,
  CASE WHEN t.typname IN ('time', 'timetz', 'timestamp', 'timestamptz') AND a.atttypmod >= 0 THEN a.atttypmod END,
  pg_catalog.format_type(a.atttypid, a.atttypmod),
  a.attnotnull AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_constraint n
    WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND NOT n.convalidated AND a.attnum = ANY (n.conkey)),
  coalesce(l.collisdeterministic, true)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = nullif(t.typbasetype, 0)
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_INDEXES = """
SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place),
  i.indisunique AND i.indimmediate AND pg_catalog.bool_and(a.attcollation = i.indcollation[k.place - 1]),
  m.amname = 'btree'
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnkeyatts) AS k(place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.place - 1]
WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisunique, i.indimmediate, m.amname
"""
_GROUPS = """
SELECT attname, n_distinct FROM pg_catalog.pg_stats
WHERE schemaname = %s AND tablename = %s AND n_distinct BETWEEN 0 AND 1000 AND NOT inherited
"""
_STORED = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%s)"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as the catalog has it.

    :param kind: the type's name as ``information_schema`` writes it.
    :param full: the type with its sizes, as PostgreSQL writes it.
    :param required: whether a valid constraint forbids NULL.
    :param deterministic: whether texts are equal exactly where their bytes are.
    """

    name: str
    kind: str
    length: int | None
    precision: int | None
    scale: int | None
    time_precision: int | None
    full: str
    required: bool
    deterministic: bool


@dataclass(frozen=True, slots=True)
class Index:
    """A valid index on whole rows.

    :param unique: whether it keeps its columns together unique, at every moment.
    """

    columns: tuple[str, ...]
    unique: bool
    ordered: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view, and what its catalog entries promise about the rows it shows.

    :param shared: whether another session could see it; a temporary table is its session's own.
    :param bound: whether constraints and indexes speak of every row it shows.
    :param groups: columns with few values, and about how many.
    :param rows: rows, as the planner guesses.
    """

    oid: int
    shared: bool
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...]
    groups: dict[str, int]
    rows: float

    def column(self, name: str) -> TableColumn | None:
        """Return a column, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)

    def requires(self, name: str) -> bool:
        """Whether a column holds no NULL."""
        found = self.column(name)
        return found is not None and found.required

    def unique(self, columns: tuple[str, ...]) -> bool:
        """Whether no two rows are alike in these columns; of rows with a NULL nothing is said."""
        return any(index.unique and set(index.columns) <= set(columns) for index in self.indexes)


def read_table(reader: Reader, relation: Relation, *, rows: float | None = None) -> Table | None:
    """Look a table or view up; ``None`` if there is none.

    :param rows: about how many there are, if that is known: to ask the planner costs a look at every part of a view.
    """
    found = reader.rows(_RELATION, [relation.quoted])
    if not found:
        return None
    oid, _, shared, bound = found[0]
    columns = [TableColumn(*row) for row in reader.rows(_COLUMNS, [oid])]
    if not bound:
        columns = [TableColumn(*(*_values(column)[:7], False, column.deterministic)) for column in columns]
    indexes = reader.rows(_INDEXES, [oid]) if bound else []
    groups = reader.rows(_GROUPS, [relation.schema, relation.name])
    return Table(
        oid=oid,
        shared=shared,
        columns=tuple(columns),
        indexes=tuple(Index(tuple(names), unique, ordered) for names, unique, ordered in indexes),
        groups={name: int(count) for name, count in groups},
        rows=expected_rows(reader, f"SELECT FROM {relation.quoted}") if rows is None else rows,
    )


def expected_rows(reader: Reader, query: str) -> float:
    """Return how many rows the planner expects of a query."""
    ((plan,),) = reader.rows(f"EXPLAIN (FORMAT JSON) {query}")
    parsed = json.loads(plan) if isinstance(plan, str) else plan
    return float(parsed[0]["Plan"]["Plan Rows"])


def stored_rows(reader: Reader, relation: Relation) -> float:
    """Return how many rows a table had when it was last analyzed; at most 0 if that is not known."""
    found = reader.rows(_STORED, [relation.quoted])
    return float(found[0][0]) if found else 0.0


def source_like(table: Table, relation: Relation, wanted: Table) -> str:
    """Return SQL that reads a table as if it had another's columns.

    A part may be older than a column of the whole, or have it in a narrower type.
    """
    if [(c.name, c.full) for c in table.columns] == [(c.name, c.full) for c in wanted.columns]:
        return relation.quoted
    items = []
    for column in wanted.columns:
        name, own = quote_identifier(column.name), table.column(column.name)
        value = "NULL" if own is None else name
        items.append(
            name if own is not None and own.full == column.full else f"{value}::{column.full} AS {name}"
        )
    return f'(SELECT {", ".join(items)} FROM {relation.quoted}) AS "dataml part"'


def _values(column: TableColumn) -> tuple[Any, ...]:
    return tuple(getattr(column, name) for name in TableColumn.__slots__)

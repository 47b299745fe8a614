"""Variances, histograms, top values and sketches of all columns of a relation, in one statement.

Up to ``EXACT_ROWS`` rows they are read from every row. A larger relation is sampled row by row
(``BERNOULLI``: rows of one block resemble each other, so sampled blocks would feign more evidence than
they hold), about ``SAMPLED_ROWS`` of them, by a fixed seed: an unchanged table gives the same sample. What
cannot be sampled so (views, foreign tables) is sampled by a hash of the row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.profiles import CELLS, HASH_BITS, SKETCH, TOP_VALUES, bare_type, kind_of
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import Relation

# Parts of this size come often and are read from memory; five microseconds a row of twelve columns.
EXACT_ROWS = 100_000
# Enough to see shares of a five-thousandth, and a standard deviation within half a percent unless tails are heavy.
SAMPLED_ROWS = 50_000
# Edges need no more: they leave half the width as margin.
_EDGE_ROWS = 30_000
_COLUMNS_PER_SCAN = 40
_SEED = 7
_SAMPLED_KINDS = ("r", "m", "p", "t")
_HASH_STEPS = 1 << 30
# Columns with many values find their smallest hashes below this without grouping all of them.
_LOW_HASHES = (1 << HASH_BITS) // 16
_VALUE_CHARACTERS = 200
# What a record of one column comes to, without making the record.
_HASHES = {
    "smallint": "hashint2extended",
    "integer": "hashint4extended",
    "bigint": "hashint8extended",
    "real": "hashfloat4extended",
    "double precision": "hashfloat8extended",
    "numeric": "hash_numeric_extended",
    "timestamp without time zone": "timestamp_hash_extended",
}


@dataclass(slots=True)
class Distribution:
    """What was counted of one column.

    :param n: values that were looked at.
    :param variance: of numbers.
    :param lengths: shortest, longest, sum; of texts.
    """

    n: int = 0
    variance: float = 0.0
    cells: Counter[int] = field(default_factory=Counter)
    hashes: Counter[int] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    lengths: tuple[int | None, int | None, int] = (None, None, 0)


def finite(column: Column) -> str:
    """Condition that a number or moment has its place on a histogram."""
    name = quote_identifier(column.name)
    return f"isfinite({name})" if kind_of(column.type) == "temporal" else f"{name} BETWEEN -1e130 AND 1e130"


def read_distributions(
    db: Connection,
    relation: Relation,
    columns: Sequence[Column],
    scales: Sequence[Mapping[str, Any]],
    *,
    rows: int,
) -> list[Distribution]:
    """Count every column's values on its scale; booleans and columns without a value stay empty.

    :param scales: per column ``grid`` of numbers, ``width`` of moments.
    """
    found = [Distribution() for _ in columns]
    wanted = [i for i, c in enumerate(columns) if kind_of(c.type) != "boolean" and scales[i].get("grid", 1)]
    source = relation.quoted if rows <= EXACT_ROWS else _sample(db, relation, rows, SAMPLED_ROWS)
    for start in range(0, len(wanted), _COLUMNS_PER_SCAN):
        statement = _statement(columns, scales, wanted[start : start + _COLUMNS_PER_SCAN], source)
        for row in db.rows(statement):
            _enter(found[row["i"]], row)
    return found


def choose_edges(
    db: Connection,
    relation: Relation,
    columns: Sequence[tuple[Column, tuple[float, float]]],
    grids: dict[str, tuple[float, float]],
    *,
    rows: int,
) -> None:
    """Choose grids wide enough for what later parts bring: the middle 99.8 %, and half as much on either side.

    :param columns: columns without a grid, with their extremes.
    """
    source = relation.quoted if rows <= _EDGE_ROWS else _sample(db, relation, rows, _EDGE_ROWS)
    for start in range(0, len(columns), _COLUMNS_PER_SCAN):
        batch = columns[start : start + _COLUMNS_PER_SCAN]
        quantiles = (
            f"percentile_disc(array[0.001, 0.999]) WITHIN GROUP (ORDER BY {_position(c)}) AS q{i}"
            for i, (c, _) in enumerate(batch)
        )
        row = db.one(f"SELECT {', '.join(quantiles)} FROM {source}")
        for i, (column, extremes) in enumerate(batch):
            low, high = row[f"q{i}"] or extremes
            margin = (high - low) / 2 or max(abs(low), 1.0)
            grids[column.name] = (low - margin, high + margin)


def _sample(db: Connection, relation: Relation, rows: int, limit: int) -> str:
    kind = db.scalar("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [relation.quoted])
    if kind in _SAMPLED_KINDS:
        return f"{relation.quoted} TABLESAMPLE BERNOULLI ({100 * limit / rows:.6f}) REPEATABLE ({_SEED})"
    share = f"hashtextextended(t::text, {_SEED}) & {_HASH_STEPS - 1} < {limit * _HASH_STEPS // rows}"
    return f"(SELECT * FROM {relation.quoted} t WHERE {share}) t"


def _position(column: Column) -> str:
    """A number or moment as a place on a line, null where it has none."""
    name = quote_identifier(column.name)
    if kind_of(column.type) == "temporal":
        return f"CASE WHEN {finite(column)} THEN date_part('epoch', {name}) END"
    if column.type in ("smallint", "integer", "bigint"):
        return f"{name}::double precision"
    return f"CASE WHEN {finite(column)} THEN {name}::double precision END"


def _statement(
    columns: Sequence[Column], scales: Sequence[Mapping[str, Any]], wanted: Sequence[int], source: str
) -> str:
    """Every column is counted in a branch of its own over one copy of the rows."""
    taken, groups, branches = [], [], []
    for i in wanted:
        if kind_of(columns[i].type) in ("numeric", "temporal"):
            taken += [
                f"{_position(columns[i])} AS x{i}",
                f"{_hash(columns[i])} & {(1 << HASH_BITS) - 1} AS h{i}",
            ]
            groups += _line_groups(i, scales[i])
            branches += _line_branches(i)
        else:
            taken.append(f"{quote_identifier(columns[i].name)}::text AS v{i}")
            groups.append(
                f"g{i} AS (SELECT v{i} AS v, count(*) AS n FROM s WHERE v{i} IS NOT NULL GROUP BY v{i})"
            )
            branches += _value_branches(i)
    numbers = [i for i in wanted if kind_of(columns[i].type) == "numeric"]
    if numbers:
        groups.append(f"spread AS (SELECT {', '.join(f'var_pop(x{i}) AS var{i}' for i in numbers)} FROM s)")
        branches += (f"SELECT {i}, 'spread', NULL, NULL, var{i}::text FROM spread" for i in numbers)
    rows = f"s AS MATERIALIZED (SELECT {', '.join(taken)} FROM {source})"
    return f"WITH {', '.join([rows, *groups])} {' UNION ALL '.join(branches)}"


def _hash(column: Column) -> str:
    name = quote_identifier(column.name)
    function = _HASHES.get(bare_type(column.type))
    return f"{function}({name}, 0)" if function else f"hash_record_extended(ROW({name}), 0)"


def _line_groups(i: int, scale: Mapping[str, Any]) -> list[str]:
    """Count cells and low hashes at once; of the other hashes keep whether a cell has more than one."""
    if "width" in scale:
        cell = f"floor(x{i} / {scale['width']})::bigint"
    else:
        low, high = scale["grid"]
        cell = f"width_bucket(x{i}, '{low!r}', '{high!r}', {CELLS})::bigint"
    lowest = f"CASE WHEN h{i} < {_LOW_HASHES} THEN h{i} END"
    counts = f"count(*) AS n, min(h{i}) AS least, max(h{i}) AS most"
    return [
        f"g{i} AS (SELECT {cell} AS cell, {lowest} AS low, {counts} FROM s WHERE x{i} IS NOT NULL GROUP BY 1, 2)",
        f"l{i} AS ({_smallest('low', 'sum(n)', f'g{i}', 'low IS NOT NULL')})",
    ]


def _line_branches(i: int) -> list[str]:
    few = f"(SELECT count(*) FROM l{i}) < {SKETCH}"
    apart = f"(SELECT bool_and(least = most) FROM g{i})"
    known = _smallest("least", "sum(n)", f"g{i}", f"low IS NULL AND {few} AND {apart}")
    others = _smallest(
        f"h{i}", "count(*)", "s", f"x{i} IS NOT NULL AND h{i} >= {_LOW_HASHES} AND {few} AND NOT {apart}"
    )
    return [
        f"SELECT {i} AS i, 'cell' AS what, cell AS k, sum(n)::bigint AS n, NULL::text AS v FROM g{i} GROUP BY cell",
        *(
            f"SELECT {i}, 'hash', k, n, NULL FROM {rows}"
            for rows in (f"l{i}", f"({known}) m", f"({others}) m")
        ),
    ]


def _smallest(key: str, count: str, source: str, only: str) -> str:
    counted = f"SELECT {key} AS k, {count}::bigint AS n FROM {source} WHERE {only}"
    return f"{counted} GROUP BY {key} ORDER BY {key} LIMIT {SKETCH}"


def _value_branches(i: int) -> list[str]:
    shown = f'left(v, {_VALUE_CHARACTERS}) COLLATE "C"'
    hashed = f"hashtextextended(v, 0) & {(1 << HASH_BITS) - 1}"
    # Of many values, those seen once are no top values but whatever comes first.
    few = f"(SELECT count(*) FROM (SELECT FROM g{i} LIMIT {SKETCH}) f) < {SKETCH}"
    lengths = "concat_ws(' ', min(length), max(length), sum(length * n))"
    # Unless told not to, the planner has each of the three measure the texts.
    measured = f"(SELECT n, length(v) AS length FROM g{i} OFFSET 0) m"
    return [
        f"(SELECT {i} AS i, 'value' AS what, NULL::bigint AS k, n, {shown} AS v FROM g{i} WHERE n > 1 OR {few} ORDER BY n DESC, {shown} LIMIT {TOP_VALUES})",
        f"(SELECT {i}, 'hash', {hashed}, n, NULL FROM g{i} ORDER BY {hashed} LIMIT {SKETCH})",
        f"(SELECT {i}, 'length', NULL, sum(n)::bigint, {lengths} FROM {measured} HAVING count(*) > 0)",
    ]


def _enter(found: Distribution, row: Mapping[str, Any]) -> None:
    what, n = row["what"], row["n"]
    if what == "cell":
        found.cells[row["k"]] += n
        found.n += n
    elif what == "hash":
        found.hashes[row["k"]] += n
    elif what == "value":
        # Cut values may fall together.
        found.values[row["v"]] += n
    elif what == "spread":
        found.variance = float(row["v"] or 0)
    else:
        low, high, total = map(int, row["v"].split(" "))
        found.n, found.lengths = n, (low, high, total)

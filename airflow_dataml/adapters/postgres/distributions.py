"""Histograms, top values and sketches of all columns of a relation, in one statement.

Up to ``EXACT_ROWS`` rows they are read from every row. A larger relation is sampled row by row
(``BERNOULLI``: rows of one block resemble each other, so sampled blocks would feign more evidence than
they hold), about ``EXACT_ROWS`` of them, by a fixed seed: an unchanged table gives the same sample. What
cannot be sampled so (views, foreign tables) is sampled by a hash of the row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.profiles import CELLS, HASH_BITS, SKETCH, TOP_VALUES, kind_of
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import Relation

# Enough to see shares of a ten-thousandth; six microseconds a row of twelve columns.
EXACT_ROWS = 100_000
# Edges need no more: they leave half the width as margin.
_EDGE_ROWS = 30_000
_COLUMNS_PER_SCAN = 40
_SEED = 7
_SAMPLED_KINDS = ("r", "m", "p", "t")
_HASH_STEPS = 1 << 30
# Columns with many values find their smallest hashes below this without grouping all of them.
_LOW_HASHES = (1 << HASH_BITS) // 16
_VALUE_CHARACTERS = 200


@dataclass(slots=True)
class Distribution:
    """What was counted of one column.

    :param n: values that were looked at.
    :param lengths: shortest, longest, sum; of texts.
    """

    n: int = 0
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
    source = _source(db, relation, rows, EXACT_ROWS)
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
    source = _source(db, relation, rows, _EDGE_ROWS)
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


def _source(db: Connection, relation: Relation, rows: int, limit: int) -> str:
    if rows <= limit:
        return relation.quoted
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
        name = quote_identifier(columns[i].name)
        if kind_of(columns[i].type) in ("numeric", "temporal"):
            hashed = f"hash_record_extended(ROW({name}), 0) & {(1 << HASH_BITS) - 1}"
            taken += [f"{_position(columns[i])} AS x{i}", f"{hashed} AS h{i}"]
            groups.append(f"l{i} AS ({_smallest(i, f'h{i} < {_LOW_HASHES}')})")
            branches += _line_branches(i, scales[i])
        else:
            taken.append(f"{name}::text AS v{i}")
            groups.append(
                f"g{i} AS (SELECT v{i} AS v, count(*) AS n FROM s WHERE v{i} IS NOT NULL GROUP BY v{i})"
            )
            branches += _value_branches(i)
    rows = f"s AS MATERIALIZED (SELECT {', '.join(taken)} FROM {source})"
    return f"WITH {', '.join([rows, *groups])} {' UNION ALL '.join(branches)}"


def _line_branches(i: int, scale: Mapping[str, Any]) -> list[str]:
    if "width" in scale:
        cell = f"floor(x{i} / {scale['width']})::bigint"
    else:
        low, high = scale["grid"]
        cell = f"width_bucket(x{i}, '{low!r}', '{high!r}', {CELLS})::bigint"
    few = f"h{i} >= {_LOW_HASHES} AND (SELECT count(*) FROM l{i}) < {SKETCH}"
    return [
        f"SELECT {i} AS i, 'cell' AS what, {cell} AS k, count(*) AS n, NULL::text AS v FROM s WHERE x{i} IS NOT NULL GROUP BY {cell}",
        f"SELECT {i}, 'hash', k, n, NULL FROM l{i}",
        f"SELECT {i}, 'hash', k, n, NULL FROM ({_smallest(i, few)}) m",
    ]


def _smallest(i: int, only: str) -> str:
    hashes = f"SELECT h{i} AS k, count(*) AS n FROM s WHERE x{i} IS NOT NULL AND {only}"
    return f"{hashes} GROUP BY h{i} ORDER BY h{i} LIMIT {SKETCH}"


def _value_branches(i: int) -> list[str]:
    shown = f'left(v, {_VALUE_CHARACTERS}) COLLATE "C"'
    hashed = f"hashtextextended(v, 0) & {(1 << HASH_BITS) - 1}"
    lengths = "concat_ws(' ', min(length(v)), max(length(v)), sum(length(v) * n))"
    return [
        f"(SELECT {i} AS i, 'value' AS what, NULL::bigint AS k, n, {shown} AS v FROM g{i} ORDER BY n DESC, {shown} LIMIT {TOP_VALUES})",
        f"(SELECT {i}, 'hash', {hashed}, n, NULL FROM g{i} ORDER BY {hashed} LIMIT {SKETCH})",
        f"(SELECT {i}, 'length', NULL, sum(n)::bigint, {lengths} FROM g{i} HAVING count(*) > 0)",
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
    else:
        low, high, total = map(int, row["v"].split(" "))
        found.n, found.lengths = n, (low, high, total)

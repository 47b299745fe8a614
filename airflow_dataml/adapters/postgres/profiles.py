"""Profiles made in the database; no row leaves it.

One scan counts and sums every column (with the fingerprint, see ``fingerprints``); a second reads spreads,
histograms, top values and sketches of all columns from all rows or from a sample (``distributions``).
Grids of numbers seen for the first time cost a third, over a smaller sample. A float or moment that is
not finite is found by the first scan's extremes and costs that column one more.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.distributions import Distribution, choose_edges, read_distributions
from airflow_dataml.adapters.postgres.distributions import finite as finite_sql
from airflow_dataml.core.profiles import SKETCH, covered, distinct, kind_of, scaled, width_of
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import Relation

_INTEGERS = ("smallint", "integer", "bigint")
_FLOATS = ("real", "double precision")
# A statement returns at most 1,664 columns.
_COLUMNS_PER_SCAN = 150
_LARGEST = 1e130
# Beyond it doubles, and so JSON's readers, skip integers.
_EXACT = 2**53
# Text of values depends on these; workers of a parallel plan take them over.
_SETTINGS = {
    "jit": "off", "timezone": "UTC", "datestyle": "ISO, YMD", "intervalstyle": "postgres",
    "bytea_output": "hex", "extra_float_digits": "1", "xmlbinary": "base64",
}  # fmt: skip
# The sample of a distribution and its groups, which go to disk otherwise.
_WORK_MEM = (
    "set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 65536) || 'kB', true)"
)


@contextmanager
def reading(db: Connection) -> Iterator[None]:
    """Read under settings of our own, which end with it."""
    with db.errors(), db.raw.transaction(force_rollback=True):
        settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())
        db.execute(f"SELECT {settings}, {_WORK_MEM}")
        yield


def profile_relation(
    db: Connection, relation: Relation, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    """Profile every column of a table; ``grids`` gains the edges of numeric columns seen for the first time."""
    with reading(db):
        _, profile = scan_relation(db, relation, columns, grids)
    return profile


def scan_relation(
    db: Connection,
    relation: Relation,
    columns: Sequence[Column],
    grids: dict[str, tuple[float, float]],
    *,
    aggregates: str = "count(*) AS rows",
    beside: str = "",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Profile a relation with further aggregates in the same scan; returns them and the profile.

    :param aggregates: SQL of further aggregates, the count of rows as ``rows`` among them.
    :param beside: SQL joined to the relation that they need.
    """
    row: dict[str, Any] = {}
    for start in range(0, len(columns), _COLUMNS_PER_SCAN) or (0,):
        wanted = [f for i, c in _batch(columns, start) for f in _facts(i, c)]
        first = start == 0
        source = f"{relation.quoted} t {beside if first else ''}"
        row |= db.one(f"SELECT {', '.join([aggregates] * first + wanted)} FROM {source}")
    totals = {i: row[f"n{i}"] for i in range(len(columns))}
    odd = [(i, c) for i, c in enumerate(columns) if not _is_finite(row, i, c)]
    if odd:
        wanted = [f for i, c in odd for f in _facts(i, c, only=finite_sql(c))]
        row |= db.one(f"SELECT {', '.join(wanted)} FROM {relation.quoted} t")
    choose_edges(db, relation, _without_grid(columns, row, grids), grids, rows=row["rows"])
    scales = [_scale(i, c, row, grids) for i, c in enumerate(columns)]
    found = read_distributions(db, relation, columns, scales, rows=row["rows"])
    profiled = {}
    for i, column in enumerate(columns):
        profiled[column.name] = _column(i, column, row, scales[i], found[i], total=totals[i])
    return row, {"rows": row["rows"], "columns": profiled}


def _batch(columns: Sequence[Column], start: int) -> list[tuple[int, Column]]:
    return list(enumerate(columns))[start : start + _COLUMNS_PER_SCAN]


def _facts(i: int, column: Column, *, only: str = "") -> list[str]:
    """Aggregates of one column, named by its place.

    :param only: condition on the values that count; floats' sums never see others, which would overflow.
    """
    name, kind = quote_identifier(column.name), kind_of(column.type)
    rule = f" FILTER (WHERE {only})" if only else ""
    # To look at each value for NULL is cheaper than to count it; IS NULL would take a record of nulls for one.
    facts = [
        f"count({name}){rule} AS n{i}"
        if only
        else f"count(*) - count(*) FILTER (WHERE {name} IS NOT DISTINCT FROM NULL) AS n{i}"
    ]
    if kind == "numeric":
        bounded = f" FILTER (WHERE {finite_sql(column)})" if column.type in _FLOATS else rule
        # A real's sum would be a real.
        wide = f"{name}::double precision" if column.type == "real" else name
        facts += [
            f"min({name}){rule} AS low{i}", f"max({name}){rule} AS high{i}", f"sum({wide}){bounded} AS sum{i}",
        ]  # fmt: skip
    elif kind == "temporal":
        for side, extreme in (("low", f"min({name}){rule}"), ("high", f"max({name}){rule}")):
            facts += [f"to_json({extreme}) #>> '{{}}' AS {side}{i}", f"date_part('epoch', {extreme}) AS {side}_epoch{i}"]  # fmt: skip
    elif kind == "boolean":
        facts.append(f"count(*) FILTER (WHERE {name}) AS true{i}")
    return facts


def _is_finite(row: Mapping[str, Any], i: int, column: Column) -> bool:
    kind = kind_of(column.type)
    if not row[f"n{i}"] or kind not in ("numeric", "temporal"):
        return True
    suffix = "_epoch" if kind == "temporal" else ""
    return all(abs(float(row[f"{side}{suffix}{i}"])) <= _LARGEST for side in ("low", "high"))


def _without_grid(
    columns: Sequence[Column], row: Mapping[str, Any], grids: Mapping[str, Any]
) -> list[tuple[Column, tuple[float, float]]]:
    return [
        (c, (float(row[f"low{i}"]), float(row[f"high{i}"])))
        for i, c in enumerate(columns)
        if kind_of(c.type) == "numeric" and c.name not in grids and row[f"n{i}"]
    ]


def _scale(
    i: int, column: Column, row: Mapping[str, Any], grids: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """What a column's histogram is counted on."""
    kind = kind_of(column.type)
    if kind == "numeric":
        grid = grids.get(column.name)
        return {"grid": [float(edge) for edge in grid] if grid and row[f"n{i}"] else None}
    if kind == "temporal":
        low, high = row[f"low_epoch{i}"], row[f"high_epoch{i}"]
        return {"width": width_of(low, high) if row[f"n{i}"] else width_of(0, 0)}
    return {}


def _column(
    i: int,
    column: Column,
    row: Mapping[str, Any],
    scale: Mapping[str, Any],
    found: Distribution,
    *,
    total: int,
) -> dict[str, Any]:
    kind, n = kind_of(column.type), row[f"n{i}"]
    body: dict[str, Any] = {"type": column.type, "kind": kind, "nulls": row["rows"] - n}
    if total > n:
        body["nonfinite"] = total - n
    if kind == "boolean":
        sides = {"true": row[f"true{i}"], "false": n - row[f"true{i}"]}
        values = _ranked(sides)
        return body | {"distinct": len(values), "values": values, "other": 0}
    if kind == "numeric":
        body |= _numbers(i, column, row, found)
    elif kind == "temporal":
        body |= {"min": row[f"low{i}"], "max": row[f"high{i}"]}
    body |= scale
    if kind in ("numeric", "temporal"):
        cells = sorted(found.cells.items())
        counts = scaled([count for _, count in cells], n)
        body["cells"] = [[cell, count] for (cell, _), count in zip(cells, counts, strict=True)]
    else:
        body |= _values(found, n, lengths=kind == "text")
    if found.n < n:
        body["sampled"] = found.n
    hashes = [[value, count] for value, count in sorted(found.hashes.items())[:SKETCH]]
    sketch = {"n": found.n, "hashes": hashes}
    return body | {"distinct": distinct(sketch, total=covered(body)), "sketch": sketch}


def _numbers(i: int, column: Column, row: Mapping[str, Any], found: Distribution) -> dict[str, Any]:
    n = row[f"n{i}"]
    if not n:
        return {"min": None, "max": None, "sum": 0, "squares": 0}
    total = row[f"sum{i}"]
    low, high = (_number(row[f"{side}{i}"]) for side in ("low", "high"))
    return {
        "min": low,
        "max": high,
        "sum": int(total) if column.type in _INTEGERS else float(total),
        "squares": n * found.variance + float(total) ** 2 / n,
    }


def _number(value: Any) -> int | float:
    return value if isinstance(value, int) and abs(value) <= _EXACT else float(value)


def _values(found: Distribution, n: int, *, lengths: bool) -> dict[str, Any]:
    # Of many values, those seen once are no top values but whatever came first.
    many = len(found.hashes) >= SKETCH
    top = [pair for pair in found.values.most_common() if pair[1] > 1 or not many]
    rest = max(found.n - sum(count for _, count in top), 0)
    *counts, other = scaled([*(count for _, count in top), rest], n)
    pairs = _ranked({value: count for (value, _), count in zip(top, counts, strict=True)})
    body: dict[str, Any] = {"values": pairs, "other": other}
    if lengths:
        low, high, total = found.lengths
        share = n / found.n if found.n and not math.isclose(found.n, n) else 1
        body["length"] = {"min": low, "max": high, "sum": round(total * share)}
    return body


def _ranked(values: Mapping[str, int]) -> list[list[str | int]]:
    found = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return [[value, count] for value, count in found if count]

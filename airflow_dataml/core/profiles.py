"""Profiles of columns: counts, histograms and sketches that add up.

A profile is plain JSON, made once per part and merged per version::

    {"rows": 3, "columns": {
        "dep_delay": {"type": "integer", "kind": "numeric", "nulls": 0, "min": -3, "max": 40, "sum": 39, "squares": 1610.0,
                      "grid": [-60.0, 120.0], "cells": [[325, 1], [371, 1], [570, 1]],
                      "distinct": 3, "sketch": {"n": 3, "hashes": [[17, 1], [23, 1], [99, 1]]}},
        "departed":  {"type": "date", "kind": "temporal", "nulls": 0, "min": "2013-01-01", "max": "2013-01-03",
                      "width": 86400, "cells": [[15706, 2], [15708, 1]], "distinct": 2, "sketch": {...}},
        "cancelled": {"type": "boolean", "kind": "boolean", "nulls": 0, "distinct": 1, "values": [["false", 3]], "other": 0},
        "carrier":   {"type": "text", "kind": "text", "nulls": 0, "values": [["UA", 2], ["AA", 1]], "other": 0,
                      "length": {"min": 2, "max": 2, "sum": 6}, "distinct": 2, "sketch": {...}}}}

**Exact, always**: rows, nulls, min, max and sum; of booleans everything. A number that is
not finite (or beyond 1e130) and an infinite moment count as nulls; ``nonfinite`` says how many.

**Cells, top values, lengths, squares and the sketch** are exact for a part of moderate size and rest on
a sample of rows of a large one (``adapters.postgres.distributions``). Counts are then scaled to all the
column's values, squares are the sample's variance about the exact mean, so that they still add up over
parts, and ``sampled`` says on how many values they rest; without ``sampled`` every value was counted. Merging ``t`` values of which ``s`` were
counted with others keeps sum(t)^2 / sum(t^2 / s): the size of the plain sample whose shares would be
as uncertain (Kish, "Survey Sampling", 1965). Statistics take their n from ``counted``.

**Numeric histograms** have ``CELLS`` equal cells between two edges that the dataset keeps for ever;
cell 0 is below the grid, cell ``CELLS + 1`` above. **Temporal histograms** count cell ``i`` from
``i * width`` seconds after 1970 (UTC). Widths are steps of ``WIDTHS``, each a multiple of the one
before, so histograms of different widths add in the wider one, at most ``CELLS`` cells long.

**The sketch** holds the ``SKETCH`` values with the smallest hashes and how often each was counted
(Beyer et al., "On synopses for distinct-value estimation", SIGMOD 2007); it merges without loss. With
fewer values ``distinct`` is exact, and so it is when none of them was counted twice: then all differ.
Otherwise its standard error is 6 %. From a sample of rows it is a guess (Haas and Stokes, 1998): within a
fifth where all values are about as frequent and the sample meets them again, but a third or less of a long
tail, and all different where the sample happened on no value twice (measured on 100,000 of 5 million rows).
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CELLS = 1024
TOP_VALUES = 256
SKETCH = 256
# Hashes are cut to what JSON's numbers hold exactly.
HASH_BITS = 52
# Second to thousand years of 52 weeks.
WIDTHS = (1, 10, 60, 600, 3600, 21600, 86400, 604800, 2419200, 31449600, 314496000, 3144960000, 31449600000)

# Of a cell, or of a value, and its count; a thousand of them are added up many times in a comparison.
_COUNT: Callable[[Sequence[Any]], int] = itemgetter(1)

Kind = Literal["numeric", "temporal", "boolean", "text", "other"]
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "real", "double precision", "numeric"), "numeric"),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "temporal"),
    "boolean": "boolean",
    **dict.fromkeys(("text", "character varying", "character", "citext", "name"), "text"),
}


def kind_of(type_: str) -> Kind:
    """How a column of a PostgreSQL type is profiled.

    >>> kind_of("numeric(10,2)"), kind_of("timestamp(3) with time zone"), kind_of("uuid")
    ('numeric', 'temporal', 'other')
    """
    return _KINDS.get(bare_type(type_), "other")


def bare_type(type_: str) -> str:
    """A PostgreSQL type without its length or precision.

    >>> bare_type("numeric(10,2)"), bare_type("timestamp(3) with time zone")
    ('numeric', 'timestamp with time zone')
    """
    head, bracket, tail = type_.partition("(")
    return (head + tail.partition(")")[2] if bracket else head).strip()


def merge_profiles(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add profiles of disjoint row sets, in any order and grouping.

    Only the tail of top values may depend on the grouping, and only where a column has more than
    ``TOP_VALUES`` of them; totals never do.

    >>> one = {"rows": 1, "columns": {"c": {"type": "text", "nulls": 0, "distinct": 1, "values": [["a", 1]], "other": 0}}}
    >>> merge_profiles([one, one])["columns"]["c"]["values"]
    [['a', 2]]
    """
    names = dict.fromkeys(name for p in profiles for name in p["columns"])
    columns = {
        name: _merge_column(name, [p["columns"][name] for p in profiles if name in p["columns"]])
        for name in names
    }
    return {"rows": sum(p["rows"] for p in profiles), "columns": columns}


def _merge_column(name: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = columns[0]
    merged: dict[str, Any] = {"type": first["type"]}
    if "kind" in first:
        merged["kind"] = first["kind"]
    merged["nulls"] = sum(c["nulls"] for c in columns)
    if nonfinite := sum(c.get("nonfinite", 0) for c in columns):
        merged["nonfinite"] = nonfinite
    if first.get("kind") == "temporal":
        merged |= _merge_moments(columns)
    elif "grid" in first:
        merged |= _merge_numbers(name, columns)
    else:
        merged |= _merge_values(columns)
    if any("sampled" in c for c in columns):
        merged["sampled"] = _effective(columns)
    if all("sketch" in c for c in columns):
        merged["sketch"] = _merge_sketches([c["sketch"] for c in columns])
        merged["distinct"] = distinct(merged["sketch"], total=covered(merged))
    return merged


def _merge_numbers(name: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    grid = next((c["grid"] for c in columns if c["grid"]), None)
    if any(c["grid"] not in (None, grid) for c in columns):
        msg = f"column {name!r} was profiled on two grids; profiles of one dataset share theirs."
        raise SpecError(msg)
    cells: Counter[int] = Counter()
    for column in columns:
        cells.update(dict(column["cells"]))
    return {
        "min": min((c["min"] for c in columns if c["min"] is not None), default=None),
        "max": max((c["max"] for c in columns if c["max"] is not None), default=None),
        "sum": sum(c["sum"] for c in columns),
        "squares": sum(c["squares"] for c in columns),
        "grid": grid,
        "cells": [[cell, count] for cell, count in sorted(cells.items())],
    }


def _merge_moments(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    seen = [c for c in columns if c["cells"]]
    # A cell's first second names it in every width.
    width = max((c["width"] for c in seen), default=WIDTHS[0])
    if seen:
        low = min(c["cells"][0][0] * c["width"] for c in seen)
        high = max(c["cells"][-1][0] * c["width"] for c in seen)
        width = width_of(low, high, least=width)
    cells: Counter[int] = Counter()
    for column in seen:
        for cell, count in column["cells"]:
            cells[cell * column["width"] // width] += count
    return {
        "min": min((c["min"] for c in columns if c["min"] is not None), key=_moment, default=None),
        "max": max((c["max"] for c in columns if c["max"] is not None), key=_moment, default=None),
        "width": width,
        "cells": [[cell, count] for cell, count in sorted(cells.items())],
    }


def width_of(low: float, high: float, *, least: int = WIDTHS[0]) -> int:
    """The narrowest step of ``WIDTHS`` that spans two moments with ``CELLS`` cells.

    >>> width_of(0, 1000), width_of(0, 86400 * 365)
    (1, 86400)
    """
    fits = (w for w in WIDTHS if w >= least and high // w - low // w < CELLS)
    return next(fits, WIDTHS[-1])


def _moment(text: str) -> tuple[int, str]:
    """Order of moments as PostgreSQL writes them in ISO 8601, five-digit years and BC among them."""
    year, _, rest = text.partition("-")
    return (-int(year) if text.endswith("BC") else int(year), rest)


def _merge_values(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values: Counter[str] = Counter()
    for column in columns:
        values.update(dict(column["values"]))
    top = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:TOP_VALUES]
    other = sum(c["other"] for c in columns) + values.total() - sum(count for _, count in top)
    merged: dict[str, Any] = {
        "distinct": max(len(values), *(c["distinct"] for c in columns)),
        "values": [[value, count] for value, count in top],
        "other": other,
    }
    lengths = [c["length"] for c in columns if "length" in c]
    if lengths:
        merged["length"] = {
            "min": min((n["min"] for n in lengths if n["min"] is not None), default=None),
            "max": max((n["max"] for n in lengths if n["max"] is not None), default=None),
            "sum": sum(n["sum"] for n in lengths),
        }
    return merged


def _merge_sketches(sketches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    hashes: Counter[int] = Counter()
    n = 0
    for sketch in sketches:
        n += sketch["n"]
        hashes.update(dict(sketch["hashes"]))
    return {"n": n, "hashes": [[value, hashes[value]] for value in sorted(hashes)[:SKETCH]]}


def distinct(sketch: Mapping[str, Any], *, total: int) -> int:
    """How many different values a column has, from its sketch.

    :param total: values of the column, of which the sketch has seen ``n``.

    >>> distinct({"n": 4, "hashes": [[5, 3], [9, 1]]}, total=4)
    2
    """
    hashes, n = sketch["hashes"], sketch["n"]
    if not hashes:
        return 0
    full = len(hashes) == SKETCH
    once = sum(1 for _, count in hashes if count == 1) / len(hashes)
    if once == 1 and (full or n < total):
        return total
    seen = (SKETCH - 1) * 2**HASH_BITS / (hashes[-1][0] + 1) if full else float(len(hashes))
    if n < total:
        # Haas and Stokes' Duj1, as ANALYZE uses it: values seen once tell of those not seen.
        seen /= max(1 - seen * once * (1 / n - 1 / total), seen / total)
    return min(round(seen), total)


def covered(column: Mapping[str, Any]) -> int:
    """Values that a column's cells or top values stand for."""
    if "cells" in column:
        return sum(map(_COUNT, column["cells"]))
    return int(sum(map(_COUNT, column["values"])) + column["other"])


def counted(column: Mapping[str, Any]) -> float:
    """Values that a column's cells or top values really rest on: the n of a statistic on them."""
    return float(column.get("sampled", covered(column)))


def _effective(columns: Sequence[Mapping[str, Any]]) -> float:
    sizes = [(covered(c), counted(c)) for c in columns]
    spread = sum(total**2 / size for total, size in sizes if size)
    return sum(total for total, _ in sizes) ** 2 / spread if spread else 0.0


def scaled(counts: Sequence[int], total: int) -> list[int]:
    """Counts of a sample, brought to a total; whole numbers that add up to it exactly.

    >>> scaled([1, 1, 1], 10)
    [3, 4, 3]
    """
    size = sum(counts)
    if not size or size == total:
        return list(counts)
    seen = done = 0
    result = []
    for count in counts:
        seen += count
        upto = (2 * seen * total + size) // (2 * size)
        result.append(upto - done)
        done = upto
    return result


def mean(column: Mapping[str, Any], rows: int) -> float | None:
    """Return the mean of a numeric column's profile.

    >>> mean({"nulls": 1, "sum": 6.0}, 4)
    2.0
    """
    count = rows - int(column["nulls"])
    return float(column["sum"]) / count if count else None


def cells_of(values: Any, *, low: float, high: float) -> Counter[int]:
    """Histogram cells of an array, as PostgreSQL's ``width_bucket`` counts them.

    >>> sorted(cells_of([0.0, 0.5, 1.0, -3.0], low=0.0, high=1.0).items())
    [(0, 1), (1, 1), (513, 1), (1025, 1)]
    """
    np = load("numpy", extra="monitoring")

    position = np.asarray(values, dtype=float) - low
    position /= high - low
    position *= CELLS
    position += 1
    # Counted, not sorted: a tenth of the time. Within the edges cutting the fraction off is rounding down.
    np.clip(position, 0, CELLS + 1, out=position)
    counts = np.bincount(position.astype(np.intp).ravel(), minlength=CELLS + 2)
    cells = np.flatnonzero(counts)
    return Counter(dict(zip(cells.tolist(), counts[cells].tolist(), strict=True)))

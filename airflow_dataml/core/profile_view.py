"""Profiles as people look at them: a few numbers and some bars for each column; pure.

What a page gets is small whatever the profile holds: neither fine cells nor sketches leave the server.
Values themselves are shown only of columns that have few different ones, because names and numbers of
people are many; a column that a contract masks shows none, and no extremes either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.profiles import CELLS, mean, merge_profiles

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_dataml.core.datasets import Column, Part

    Profile = Mapping[str, Any]

BARS = 32
VALUES = 12
# A column with more different values than this has them counted, not shown.
FEW = 50
_LONGEST = 60
_INTEGERS = ("smallint", "integer", "bigint")


def version_profile(columns: Sequence[Column], parts: Sequence[Part]) -> dict[str, Any]:
    """Merge the profiles of a version's parts; a column that some part has no profile of is left out.

    A part without a column reads as nulls there, because it was written before the column came.
    """
    rows = sum(part.rows for part in parts)
    profiled = [part for part in parts if part.rows]
    merged: dict[str, Any] = {"rows": rows, "columns": {}}
    for name in (column.name for column in columns):
        having = [part for part in profiled if name in {c.name for c in part.columns}]
        seen = [_alone(part, name) for part in having if name in part.profile.get("columns", {})]
        if not seen or len(seen) < len(having):
            continue
        try:
            found = merge_profiles(seen)["columns"][name]
        except (SpecError, KeyError):
            # Parts from before a grid or a sketch was kept; the other columns are shown all the same.
            continue
        found["nulls"] += rows - sum(part.rows for part in having)
        merged["columns"][name] = found
    return merged


def _alone(part: Part, name: str) -> dict[str, Any]:
    return {"rows": part.rows, "columns": {name: part.profile["columns"][name]}}


def column_view(column: Profile, rows: int, *, masked: bool = False) -> dict[str, Any]:
    """Return the numbers of one column of a profile.

    :param masked: show neither values nor extremes.

    >>> view = column_view({"type": "integer", "nulls": 1, "distinct": 2, "min": 1, "max": 3, "sum": 4, "squares": 10.0}, 3)
    >>> view["mean"], view["std"], view["share"]
    (2.0, 1.0, 0.3333333333333333)
    """
    nulls = int(column["nulls"])
    shown = {} if masked else {"min": column.get("min"), "max": column.get("max")}
    moments: dict[str, Any] = {}
    if "sum" in column and rows > nulls and not masked:
        center = mean(column, rows) or 0.0
        spread = float(column.get("squares", 0.0)) / (rows - nulls) - center**2
        moments = {"mean": center, "std": math.sqrt(max(spread, 0.0)) if "squares" in column else None}
    return {
        "type": column["type"],
        "nulls": nulls,
        "share": nulls / rows if rows else 0.0,
        "distinct": column.get("distinct"),
        "nonfinite": column.get("nonfinite", 0),
        "sampled": column.get("sampled"),
        "length": column.get("length"),
        "masked": masked,
        **shown,
        **moments,
    }


def chart(*sides: Profile | None, masked: bool = False) -> dict[str, Any] | None:
    """Return the distributions of a column, of one version or of two, in the same bars; ``None`` if there are none.

    :param sides: the column in each version; ``None`` where a version does not have it.
    """
    known = [side for side in sides if side is not None]
    if not known or masked:
        return None
    if all("width" in side for side in known):
        return _moments(sides)
    if all("grid" in side for side in known):
        return _numbers(sides)
    return _values(sides) if all("values" in side for side in known) else None


def _numbers(sides: Sequence[Profile | None]) -> dict[str, Any] | None:
    grids = [side["grid"] for side in sides if side and side["grid"]]
    if not grids or any(grid != grids[0] for grid in grids):
        return None
    low, high = grids[0]
    cells = [dict(side["cells"]) if side else {} for side in sides]
    # Beyond the grid nothing is known but how many there are.
    outside = {
        "below": [counts.pop(0, 0) for counts in cells],
        "above": [counts.pop(CELLS + 1, 0) for counts in cells],
    }
    width = (high - low) / CELLS
    if width <= 1 and all(side["type"] in _INTEGERS for side in sides if side):
        whole = [{_integer(low + (cell - 1) * width): n for cell, n in found.items()} for found in cells]
        return _bars(whole, origin=0, width=1, kind="number") | outside
    return _bars(cells, origin=low - width, width=width, kind="number") | outside


def _integer(start: float) -> int:
    """Return the integer in a cell no wider than one; bars of equal numbers of integers do not flicker.

    >>> _integer(3.4), _integer(4.0000000000001)
    (4, 4)
    """
    return math.ceil(start - 1e-9 * max(1.0, abs(start)))


def _moments(sides: Sequence[Profile | None]) -> dict[str, Any]:
    width = max(side["width"] for side in sides if side)
    cells: list[dict[int, int]] = []
    for side in sides:
        counts: dict[int, int] = {}
        for cell, count in side["cells"] if side else ():
            wide = cell * side["width"] // width if side else cell
            counts[wide] = counts.get(wide, 0) + count
        cells.append(counts)
    return _bars(cells, origin=0, width=width, kind="moment") | {
        "below": [0] * len(sides),
        "above": [0] * len(sides),
    }


def _bars(sides: Sequence[Mapping[int, int]], *, origin: float, width: float, kind: str) -> dict[str, Any]:
    """Put fine cells into a few bars that span what is there.

    >>> _bars([{5: 2, 6: 1}], origin=0, width=10, kind="number")
    {'kind': 'number', 'low': 50, 'high': 70, 'counts': [[2, 1]]}
    """
    there = [cell for side in sides for cell in side]
    if not there:
        return {"kind": kind, "low": origin, "high": origin, "counts": [[] for _ in sides]}
    first, last = min(there), max(there)
    step = -(-(last - first + 1) // BARS)
    bars = (last - first) // step + 1
    counts = [[0] * bars for _ in sides]
    for side, found in zip(sides, counts, strict=True):
        for cell, count in side.items():
            found[(cell - first) // step] += count
    low = origin + first * width
    return {"kind": kind, "low": low, "high": low + bars * step * width, "counts": counts}


def _values(sides: Sequence[Profile | None]) -> dict[str, Any] | None:
    """Return the most frequent values, if there are few."""
    if any((side.get("distinct") or 0) > FEW or side["other"] for side in sides if side):
        return None
    counts = [dict(side["values"]) if side else {} for side in sides]
    totals = [sum(found.values()) or 1 for found in counts]
    names = dict.fromkeys(name for found in counts for name in found)
    share = {
        name: max(found.get(name, 0) / total for found, total in zip(counts, totals, strict=True))
        for name in names
    }
    top = sorted(names, key=lambda name: (-share[name], name))[:VALUES]
    return {
        "kind": "values",
        "names": [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in top],
        "counts": [[found.get(name, 0) for name in top] for found in counts],
        "other": [sum(n for name, n in found.items() if name not in top) for found in counts],
    }


def columns_view(
    columns: Sequence[Column], profile: Profile, *, masked: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return every column of a version: its type, and its numbers and bars where they are known."""
    found = profile["columns"]
    return [
        {"name": c.name, "type": c.type}
        | (
            column_view(found[c.name], profile["rows"], masked=c.name in masked)
            | {"type": c.type, "chart": chart(found[c.name], masked=c.name in masked)}
            if c.name in found
            else {}
        )
        for c in columns
    ]

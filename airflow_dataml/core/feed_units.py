"""Units: whether all values of a column are what they were, times one factor."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.profiles import CELLS, counted, covered

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["unit_change"]

# Factors that people convert by; each is meant in both directions.
CONVERSIONS = {
    "miles and kilometres": 1.609344, "pounds and kilograms": 2.2046226, "feet and metres": 3.2808399,
    "inches and centimetres": 2.54, "m/s and km/h": 3.6, "gallons and litres": 3.785411784,
}  # fmt: skip
SCALES = {
    "tens": 10.0, "percent, or cents": 100.0, "thousands": 1e3, "millions": 1e6, "billions": 1e9,
    "minutes and hours, or seconds": 60.0, "seconds and hours": 3600.0, "hours and days": 24.0,
    "minutes and days": 1440.0, "seconds and days": 86400.0, "grams and pounds": 453.59237, "dozens": 12.0,
    "ounces and grams": 28.349523, "inches and millimetres": 25.4, "inches and metres": 39.3700787, "square feet and metres": 10.7639104,
    "bytes and KiB": 1024.0, "bytes and MiB": 1048576.0,
}  # fmt: skip
# Fahrenheit from Celsius, and back; kelvin from Celsius, and back.
SHIFTS = {
    "Celsius to Fahrenheit": (1.8, 32.0), "Fahrenheit to Celsius": (1 / 1.8, -32 / 1.8),
    "Celsius to kelvin": (1.0, 273.15), "kelvin to Celsius": (1.0, -273.15),
}  # fmt: skip
# From here on a factor need not be one that people convert by.
LARGE = 8.0
FAR, NEAR = 0.2, 0.005
SIGMAS, ROUNDING = 3.0, 0.003
_PROBES = 64
# Where so many values lie outside the grid, its histogram says nothing of them.
UNSEEN = 0.5


def unit_change(
    before: Mapping[str, Any], now: Mapping[str, Any], *, spread: float = 0.0
) -> tuple[float, str] | None:
    """Return confidence and words where a numeric column is surely in another unit; ``None`` where it is not.

    Mean and standard deviation are exact in a profile, whatever fell off its histogram: if every value was multiplied
    by one factor, both were, and the extremes about so. Of a factor below ``LARGE``, or with a shift, as of
    temperatures, the histograms must agree too once it is undone.

    A world in which every value grows by such a factor at once looks the same, but few do.

    :param before: the column's profile in the reference.
    :param spread: by how much, as a share, its mean differs from batch to batch.

    >>> grid = {"kind": "numeric", "grid": [0.0, 1024.0], "nulls": 0}
    >>> km = grid | {"min": 1, "max": 9, "sum": 5000.0, "squares": 29000.0, "cells": [[i, 100] for i in range(2, 12)]}
    >>> m = grid | {"min": 1000, "max": 9000, "sum": 5e6, "squares": 29e9, "cells": [[1001, 100], [1025, 900]]}
    >>> unit_change(km, m)
    (0.97, 'is 1000 times what it was: mean 5 became 5000 and standard deviation 2 became 2000 (thousands)')
    """
    old, new = _moments(before), _moments(now)
    if old is None or new is None:
        return None
    return _scaled(before, now, old, new) or _converted(before, now, old, new, spread=spread)


def _moments(column: Mapping[str, Any]) -> tuple[float, float, int] | None:
    """Mean, standard deviation and size."""
    n = covered(column)
    if n < 2 or column.get("squares") is None:
        return None
    mean = float(column["sum"]) / n
    variance = max(float(column["squares"]) / n - mean**2, 0.0)
    return mean, math.sqrt(variance), n


Moments = tuple[float, float, int]


def _scaled(
    before: Mapping[str, Any], now: Mapping[str, Any], old: Moments, new: Moments
) -> tuple[float, str] | None:
    """A large factor that mean, spread and extremes agree on."""
    if min(old[1], new[1], abs(old[0]), abs(new[0])) <= 0 or (old[0] > 0) != (new[0] > 0):
        return None
    of_mean, of_spread = new[0] / old[0], new[1] / old[1]
    # A mean near nothing says little of a factor; then the spread alone says it, and the mean must not object.
    sure = abs(old[0]) > 0.2 * old[1]
    factor = math.sqrt(of_mean * of_spread) if sure else of_spread
    if not _large(factor) or (sure and abs(math.log(of_mean / of_spread)) > 0.3):
        return None
    if any(not _agree(before[side], now[side], factor) for side in ("min", "max")):
        return None
    name = _named(factor, SCALES, within=0.15)
    # Skewed values, as money, grow by tens and keep their shape only when somebody moved the point.
    if name is None and not _large(factor, least=50.0):
        return None
    words = (
        f"is {_figure(factor)} times what it was: mean {old[0]:.4g} became {new[0]:.4g} "
        f"and standard deviation {old[1]:.4g} became {new[1]:.4g}"
    )
    return (0.97, f"{words} ({name})") if name else (0.9, words)


def _large(factor: float, *, least: float = LARGE) -> bool:
    return factor >= least or factor <= 1 / least


def _agree(old: float, new: float, factor: float) -> bool:
    """Extremes vary a lot from batch to batch, but not by the factor."""
    if not old or not new:
        # Nothing stays nothing in every unit.
        return old == new or abs(old or new) < 1e-9 or abs(math.log(abs(factor))) > math.log(50.0)
    return abs(math.log(abs(new / old)) / math.log(factor) - 1) < 0.6


def _converted(
    before: Mapping[str, Any], now: Mapping[str, Any], old: Moments, new: Moments, *, spread: float
) -> tuple[float, str] | None:
    """A factor, or factor and shift, people convert by, after which the histograms are the same again."""
    if old[1] <= 0 or new[1] <= 0 or min(counted(before), counted(now)) < 200:
        return None
    noise = 1.5 * math.sqrt(1 / counted(before) + 1 / counted(now))
    raw = _distance(before, now, 1.0, 0.0)
    if raw < max(FAR, 3 * noise):
        return None
    for name, factor, shift in _candidates():
        # No season moves a temperature as far as another unit does; a factor is met by chance, and must fit closely.
        near = _near(factor, shift, old, new) if shift else _exact(factor, old, new, spread=spread)
        if not near:
            continue
        how = f"times {factor:.4g}" + (f" and {shift:+.4g}" if shift else "")
        if shift and _outside(now) > UNSEEN and _within(before, now, factor, shift):
            words = f"is what it was {how} ({name}): mean {old[0]:.4g} became {new[0]:.4g}, from {now['min']:.4g} to {now['max']:.4g}"
            return 0.85, words
        left = _distance(before, now, factor, shift)
        if left <= (raw / 2 if shift else NEAR + noise):
            words = f"is what it was {how} ({name}): undone, its histograms differ by {left:.3f} instead of {raw:.2f}"
            return 0.85, words
    return None


def _exact(factor: float, old: Moments, new: Moments, *, spread: float) -> bool:
    """Whether mean and spread grew by a factor, as nearly as samples of these sizes can say."""
    if not old[0] or not new[0] or (old[0] > 0) != (new[0] > 0):
        return False
    error = math.sqrt(sum((sd / mean) ** 2 / n for mean, sd, n in (old, new)))
    borne = SIGMAS * error + ROUNDING + spread
    of_mean, of_spread = math.log(new[0] / old[0] / factor), math.log(new[1] / old[1] / factor)
    # The spread of skewed values is less sure than their mean.
    return abs(of_mean) <= borne and abs(of_spread) <= 2 * borne


def _near(factor: float, shift: float, old: Moments, new: Moments) -> bool:
    moved = abs(old[0] * factor + shift - old[0])
    off = abs(old[0] * factor + shift - new[0])
    return off <= min(new[1], moved / 3) and abs(math.log(new[1] / old[1] / factor)) <= 0.25


def _outside(column: Mapping[str, Any]) -> float:
    outer = sum(count for cell, count in column["cells"] if cell in (0, CELLS + 1))
    return float(outer / max(covered(column), 1))


def _within(before: Mapping[str, Any], now: Mapping[str, Any], factor: float, shift: float) -> bool:
    """Whether the extremes are about what they were, once converted."""
    low, high = (float(before[side]) * factor + shift for side in ("min", "max"))
    slack = (high - low) / 2
    return bool(now["min"] >= low - slack and now["max"] <= high + slack)


def _candidates() -> list[tuple[str, float, float]]:
    factors = [(name, f, 0.0) for name, known in CONVERSIONS.items() for f in (known, 1 / known)]
    return [*factors, *((name, factor, shift) for name, (factor, shift) in SHIFTS.items())]


def _named(factor: float, names: Mapping[str, float], *, within: float) -> str | None:
    size = abs(math.log(factor))
    close = [(abs(size - math.log(known)), name) for name, known in names.items()]
    gap, name = min(close)
    return name if gap <= within else None


def _distance(before: Mapping[str, Any], now: Mapping[str, Any], factor: float, shift: float) -> float:
    """Largest distance of the two distribution functions, the earlier values times a factor, looked at inside both grids."""
    left, right = _cumulated(before), _cumulated(now)
    (low, high), (below, above) = left[0], right[0]
    ends = (low * factor + shift, high * factor + shift)
    start, end = max(ends[0], below), min(ends[1], above)
    if end <= start:
        return 1.0
    points = [start + (end - start) * i / _PROBES for i in range(1, _PROBES)]
    # Between the extremes of both, where the values are, more points than in empty stretches of the grid.
    middle = sorted(_middle(right))
    points += [p for p in middle if start < p < end]
    return max(abs(_below(left, (p - shift) / factor) - _below(right, p)) for p in points)


Cumulated = tuple[tuple[float, float], list[int], list[float]]


def _cumulated(column: Mapping[str, Any]) -> Cumulated:
    low, high = (float(edge) for edge in column["grid"])
    cells = [int(cell) for cell, _ in column["cells"]]
    total = sum(count for _, count in column["cells"]) or 1
    return (low, high), cells, [s / total for s in accumulate(count for _, count in column["cells"])]


def _middle(side: Cumulated) -> list[float]:
    (low, high), cells, _ = side
    width = (high - low) / CELLS
    step = max(len(cells) // _PROBES, 1)
    return [low + cell * width for cell in cells[::step] if 0 < cell <= CELLS]


def _below(side: Cumulated, value: float) -> float:
    """Share of values below one, a cell's spread evenly over it."""
    (low, high), cells, sums = side
    position = (value - low) / (high - low) * CELLS
    cell = min(max(math.floor(position) + 1, 0), CELLS + 1)
    index = bisect_left(cells, cell)
    before = sums[index - 1] if index else 0.0
    if index == len(cells) or cells[index] != cell:
        return before
    part = position - math.floor(position) if 0 < cell <= CELLS else 0.5
    return before + (sums[index] - before) * part


def _figure(factor: float) -> str:
    shown = round(factor) if factor >= 1 and abs(factor - round(factor)) < 0.02 * factor else factor
    return f"{shown:.4g}"

"""Rows of sources that stay what they are, and of ones that moved; numpy alone, so that every interpreter draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays

KINDS = ("normal", "heavy-tailed", "discrete", "zero-inflated", "seasonal")
# In standard deviations of the column.
SMALL, LARGE = 0.2, 0.5
WEEK = 7
# How far the days of a week swing about their mean, in standard deviations.
SEASON = 0.1
# Quartiles of Student's t with 2 degrees of freedom, brought to the scale of a normal law's.
_HEAVY = 0.8165 / 0.6745
_FULL, _EMPTY_STEP = 0.2, 0.6

# The large frames: 24 numbers and 6 categories, of which four moved.
NUMBERS, CATEGORIES = 24, 6
MOVED = ("c0", "n0", "n1", "n4")


@dataclass(frozen=True)
class Case:
    """Windows of one size from sources of one kind, against ten times the rows."""

    kind: str
    rows: int

    @property
    def reference_rows(self) -> int:
        """Ten windows, and never fewer than 10,000 rows."""
        return max(10 * self.rows, 10_000)

    def generator(self, *more: int) -> np.random.Generator:
        """Start the same stream in every interpreter."""
        return np.random.default_rng((KINDS.index(self.kind), self.rows, *more))

    def reference(self, features: int) -> Any:
        """Rows of the reference, ``[features, rows]``; of a seasonal source from all days alike."""
        draw = self.generator(0)
        days = np.arange(self.reference_rows) % WEEK
        return rows_of(draw, self.kind, (features, self.reference_rows), day=days)

    def window(self, day: int, features: int, *, shift: float = 0.0) -> Any:
        """Rows of one day, ``[features, rows]``."""
        draw = self.generator(1, day, round(shift * 100))
        return rows_of(draw, self.kind, (features, self.rows), day=day, shift=shift)


def rows_of(
    draw: np.random.Generator, kind: str, shape: tuple[int, int], *, day: Any, shift: float = 0.0
) -> Any:
    """Draw rows whose mean is moved by ``shift`` standard deviations."""
    if kind == "heavy-tailed":
        # By its inverse: variance is infinite, quartiles are not.
        place = draw.random(shape, dtype=np.float32) * np.float32(0.999999) + np.float32(5e-7)
        return (2 * place - 1) / np.sqrt(2 * place * (1 - place)) + np.float32(shift * _HEAVY)
    if kind == "discrete":
        return draw.poisson(3 + shift * math.sqrt(3), shape).astype(np.float32)
    if kind == "zero-inflated":
        full = draw.random(shape, dtype=np.float32) < _FULL + _EMPTY_STEP * shift
        return draw.standard_exponential(shape, dtype=np.float32) * full * np.float32(2)
    season = SEASON * math.sqrt(2) * np.sin(2 * np.pi * np.asarray(day) / WEEK) if kind == "seasonal" else 0.0
    return draw.standard_normal(shape, dtype=np.float32) + np.float32(shift) + np.float32(season)


def large_frames(rows: int) -> tuple[Any, Any]:
    """Reference and current of one day: n0 by .02 sd, n1 by 5 % of its spread, n4 by .1 sd, c0 by 2 points."""
    import pandas as pd

    draw, frames = np.random.default_rng(11), []
    for moved in (False, True):
        columns: dict[str, Any] = {f"n{i}": draw.standard_normal(rows) for i in range(NUMBERS)}
        if moved:
            columns["n0"] += 0.02
            columns["n1"] *= 1.05
            columns["n4"] += 0.1
        for i in range(CATEGORIES):
            names = np.array([f"v{value}" for value in range(5 + 3 * i)])
            shares = np.full(len(names), 1 / len(names))
            if moved and i == 0:
                shares[:2] += (0.02, -0.02)
            columns[f"c{i}"] = names[draw.choice(len(names), rows, p=shares)]
        frames.append(pd.DataFrame(columns).astype({f"c{i}": "str" for i in range(CATEGORIES)}))
    return frames[0], frames[1]

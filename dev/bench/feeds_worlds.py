"""A world of deliveries with a model that learnt from it, and what a feed or the world can do to a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, LEARNT = 3000, 3
COLUMNS = {
    "id": "bigint", "at": "timestamp", "miles": "double precision", "celsius": "double precision",
    "wind": "double precision", "rain": "double precision", "hour": "integer", "stops": "integer",
    "carrier": "text", "origin": "text", "express": "boolean",
}  # fmt: skip
FEATURES = [name for name in COLUMNS if name not in ("id", "at")]
CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E"]
ORIGINS = ["Newark", "Kennedy", "La Guardia"]

Rows = dict[str, Any]


class World:
    """Deliveries whose chance to be late is a logit of what is known of them, by month and with seasons."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        draw = self.draw
        self.shares = draw.dirichlet(np.array([12, 10, 9, 8, 6, 5, 4, 3.0]))
        self.origins = draw.dirichlet(np.array([10, 9, 8.0]))
        self.spread = draw.uniform(0.4, 0.8)
        self.swing = draw.uniform(1, 4)
        # The largest effects are of distance, temperature and carrier.
        self.weights = draw.uniform(1.2, 2.2, 4) * draw.choice([-1, 1], 4)
        self.by_carrier = dict(zip(CARRIERS, draw.normal(0, 1.2, len(CARRIERS)), strict=True))
        self.month = 0

    def batch(self, *, longer: float = 0.0, of: float = 1.0, warmer: float = 0.0, shares: Any = None) -> Rows:
        """Rows of the next month.

        :param longer: by how much the logarithm of the distance moved,
        :param of: in this share of the rows.
        :param warmer: by how many degrees it is.
        """
        draw, self.month = self.draw, self.month + 1
        n = int(ROWS * draw.uniform(0.85, 1.15))
        season = self.swing * np.sin(self.month)
        carriers = self.shares * draw.uniform(0.9, 1.1, len(CARRIERS)) if shares is None else shares
        return {
            "id": self.month * 1_000_000 + draw.permutation(n),
            "at": self.month * 2_600_000 + np.sort(draw.uniform(0, 2_500_000, n)),
            "miles": np.round(draw.lognormal(3 + longer * (draw.random(n) < of), self.spread), 3),
            "celsius": np.round(draw.normal(12 + season + warmer, 7, n), 1),
            "wind": np.round(draw.gamma(2.5, 2, n), 1),
            "rain": np.where(draw.random(n) < 0.75, 0.0, np.round(draw.exponential(0.3, n), 2)),
            "hour": np.clip(np.round(draw.normal(14, 4.5, n)), 0, 23).astype(int),
            "stops": draw.poisson(1.3, n),
            "carrier": draw.choice(CARRIERS, n, p=carriers / carriers.sum()).astype(object),
            "origin": draw.choice(ORIGINS, n, p=self.origins).astype(object),
            "express": draw.random(n) < 0.3,
        }

    def logit(self, rows: Rows, *, weights: Any = None) -> Any:
        """What the model knows and, but for a change of the concept, is so; what is missing counts as usual."""
        w = self.weights if weights is None else weights
        numbers = {name: rows[name].astype(float) for name in ("miles", "celsius", "wind", "hour")}
        z = w[0] * (np.log(np.maximum(numbers["miles"], 1e-3)) - 3) / self.spread
        z = np.where(np.isnan(z), 0.0, z) + np.nan_to_num(w[1] * (numbers["celsius"] - 12) / 7)
        z = z + np.nan_to_num(
            w[2] * 0.4 * (numbers["wind"] - 5) / 3 + w[3] * 0.4 * (numbers["hour"] - 14) / 4.5
        )
        return z - 0.5 + np.array([self.by_carrier.get(c, 0.0) for c in rows["carrier"]])

    def late(self, rows: Rows, *, weights: Any = None) -> Any:
        """Labels."""
        return self.draw.random(len(rows["id"])) < 1 / (1 + np.exp(-self.logit(rows, weights=weights)))


def _part(rows: Rows, chosen: Any) -> Rows:
    return {name: values[chosen] for name, values in rows.items()}


def unit_change(draw: Any, rows: Rows) -> Rows:
    """One column in another unit."""
    column, change = [
        ("miles", lambda v: np.round(v * 1.609344, 3)),
        ("miles", lambda v: np.round(v * 1609.344, 1)),
        ("celsius", lambda v: np.round(v * 1.8 + 32, 1)),
        ("celsius", lambda v: np.round(v + 273.15, 2)),
        ("wind", lambda v: np.round(v * 3.6, 1)),
        ("rain", lambda v: np.round(v * 25.4, 2)),
        ("rain", lambda v: v * 100),
        ("miles", lambda v: np.round(v / 1000, 6)),
    ][draw.integers(8)]
    return rows | {column: change(rows[column])}


def null_burst(draw: Any, rows: Rows) -> Rows:
    """A column that is missing in many rows, or in all."""
    column = FEATURES[draw.integers(len(FEATURES))]
    gone = draw.random(len(rows["id"])) < draw.choice([0.25, 0.5, 0.8, 1.0])
    values = rows[column].astype(object)
    values[gone] = None
    return rows | {column: values}


def duplicated_join(draw: Any, rows: Rows) -> Rows:
    """Rows that match several of another table."""
    n = len(rows["id"])
    times = np.where(draw.random(n) < draw.uniform(0.15, 1.0), draw.integers(2, 4, n), 1)
    return _part(rows, np.repeat(np.arange(n), times))


def category_rename(draw: Any, rows: Rows) -> Rows:
    """Values that go by another name: one of them, or all in other letters."""
    column = str(draw.choice(["carrier", "origin"]))
    values = rows[column].copy()
    if draw.random() < 0.4:
        return rows | {column: np.array([v.lower() for v in values], dtype=object)}
    old = (CARRIERS if column == "carrier" else ORIGINS)[draw.integers(3)]
    values[values == old] = f"{old[:1]}X-{draw.integers(100)}"
    return rows | {column: values}


def late_data(draw: Any, rows: Rows) -> Rows:
    """A batch cut off where the rest had not come yet, or joined before the other table had."""
    if draw.random() < 0.5:
        return _part(rows, np.arange(int(len(rows["id"]) * draw.uniform(0.05, 0.4))))
    late = rows["at"] > np.quantile(rows["at"], draw.uniform(0.2, 0.7))
    changed = dict(rows)
    for column in ("celsius", "wind", "rain"):
        changed[column] = np.where(late, np.nan, rows[column])
    return changed


FAULTS: dict[str, Callable[[Any, Rows], Rows]] = {
    "unit change": unit_change,
    "null burst": null_burst,
    "duplicated join": duplicated_join,
    "category rename": category_rename,
    "late data": late_data,
}


def changed_shares(world: World) -> Any:
    """A carrier leaves, and the others take over its customers."""
    shares = world.shares.copy()
    shares[world.draw.integers(4)] = 0.0
    return shares

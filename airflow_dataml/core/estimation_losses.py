"""The loss of a regression without labels, from the features: an additive model of it over bins and pairs of bins.

A score says little of how wrong a regression is; what it is asked about says more. On the holdout the squared error is
fitted as a sum of one term for every bin of a feature, the score among them, and one for every cell of the few pairs of
features that explain most of what is left: the idea of NannyML's direct loss estimation with the model of Lou, Caruana,
Gehrke and Hooker ("Accurate intelligible models with pairwise interactions", KDD 2013), shrunk by ridge regression. A
sum of terms needs no rows, so a batch is estimated from how many of its rows each bin and each cell has.

Estimates are anchored: a batch with the holdout's bins is estimated at exactly what the holdout measured. Intervals add
what the batch's own labels will scatter to the doubt about the terms, which are fitted again without each tenth of the
rows (the jackknife by groups of Quenouille and Tukey).

**Limits.** As of all that is told without labels: where the same features begin to mean something else, nothing is seen.
Values beyond those of the holdout are taken for the nearest, categories it did not have for its rare ones, and of three
features that matter only together the pairs alone are seen.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTRA = "monitoring"
COARSE = 8
GROUPS = 10

#: Rows of a batch by the place of a feature and its bin, and by two places and the bins of both.
Counts = tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...]


@dataclass(frozen=True, slots=True)
class Binned:
    """A feature cut into bins: 0 is missing, then the numeric ranges from below or the categories by their frequency.

    :param edges: of a number, the lowest value of each range but the first.
    :param values: of a category, those with a bin of their own; all others share the one after.
    """

    name: str
    edges: tuple[float, ...] | None = None
    values: tuple[str, ...] = ()

    @property
    def bins(self) -> int:
        """How many there are, with that of missing values."""
        return 2 + len(self.values if self.edges is None else self.edges)

    @classmethod
    def fit(cls, name: str, column: Any, *, bins: int) -> Self:
        """Cut a column: numbers into ranges of equal share, an object array into its most frequent texts."""
        np = load("numpy", extra=_EXTRA)
        if column.dtype == object:
            rows = Counter(column.tolist())
            rows.pop(None, None)
            # By name where as many rows have them, for the order of rows is nobody's promise.
            named = sorted(rows, key=lambda value: (-rows[value], value))
            return cls(name, None, tuple(named[: bins - 1]))
        known = np.sort(column[np.isfinite(column)])
        if not len(known):
            return cls(name, ())
        starts = known[np.arange(1, bins) * len(known) // bins]
        return cls(name, tuple(np.unique(starts[starts > known[0]]).tolist()))

    def codes(self, column: Any) -> Any:
        """The bin of every row."""
        np = load("numpy", extra=_EXTRA)
        if self.edges is not None:
            return np.where(np.isfinite(column), np.searchsorted(self.edges, column, side="right") + 1, 0)
        place = {value: at for at, value in enumerate(self.values, 1)} | {None: 0}
        other = self.bins - 1
        return np.array([place.get(value, other) for value in column.tolist()], dtype=np.int64)

    def coarse(self, codes: Any) -> Any:
        """The bin of a pair that a bin belongs to."""
        np = load("numpy", extra=_EXTRA)
        codes = np.asarray(codes)
        if self.edges is None:
            return np.minimum(codes, COARSE)
        ranges = self.bins - 1
        return codes if ranges <= COARSE else np.where(codes > 0, 1 + (codes - 1) * COARSE // ranges, 0)


@dataclass(frozen=True, slots=True)
class LossModel:
    """What the squared error of a regression is expected to be, by the bins of its features.

    :param features: the binned ones, the score last.
    :param pairs: places of the two features of each pair.
    :param cells: every term's block, a feature or a pair in this order, and its place there.
    :param terms: a first term for all rows, and the others; so too of each replica, fitted without a tenth of the rows.
    :param spread: terms of the variance of the squared error.
    :param overall: variance of the squared error on the holdout.
    :param released: mean squared error of the holdout.
    """

    features: tuple[Binned, ...]
    pairs: tuple[tuple[int, int], ...]
    cells: tuple[tuple[int, int], ...]
    terms: tuple[float, ...]
    replicas: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]
    overall: float
    released: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, of some tens of kilobytes at most."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        features = tuple(
            Binned(one["name"], None if one["edges"] is None else tuple(one["edges"]), tuple(one["values"]))
            for one in data["features"]
        )
        nested: dict[str, Any] = {
            name: tuple(map(tuple, data[name])) for name in ("pairs", "cells", "replicas")
        }
        plain = {name: tuple(data[name]) for name in ("terms", "spread")}
        return cls(features=features, overall=data["overall"], released=data["released"], **nested, **plain)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """The features that bins and cells are of."""
        return (*((at,) for at in range(len(self.features))), *self.pairs)

    def counts(self, columns: Mapping[str, Any]) -> Counts:
        """Count rows in the bins and cells of this model.

        :param columns: by feature, ``[n]`` each.
        """
        np = load("numpy", extra=_EXTRA)
        codes = [one.codes(columns[one.name]) for one in self.features]
        found = []
        for block in self.blocks:
            flat = np.zeros(len(codes[0]), dtype=np.int64)
            for at in block:
                flat = flat * self.features[at].bins + codes[at]
            rows = np.bincount(flat)
            cells = np.flatnonzero(rows)
            bins = np.unravel_index(cells, [self.features[at].bins for at in block])
            each = zip(zip(*(one.tolist() for one in bins), strict=True), rows[cells].tolist(), strict=True)
            found += [(block, own, count) for own, count in each]
        return tuple(found)

    def estimate(self, counts: Counts, *, level: float = 0.95) -> dict[str, Interval]:
        """What the labels of a batch are expected to show; nothing for a batch without a row.

        :param counts: as :meth:`counts` gives them; how the batch is spread over bins.
        :param level: share of batches whose measured metric the interval holds, while features mean what they meant.
        """
        np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
        n = sum(rows for block, _, rows in counts if block == (0,))
        if not n:
            return {}
        shares = self._shares(counts, n)
        value = float(shares @ self.terms)
        others = np.asarray(self.replicas) @ shares
        doubt = (GROUPS - 1) / GROUPS * float(((others - others.mean()) ** 2).sum())
        # A sum of terms may fall below zero, which no variance does.
        scatter = max(float(shares @ self.spread), self.overall / 4) / n
        share = (1 + level) / 2
        half = math.hypot(
            float(stats.t.ppf(share, GROUPS - 1)) * math.sqrt(doubt),
            float(stats.norm.ppf(share)) * math.sqrt(scatter),
        )
        mean = [max(one, 0.0) for one in (value, value - half, value + half)]
        root = [math.sqrt(one) for one in mean]
        return {
            "mean_squared_error": Interval(mean[0], mean[1], mean[2], level, n),
            "root_mean_squared_error": Interval(root[0], root[1], root[2], level, n),
        }

    def _shares(self, counts: Counts, n: int) -> Any:
        """Share of the rows that each term is for."""
        np = load("numpy", extra=_EXTRA)
        place = {cell: at for at, cell in enumerate(self.cells, 1)}
        order = {block: at for at, block in enumerate(self.blocks)}
        coarse = [one.coarse(np.arange(one.bins)).tolist() for one in self.features]
        found = [0.0] * len(self.terms)
        for block, bins, rows in counts:
            cell = bins[0]
            if len(block) > 1:
                cell = cell_of(*(coarse[at][code] for at, code in zip(block, bins, strict=True)))
            at = place.get((order[block], cell))
            if at is not None:
                found[at] += rows
        shares = np.array(found) / n
        shares[0] = 1.0
        return shares


def cell_of(one: Any, other: Any) -> Any:
    """The cell of a pair, of the coarser bins of both.

    >>> cell_of(2, 3)
    21
    """
    return one * (COARSE + 1) + other

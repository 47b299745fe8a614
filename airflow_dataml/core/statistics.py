"""Statistics on counts and losses; pure, numpy and scipy inside.

Every test here is calibrated to both sample sizes and has a tolerance: with enough rows every
difference is significant, so the question is whether it is *larger than we care about*.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXTRA = "monitoring"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float
    level: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ShiftTest:
    """Whether two histograms differ by more than a tolerance."""

    psi: float
    p_value: float
    bins: int


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """Population stability index of two histograms, smoothed by half a count per bin.

    The symmetrised Kullback-Leibler divergence; 0 for equal shares, .1 is commonly called moderate
    and .25 large.

    >>> round(psi([50, 50], [50, 50]), 6)
    0.0
    >>> round(psi([500, 500], [300, 700]), 3)
    0.169
    """
    bins = len(reference)
    n, m = sum(reference) + bins / 2, sum(current) + bins / 2
    total = 0.0
    for left, right in zip(reference, current, strict=True):
        p, q = (left + 0.5) / n, (right + 0.5) / m
        total += (q - p) * math.log(q / p)
    return total


def shift_test(reference: Sequence[float], current: Sequence[float], *, tolerance: float) -> ShiftTest:
    """Test whether PSI exceeds ``tolerance`` beyond what the two sample sizes explain.

    PSI / (1/n + 1/m) is asymptotically non-central chi-squared with B - 1 degrees of freedom and
    non-centrality tolerance / (1/n + 1/m); at tolerance 0 it is the classical two-sample test
    (B. Yurdakul, "Statistical Properties of Population Stability Index", 2018).

    >>> shift_test([5000, 5000], [4990, 5010], tolerance=0.0).p_value > 0.5
    True
    >>> shift_test([5000, 5000], [2000, 8000], tolerance=0.1).p_value < 1e-6
    True
    """
    value = psi(reference, current)
    bins = len(reference)
    if bins < 2:
        return ShiftTest(value, 1.0, bins)
    scale = 1 / max(sum(reference), 1) + 1 / max(sum(current), 1)
    return ShiftTest(value, chi_squared_tail(value / scale, bins - 1, tolerance / scale), bins)


def chi_squared_tail(statistic: float, freedom: int, centre: float) -> float:
    """Chance of a chi-squared variable above ``statistic``.

    :param centre: its non-centrality; 0 is the usual law.

    >>> round(chi_squared_tail(3.841, 1, 0.0), 4), round(chi_squared_tail(3.841, 1, 7.849), 2)
    (0.05, 0.8)
    """
    stats = load("scipy.stats", extra=_EXTRA)

    # A frozen law of scipy's would cost ten times the number.
    if centre > 0:
        return float(stats.ncx2.sf(statistic, freedom, centre))
    return float(stats.chi2.sf(statistic, freedom))


def benjamini_hochberg(p_values: Sequence[float], *, level: float) -> list[bool]:
    """Which hypotheses to reject so that at most ``level`` of the rejections are false, on average.

    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57, 289-300.

    >>> benjamini_hochberg([0.001, 0.2, 0.04], level=0.05)
    [True, False, False]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    cutoff = -1
    for rank, index in enumerate(order):
        if p_values[index] <= level * (rank + 1) / len(p_values):
            cutoff = rank
    rejected = set(order[: cutoff + 1])
    return [i in rejected for i in range(len(p_values))]


def equal_share_bins(cells: Sequence[Sequence[int]], *, bins: int) -> list[int]:
    """Upper cell of each bin so that the bins hold about equal shares of a fine histogram.

    A cell that holds a whole share has a bin alone, so that its growing or shrinking shows.

    >>> equal_share_bins([[1, 10], [2, 10], [3, 10], [4, 10]], bins=2)
    [2, 4]
    >>> equal_share_bins([[1, 3], [2, 95], [9, 2]], bins=20)
    [1, 2, 9]
    """
    share = sum(count for _, count in cells) / bins
    edges: list[int] = []
    running, before = 0.0, None
    for cell, count in cells:
        if count >= share and running and before is not None:
            edges.append(before)
            running = 0.0
        running += count
        if running >= share * (1 - 1e-9):
            edges.append(cell)
            running = 0.0
        before = cell
    if running and before is not None:
        edges.append(before)
    return edges


def count_into(cells: Sequence[Sequence[int]], edges: Sequence[int], *, lowest: int) -> list[int]:
    """Counts of a fine histogram in the bins of ``equal_share_bins``, between two open outer bins.

    :param lowest: the first cell the bins were made from; what lies below it was never seen.

    >>> count_into([[0, 7], [1, 5], [9, 1]], [2, 4], lowest=1)
    [7, 5, 0, 1]
    """
    counts = [0] * (len(edges) + 2)
    for cell, count in cells:
        counts[0 if cell < lowest else bisect.bisect_left(edges, cell) + 1] += count
    return counts


def log_losses(labels: Any, scores: Any) -> Any:
    """Log loss of every row, scores kept 1e-7 from certainty.

    >>> [round(float(x), 4) for x in log_losses([1, 0], [0.9, 0.9])]
    [0.1054, 2.3026]
    """
    np = load("numpy", extra=_EXTRA)

    labels, scores = np.asarray(labels, dtype=float), np.clip(np.asarray(scores, dtype=float), 1e-7, 1 - 1e-7)
    return -(labels * np.log(scores) + (1 - labels) * np.log1p(-scores))


def squared_errors(labels: Any, scores: Any) -> Any:
    """Squared error of every row.

    >>> squared_errors([1.0], [3.0]).tolist()
    [4.0]
    """
    np = load("numpy", extra=_EXTRA)

    return (np.asarray(labels, dtype=float) - np.asarray(scores, dtype=float)) ** 2


def roc_auc(labels: Any, scores: Any) -> float | None:
    """Area under the ROC curve by ranks (Mann-Whitney); ``None`` when one class is missing.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    np = load("numpy", extra=_EXTRA)
    stats = load("scipy.stats", extra=_EXTRA)

    labels = np.asarray(labels, dtype=bool)
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not positive or not negative:
        return None
    ranks = stats.rankdata(scores)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def mean_interval(n: int, total: float, squares: float, *, level: float) -> Interval:
    """Mean with a normal interval from three sums, so that no row leaves the database.

    >>> interval = mean_interval(100, 50.0, 50.0, level=0.95)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.402, 0.598)
    """
    stats = load("scipy.stats", extra=_EXTRA)

    estimate = total / n
    variance = max(squares - n * estimate**2, 0.0) / max(n - 1, 1)
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(variance / n)
    return Interval(estimate, estimate - half, estimate + half, level, n)


def bootstrap_mean(values: Any, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean with a percentile bootstrap interval.

    Of per-row differences of two models on the same rows it is the *paired* bootstrap (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Resamples are multinomial
    counts over at most 512 groups of rows, so the cost does not grow with the rows.

    >>> bootstrap_mean([1.0, 1.0, 1.0]).low
    1.0
    """
    np = load("numpy", extra=_EXTRA)

    values = np.asarray(values, dtype=float)
    n = len(values)
    generator = np.random.default_rng(seed)
    # Rows in random groups: their sums carry the variance of the mean.
    shuffled = values[generator.permutation(n)]
    groups = np.array_split(shuffled, min(n, 512))
    sums = np.array([g.sum() for g in groups])
    sizes = np.array([len(g) for g in groups], dtype=float)
    weights = generator.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    means = (weights @ sums) / (weights @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), level, n)

"""Whether two samples come from sources that differ by more than is borne; pure, on counts.

Every test here is calibrated to both sample sizes and asks one and the same question, in one unit:
is the population stability index of the two *sources* above ``tolerance``? Where ``tolerance`` is 0
it is the classical test of equal sources. Few rows make a test blind, never rash: what a test on so
few rows is worth is for the caller, who says ``unknown`` below a least number of them.

A column gives a family of such tests, a window the family of all its columns; ``adjust`` holds the
false alarms of a whole family.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.distances import kolmogorov_smirnov, symmetric_chi2
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import benjamini_hochberg, chi_squared_tail, shift_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXTRA = "monitoring"

Correction = Literal["bh", "holm"]

# Normal quantiles over which an exact test is summed; the trapezoid of a bell is exact to 1e-12 at this step.
_STEP, _REACH = 0.25, 8.5
# A normal quantile of 8.5: below it p values are not told apart.
_LEAST = 1e-17
# Halvings that bring a log-odds to within 1e-12.
_HALVINGS = 50


@dataclass(frozen=True, slots=True)
class DriftTest:
    """What one test says of one column.

    :param test: ``psi``, ``ks``, ``categories``, ``new_category`` or ``missing``.
    :param statistic: how far the two samples lie apart, in the measure of the test.
    :param p_value: how often sources within the tolerance look at least so far apart.
    """

    test: str
    statistic: float
    p_value: float
    n_reference: int
    n_current: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def value_tests(
    reference: Sequence[float], current: Sequence[float], *, tolerance: float, ordered: bool
) -> tuple[DriftTest, ...]:
    """Test whether values moved, on the counts of both samples in the same bins.

    Bins in an order are asked by two tests, of the shares of the bins and of the largest gap between the two
    cumulated shares: the one sees any change, the other sooner one that goes the same way in many bins.

    :param tolerance: population stability index that is borne.
    :param ordered: whether the bins have an order, as those of numbers do.

    >>> [(t.test, t.p_value < 0.001) for t in value_tests([500] * 4, [300, 450, 550, 700], tolerance=0.0, ordered=True)]
    [('psi', True), ('ks', True)]
    >>> [t.test for t in value_tests([500] * 4, [300, 450, 550, 700], tolerance=0.0, ordered=False)]
    ['categories']
    """
    if not ordered:
        return (contingency_test(reference, current, tolerance=tolerance),)
    sizes = (round(sum(reference)), round(sum(current)))
    shift = shift_test(reference, current, tolerance=tolerance)
    return (
        DriftTest("psi", shift.psi, shift.p_value, *sizes),
        ks_test(reference, current, tolerance=tolerance),
    )


def ks_test(reference: Sequence[float], current: Sequence[float], *, tolerance: float) -> DriftTest:
    """Test whether the largest gap of the two cumulated shares is surely above ``ks_tolerance``.

    The p value is the level at which the lower confidence bound of the Kolmogorov-Smirnov distance,
    D - K(level) sqrt(1/n + 1/m) with K the quantile of Kolmogorov's law, meets that tolerance: the gap of the
    samples is off by no more than the gap of their errors (Smirnov, "Table for estimating the goodness of fit
    of empirical distributions", 1948). Ties and bins only make it more careful.

    >>> test = ks_test([100, 100], [60, 140], tolerance=0.0)
    >>> round(test.statistic, 3), round(test.p_value, 4)
    (0.2, 0.0007)
    """
    special = load("scipy.special", extra=_EXTRA)

    n, m = sum(reference), sum(current)
    sizes = (round(n), round(m))
    if not n or not m:
        return DriftTest("ks", 0.0, 1.0, *sizes)
    distance = kolmogorov_smirnov([c / n for c in reference], [c / m for c in current])
    beyond = max(distance - ks_tolerance(tolerance), 0.0)
    return DriftTest("ks", distance, float(special.kolmogorov(beyond * math.sqrt(n * m / (n + m)))), *sizes)


def ks_tolerance(tolerance: float) -> float:
    """The largest Kolmogorov-Smirnov distance that a population stability index within ``tolerance`` allows.

    The distance is at most the total variation V, and both Kullback-Leibler divergences, whose sum is the
    index, are at least 2 V^2 (Pinsker's inequality; Tsybakov, "Introduction to Nonparametric Estimation",
    2009, lemma 2.5): so D <= sqrt(tolerance) / 2. What lies beyond is drift by either measure.

    >>> round(ks_tolerance(0.1), 4)
    0.1581
    """
    return math.sqrt(tolerance) / 2


def contingency_test(reference: Sequence[float], current: Sequence[float], *, tolerance: float) -> DriftTest:
    """Two-sample chi-squared test of shares, sound where categories are rare.

    The statistic is T / (1/n + 1/m) with T = sum (p - q)^2 / ((p + q) / 2), the symmetric chi-squared
    distance (Topsøe, IEEE Transactions on Information Theory 46, 2000, 1602-1609). With n = m it is Pearson's, whatever the counts; with n far from m Pearson's explodes on a category of the
    larger sample that the smaller one hardly holds (a level of .001 was 70 times as much on 60 categories
    of Zipf's law at 5,000 against 50), and this one does not. T is never above the population stability
    index, so that what the tolerance bears is borne; the law is the non-central one of ``shift_test``.

    >>> test = contingency_test([100, 100], [60, 140], tolerance=0.0)
    >>> round(test.statistic, 4), test.p_value < 0.001
    (0.1667, True)
    """
    n, m = sum(reference), sum(current)
    sizes = (round(n), round(m))
    pairs = [pair for pair in zip(reference, current, strict=True) if any(pair)]
    if len(pairs) < 2 or not n or not m:
        return DriftTest("categories", 0.0, 1.0, *sizes)
    found = symmetric_chi2([left / n for left, _ in pairs], [right / m for _, right in pairs])
    scale = 1 / n + 1 / m
    return DriftTest(
        "categories", found, chi_squared_tail(found / scale, len(pairs) - 1, tolerance / scale), *sizes
    )


def missing_test(
    reference: tuple[float, float], current: tuple[float, float], *, tolerance: float
) -> DriftTest:
    """Test exactly whether the rate of missing values rose or fell.

    :param reference: missing values and rows.
    :param current: likewise, of the window.

    >>> missing_test((0, 1000), (0, 50), tolerance=0.0).p_value
    1.0
    >>> missing_test((0, 1000), (5, 50), tolerance=0.0).p_value < 1e-5
    True
    """
    (j, n), (k, m) = reference, current
    sizes = (round(n), round(m))
    rise = melded_p_value(reference, current, tolerance=tolerance)
    fall = melded_p_value(current, reference, tolerance=tolerance)
    moved = k / m - j / n if n and m else 0.0
    return DriftTest("missing", moved, min(2 * min(rise, fall), 1.0), *sizes)


def new_category_test(
    reference: Mapping[str, float], current: Mapping[str, float], *, tolerance: float
) -> DriftTest:
    """Test exactly whether more rows than before hold a category nobody has seen yet.

    New categories are no news where they always come: of the reference, a row whose category it holds once
    would have been new among the others, so the share of such rows tells the share to expect (Good,
    "The population frequencies of species", Biometrika 40, 1953, 237-264).

    :param reference: how often each category was seen; all categories, else what is new cannot be known.
    :param current: likewise, of the window.

    >>> new_category_test({"a": 500, "b": 500}, {"a": 45, "c": 5}, tolerance=0.0).p_value < 1e-5
    True
    >>> new_category_test({f"id{i}": 1 for i in range(1000)}, {"other id": 50}, tolerance=0.0).p_value
    1.0
    """
    n, m = sum(reference.values()), sum(current.values())
    # Counts scaled from a sample are no whole numbers.
    once = sum(count for count in reference.values() if count < 1.5)
    unseen = sum(count for name, count in current.items() if not reference.get(name))
    p_value = melded_p_value((once, n), (unseen, m), tolerance=tolerance)
    return DriftTest("new_category", unseen / m if m else 0.0, p_value, round(n), round(m))


def melded_p_value(
    reference: tuple[float, float], current: tuple[float, float], *, tolerance: float
) -> float:
    """P value of a share being no larger than before, or larger within the tolerance; exact for any counts.

    With q ~ Beta(k, m - k + 1) and p ~ Beta(j + 1, n - j), the lower and the upper half of the two exact
    (Clopper-Pearson) confidence intervals, it is P(q <= g(p)) with g(p) the largest share whose population
    stability index against p is within the tolerance (Fay, Proschan and Brittain, "Combining one-sample
    confidence procedures for inference in the two-sample case", Biometrics 71, 2015, 146-156). At tolerance
    0 it is Fisher's exact test (Altham, Journal of the Royal Statistical Society B 31, 1969, 261-269).

    :param reference: hits and rows.
    :param current: likewise, of the window.

    >>> from scipy.stats import fisher_exact
    >>> exact = fisher_exact([[7, 43], [2, 98]], alternative="greater").pvalue
    >>> bool(abs(melded_p_value((2, 100), (7, 50), tolerance=0.0) / exact - 1) < 1e-6)
    True
    """
    (j, n), (k, m) = reference, current
    if k <= 0 or not m or j >= n:
        return 1.0
    before, now = (j + 1, n - j), (k, m - k + 1)
    # The sum goes over the side that is known better; of the other the whole tail is exact.
    if _spread(before) <= _spread(now):
        shares, weights = _quantiles(before)
        tails = load("scipy.special", extra=_EXTRA).betainc(*now, _moved(shares, tolerance, up=True))
    else:
        shares, weights = _quantiles(now)
        lower = _moved(shares, tolerance, up=False)
        tails = load("scipy.special", extra=_EXTRA).betainc(before[1], before[0], 1 - lower)
    return min(max(float(weights @ tails), _LEAST), 1.0)


def _spread(law: tuple[float, float]) -> float:
    """Variance of the log-odds of a beta law, about."""
    return 1 / law[0] + 1 / law[1]


def _quantiles(law: tuple[float, float]) -> tuple[Any, Any]:
    """Quantiles of a beta law at equal steps of the normal quantile, and their weights."""
    np, special = load("numpy", extra=_EXTRA), load("scipy.special", extra=_EXTRA)

    normal = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    low = special.betaincinv(*law, special.ndtr(normal))
    # From its own side each half keeps its digits.
    high = 1 - special.betaincinv(law[1], law[0], special.ndtr(-normal))
    weights = np.exp(-(normal**2) / 2)
    return np.where(normal < 0, low, high), weights / weights.sum()


def _moved(shares: Any, tolerance: float, *, up: bool) -> Any:
    """The share farthest from each whose index against it, of two bins, is within the tolerance."""
    np, special = load("numpy", extra=_EXTRA), load("scipy.special", extra=_EXTRA)

    if tolerance <= 0:
        return shares
    sign = 1 if up else -1
    odds = special.logit(np.clip(shares, 1e-300, 1 - 1e-16))
    # (q - p) x within the tolerance, x being how far the log-odds moved; 800 moves any share to its end.
    near, far = np.zeros_like(odds), np.full_like(odds, 800.0)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        within = sign * (special.expit(odds + sign * middle) - shares) * middle <= tolerance
        near, far = np.where(within, middle, near), np.where(within, far, middle)
    return special.expit(odds + sign * near)


def adjust(p_values: Sequence[float], *, level: float, method: Correction = "bh") -> list[bool]:
    """Which hypotheses of a family to reject.

    ``bh`` (Benjamini and Hochberg) holds the share of false rejections among all, and so the chance of any
    where nothing moved; ``holm`` the chance of any false rejection, whatever else moved (Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979, 65-70).

    >>> adjust([0.001, 0.2, 0.02, 0.015], level=0.05)
    [True, False, True, True]
    >>> adjust([0.001, 0.2, 0.02, 0.015], level=0.05, method="holm")
    [True, False, True, True]
    >>> adjust([0.001, 0.2, 0.03, 0.03], level=0.05, method="holm")
    [True, False, False, False]
    """
    if method == "bh":
        return benjamini_hochberg(p_values, level=level)
    if method != "holm":
        msg = f"correction {method!r} is not one of 'bh', 'holm'."
        raise SpecError(msg)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected: set[int] = set()
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected.add(index)
    return [i in rejected for i in range(len(p_values))]

"""The usual distances of two histograms, each named and defined; pure, on counts in the same bins.

They say how far, never whether: a distance without its sample sizes is no test (``core.drift_tests`` has
those). Two histograms are ``p`` and ``q`` here, the shares of reference and current, and ``P`` and ``Q``
the shares cumulated in the order of the bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from airflow_dataml.core.statistics import psi

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Distance:
    """What a distance is called, how it is defined, and who says so.

    :param ordered: whether it is of numbers, whose bins have places; the others are of categories too.
    """

    name: str
    title: str
    formula: str
    source: str
    ordered: bool = False


DISTANCES = {
    distance.name: distance
    for distance in (
        Distance(
            "psi",
            "Population stability index",
            "sum (q - p) ln(q / p), half a count added to every bin",
            "Jeffreys, Proceedings of the Royal Society A 186 (1946); Siddiqi, Credit Risk Scorecards (2006)",
        ),
        Distance(
            "kl",
            "Kullback-Leibler divergence of current from reference",
            "sum q ln(q / p), half a count added to every bin",
            "Kullback and Leibler, Annals of Mathematical Statistics 22 (1951)",
        ),
        Distance(
            "js_distance",
            "Jensen-Shannon distance",
            "sqrt((sum p log2(p / r) + sum q log2(q / r)) / 2), r = (p + q) / 2",
            "Lin, IEEE Transactions on Information Theory 37 (1991); Endres and Schindelin, ibid. 49 (2003)",
        ),
        Distance(
            "hellinger",
            "Hellinger distance",
            "sqrt(sum (sqrt(p) - sqrt(q))^2 / 2)",
            "Hellinger, Journal für die reine und angewandte Mathematik 136 (1909)",
        ),
        Distance(
            "tv",
            "Total variation distance",
            "sum |p - q| / 2",
            "Tsybakov, Introduction to Nonparametric Estimation (2009), section 2.4",
        ),
        Distance(
            "linf",
            "L-infinity distance",
            "max |p - q|",
            "Chebyshev distance; Breck et al., Data Validation for Machine Learning, MLSys (2019)",
        ),
        Distance(
            "chi2",
            "Symmetric chi-squared distance",
            "sum (p - q)^2 / ((p + q) / 2)",
            "Topsøe, IEEE Transactions on Information Theory 46 (2000): twice the triangular discrimination",
        ),
        Distance(
            "ks",
            "Kolmogorov-Smirnov distance",
            "max |P - Q|",
            "Smirnov, Annals of Mathematical Statistics 19 (1948)",
            ordered=True,
        ),
        Distance(
            "wasserstein",
            "Wasserstein distance, in the column's own unit",
            "sum |P - Q| (x' - x), x' the next place after x",
            "Vallender, Theory of Probability and its Applications 18 (1974)",
            ordered=True,
        ),
        Distance(
            "wasserstein_normed",
            "Wasserstein distance in standard deviations of the reference",
            "wasserstein / sd(reference)",
            "Vallender (1974); the norm is Evidently's",
            ordered=True,
        ),
        Distance(
            "energy",
            "Energy distance",
            "sqrt(2 sum (P - Q)^2 (x' - x))",
            "Székely and Rizzo, Journal of Statistical Planning and Inference 143 (2013)",
            ordered=True,
        ),
    )
}


def distances(
    reference: Sequence[float], current: Sequence[float], *, positions: Sequence[float] | None = None
) -> dict[str, float]:
    """All distances of ``DISTANCES`` that apply; none where a side has no values.

    :param positions: the place of each bin, rising; without it the bins are categories.

    >>> {name: round(value, 3) for name, value in distances([50, 50], [30, 70]).items() if name in ("tv", "linf")}
    {'tv': 0.2, 'linf': 0.2}
    >>> round(distances([50, 50], [30, 70], positions=[0, 10])["wasserstein"], 6)
    2.0
    """
    n, m = sum(reference), sum(current)
    if not n or not m:
        return {}
    p, q = [count / n for count in reference], [count / m for count in current]
    found = {
        "psi": psi(reference, current),
        "kl": kullback_leibler(reference, current),
        "js_distance": jensen_shannon(p, q),
        "hellinger": hellinger(p, q),
        "tv": sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2,
        "linf": max(abs(a - b) for a, b in zip(p, q, strict=True)),
        "chi2": symmetric_chi2(p, q),
    }
    return found if positions is None else found | _along(p, q, positions)


def kullback_leibler(reference: Sequence[float], current: Sequence[float]) -> float:
    """Kullback-Leibler divergence of the current counts from the reference's, half a count added to every bin.

    >>> kullback_leibler([50, 50], [5, 5])
    0.0
    >>> round(kullback_leibler([5000, 5000], [9000, 1000]), 3)
    0.368
    """
    bins = len(reference)
    n, m = sum(reference) + bins / 2, sum(current) + bins / 2
    shares = (((b + 0.5) / m, (a + 0.5) / n) for a, b in zip(reference, current, strict=True))
    return sum(q * math.log(q / p) for q, p in shares)


def jensen_shannon(p: Sequence[float], q: Sequence[float]) -> float:
    """Jensen-Shannon distance of two lists of shares: 0 for equal ones, 1 where they have nothing in common.

    >>> jensen_shannon([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    total = 0.0
    for a, b in zip(p, q, strict=True):
        middle = (a + b) / 2
        total += sum(share * math.log2(share / middle) for share in (a, b) if share)
    return math.sqrt(max(total, 0.0) / 2)


def hellinger(p: Sequence[float], q: Sequence[float]) -> float:
    """Hellinger distance of two lists of shares: 0 for equal ones, 1 where they have nothing in common.

    >>> hellinger([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    return math.sqrt(sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2)


def symmetric_chi2(p: Sequence[float], q: Sequence[float]) -> float:
    """Symmetric chi-squared distance of two lists of shares: 0 for equal ones, 4 where they have nothing in common.

    Never above the population stability index; the statistic of ``drift_tests.contingency_test``.

    >>> symmetric_chi2([1.0, 0.0], [0.0, 1.0])
    4.0
    """
    return sum((a - b) ** 2 / ((a + b) / 2) for a, b in zip(p, q, strict=True) if a or b)


def kolmogorov_smirnov(p: Sequence[float], q: Sequence[float]) -> float:
    """Largest gap of the cumulated shares.

    >>> kolmogorov_smirnov([0.5, 0.0, 0.5], [0.0, 1.0, 0.0])
    0.5
    """
    return max(abs(a - b) for a, b in zip(accumulate(p), accumulate(q), strict=True))


def _along(p: Sequence[float], q: Sequence[float], positions: Sequence[float]) -> dict[str, float]:
    """Distances that ask where the bins are."""
    gaps = [a - b for a, b in zip(accumulate(p), accumulate(q), strict=True)]
    widths = [after - before for before, after in pairwise(positions)]
    moved = sum(abs(gap) * width for gap, width in zip(gaps[:-1], widths, strict=True))
    mean = sum(share * place for share, place in zip(p, positions, strict=True))
    spread = math.sqrt(sum(share * (place - mean) ** 2 for share, place in zip(p, positions, strict=True)))
    return {
        "ks": kolmogorov_smirnov(p, q),
        "wasserstein": moved,
        # A constant has no standard deviation to measure by.
        **({"wasserstein_normed": moved / spread} if spread else {}),
        "energy": math.sqrt(2 * sum(gap**2 * width for gap, width in zip(gaps[:-1], widths, strict=True))),
    }

"""Evidence over time: alarms on a model with a stated number of quiet windows between two false ones.

Every window yields, for every feature, an *e-value*: a ratio that is at most 1 on average as long as nothing has
moved by more than is borne, and grows when something has. An *e-detector* (Shin, Ramdas and Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", New England Journal of Statistics in Data Science 2 (2024)
229-260) sums the evidence of a change at any of the windows so far, ``M = (1 + M) * e`` (Shiryaev-Roberts). ``M`` less
the number of windows falls on average while all is quiet, so that the mean number of windows until ``M`` reaches
``budget`` is at least ``budget``, whatever the distribution of the data. The average of such sums over the features is
such a sum itself: the budget is the model's, and holds over all its features however they depend on each other. Where
slices are looked at too, the average of theirs is one half and that of the features the other, which is such a sum
again: features lose ``log(2)`` of evidence to slices, however many there are, and the budget stays the model's.

What a window differs in from all others is not seen as an exception: where weekends look unlike weekdays, compare them
with a reference of weekends (one detector for each season), or bear the difference in the tolerance.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXTRA = "monitoring"
# Location, scale and skewness, for which an ordered column is looked at apart.
_SMOOTH = 3
# A reference is taken to be no further from its own source than all but one in ten thousand are.
_SURE = 0.9999
# Square roots of counts below this vary more than those of normal ones: by so much, as a share of a bin.
_FEW, _MORE = 12, 0.85
# How far beyond the borne a shift is, in standard deviations of the statistic: small to large.
_BEYOND = (2.0, 4.0, 8.0, 16.0)


class AlarmBudget(BaseModel):
    """How many false alarms over time are borne.

    :param windows: quiet windows between two false alarms of one model, on average and at least, over all its
        features together. Each doubling costs about ``log(2)`` of evidence: a later alarm on a small shift.
    :param tolerance: PSI that is borne for ever, where it is not that of the single windows: their test wants a
        larger one, and a shift that is borne never adds up. A shift of .2 standard deviations is a PSI of .04;
        0.0025 finds it in two windows of a thousand rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(90, ge=2)
    tolerance: float | None = Field(None, ge=0, le=5)


@dataclass(frozen=True, slots=True)
class Detector:
    """What all windows so far say about a change: the state that goes on in the next window.

    :param budget: windows between two false alarms.
    :param sums: natural logarithm of each feature's sum; a feature that was never looked at has none.
    :param windows: windows since the start or the last alarm.
    :param slices: logarithms of the sums of features within slices; all together they weigh as much as ``sums``.

    >>> quiet = Detector(budget=90).step({"age": -0.5, "fare": -0.4})
    >>> quiet.alarm, quiet.suspects
    (False, ())
    >>> moved = quiet.step({"age": -0.5, "fare": 6.0})
    >>> moved.alarm, moved.suspects
    (True, ('fare',))
    """

    budget: int
    sums: dict[str, float] = field(default_factory=dict)
    windows: int = 0
    slices: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, budget: AlarmBudget) -> Self:
        """Begin with nothing seen."""
        return cls(budget=budget.windows)

    def step(self, factors: Mapping[str, float], within: Mapping[str, float] | None = None) -> Detector:
        """Add a window; after an alarm begin anew with it.

        :param factors: natural logarithm of the e-value of each feature looked at, as of :func:`count_evidence`.
            What is missing keeps its sum. Their order is of no matter.
        :param within: the same of features within slices. Which slices are looked at may differ from window to window,
            as long as it does not depend on what the features within them are.
        """
        if self.alarm:
            return Detector(budget=self.budget).step(factors, within)
        return replace(
            self,
            sums=_added(self.sums, factors),
            slices=_added(self.slices, within or {}),
            windows=self.windows + 1,
        )

    @property
    def evidence(self) -> float:
        """Natural logarithm of the average sum; an alarm where it reaches that of the budget."""
        sides = [_log_mean(list(side.values())) for side in (self.sums, self.slices) if side]
        return _log_mean(sides) if sides else -math.inf

    @property
    def alarm(self) -> bool:
        """Whether the evidence of a change has reached the budget."""
        return self.evidence >= math.log(self.budget)

    @property
    def suspects(self) -> tuple[str, ...]:
        """Features, of all rows or within a slice, whose own evidence reaches the budget at an alarm, the largest first."""
        if not self.alarm:
            return ()
        ranked = sorted((self.sums | self.slices).items(), key=lambda item: (-item[1], item[0]))
        return tuple(name for name, total in ranked if total >= math.log(self.budget))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: value for name, value in asdict(self).items() if name != "slices" or value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        sums, slices = (
            {str(name): float(total) for name, total in data.get(side, {}).items()}
            for side in ("sums", "slices")
        )
        return cls(int(data["budget"]), sums, int(data["windows"]), slices)


def count_evidence(
    reference: Sequence[float], current: Sequence[float], *, tolerance: float, ordered: bool = False
) -> float:
    """Natural logarithm of the Bayes factor of a window that moved against one that did not by more than is borne.

    Counts become distances that do not depend on the shares, ``z = 2 * (sqrt(c + 3/8) - sqrt(m * p + 3/8))``
    (Anscombe, "The transformation of Poisson, binomial and negative-binomial data", Biometrika 35 (1948) 246-254).
    The sum of their squares is non-central chi-squared, its non-centrality ``m`` times four squared Hellinger
    distances, never more than ``m`` times the PSI. The factor is the ratio of that density, averaged over shifts
    beyond the borne, to the density at the borne, and rises with the sum. So its mean under anything nearer is at most
    that at the borne, which is 1: it is an e-value against *all* that is borne, not against one law alone.

    The borne is the tolerance with the error of the reference added: what ``n`` rows whose own source lies at the
    tolerance stay within in 9,999 of 10,000. All windows share the reference, and given it they are independent: its
    error is in the borne of each of them once and for all, so that it does not add up as the windows do.

    Rows of a window are taken as independent of each other. Where few customers bring many rows each, a window says
    less than its rows, and the tolerance has to bear the difference.

    Of ordered bins, half of the evidence is that of location, scale and skewness alone (Neyman's smooth test, 1937),
    which finds a shifted mean among 20 bins with fewer rows.

    :param reference: counts of the reference in each bin; need not be whole.
    :param current: counts of the window in the same bins.
    :param tolerance: PSI that is borne.
    :param ordered: the bins are in the order of their values.

    >>> count_evidence([500] * 20, [50] * 20, tolerance=0.0) < 0
    True
    >>> count_evidence([5000, 5000], [300, 700], tolerance=0.0) > 10
    True
    >>> count_evidence([5000, 5000], [300, 700], tolerance=0.2) < 0
    True
    """
    np = load("numpy", extra=_EXTRA)

    before, now = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    kept = (before > 0) | (now > 0)
    before, now = before[kept], now[kept]
    n, m, free = float(before.sum()), float(now.sum()), len(now) - 1
    if n <= 0 or m <= 0 or free < 1:
        return 0.0
    shares, sparse = before / n, _MORE * float((before < _FEW).sum())
    moved = 2 * (np.sqrt(now + 0.375) - np.sqrt(m * shares + 0.375))
    looks = [(float(moved @ moved), free)]
    if ordered and free > _SMOOTH:
        smooth = _polynomials(shares) @ moved
        looks.append((float(smooth @ smooth), len(smooth)))
    logs = []
    for value, dims in looks:
        borne = m / n * _quantile(dims + sparse, n * tolerance)
        spread = math.sqrt(2 * (dims + 2 * borne))
        logs += _log_ratios(value, dims, borne, [borne + far * spread for far in _BEYOND])
    return _log_mean(logs)


def _polynomials(shares: Any) -> Any:
    """The first polynomials of the mid-ranks, orthonormal over the shares: rows of ``h(i) * sqrt(p(i))``."""
    np = load("numpy", extra=_EXTRA)

    roots = np.sqrt(shares)
    ranks = np.cumsum(shares) - shares / 2 - 0.5
    columns = np.stack([roots * ranks**power for power in range(_SMOOTH + 1)], axis=1)
    return np.linalg.qr(columns)[0].T[1:]


def _log_ratios(value: float, dims: int, near: float, fars: Sequence[float]) -> list[float]:
    """Logarithms of ratios of non-central chi-squared densities at one value, of each far one to the near one.

    Their common factors cancel, which leaves two modified Bessel functions over powers of their arguments.
    """
    order = dims / 2 - 1
    base = near / 2 - _log_bessel(order, near * value)
    return [base - far / 2 + _log_bessel(order, far * value) for far in fars]


def _log_bessel(order: float, square: float) -> float:
    """``log(I(x) / (x / 2)**order * gamma(order + 1))`` at ``x = sqrt(square)``; 0 at 0.

    For large orders Debye's uniform expansion (Abramowitz and Stegun, 9.7.7).
    """
    x = math.sqrt(square)
    if x < 1e-3:
        return square / (4 * (order + 1))
    scale = math.lgamma(order + 1) - order * math.log(x / 2)
    if order <= 20:
        special = load("scipy.special", extra=_EXTRA)
        return scale + math.log(float(special.ive(order, x))) + x
    root = math.hypot(order, x)
    t = order / root
    first = 1 + (3 * t - 5 * t**3) / (24 * order)
    return (
        scale
        + root
        + order * math.log(x / (order + root))
        - 0.5 * math.log(2 * math.pi * root)
        + math.log(first)
    )


@lru_cache(maxsize=4096)
def _quantile(dims: float, shift: float) -> float:
    """The 99.99 % quantile of the non-central chi-squared distribution.

    M. Sankaran, "On the non-central chi-square distribution", Biometrika 46 (1959) 235-237.

    >>> round(_quantile(19, 0.0), 1)
    51.1
    """
    mean, spread = dims + shift, dims + 2 * shift
    power = 1 - 2 * mean * (dims + 3 * shift) / (3 * spread**2)
    p = spread / mean**2
    bend = (power - 1) * (1 - 3 * power)
    middle = 1 + power * p * (power - 1 - 0.5 * (2 - power) * bend * p)
    width = power * math.sqrt(2 * p) * (1 + 0.5 * bend * p)
    return float(mean * (middle + NormalDist().inv_cdf(_SURE) * width) ** (1 / power))


def _added(sums: Mapping[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    """Sums after one more window, by name."""
    more = {
        name: factor + (_log_add(0.0, sums[name]) if name in sums else 0.0)
        for name, factor in factors.items()
    }
    return dict(sorted({**sums, **more}.items()))


def _log_add(one: float, other: float) -> float:
    """``log(exp(one) + exp(other))``."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))


def _log_mean(logs: Sequence[float]) -> float:
    """``log`` of the mean of ``exp``."""
    high = max(logs)
    return high + math.log(math.fsum(math.exp(one - high) for one in logs) / len(logs))

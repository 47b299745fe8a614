"""Errors and losses as they come: bets that a model has become worse than its baseline, with a stated run length.

A bet on worse multiplies its stake by ``1 + c * (x / b - 1)`` at a loss of ``x``, where ``b`` is an upper bound of the
mean loss while all is well and ``c``, between 0 and 1, is what is staked. As long as the mean is at most ``b`` the
factor is at most 1 on average, of *any* losses that are never negative, bounded or not and of whatever distribution
(Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical
Society B 86 (2024) 1-27). The bets of all beginnings so far are summed as in :mod:`airflow_dataml.core.alarm_budget`,
and several stakes averaged: small ones for small changes.

What must be right is ``b``. Of a loss in a known range :func:`upper_bound` gives it from a finite holdout. No data
bounds the mean of an unbounded loss: clip it, at the holdout and in the stream alike, at a value that is then ``cap``,
and it is the clipped loss that is watched. An unclipped one needs a ``b`` from elsewhere, and a single huge loss is
then an alarm.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.sequential import Evidence

_EXTRA = "monitoring"
# Growths of the mean loss that the bets are best for.
GROWTHS = (1.1, 1.2, 1.35, 1.5, 2.0, 3.0)
_HIGHEST = 0.9
# Rows read at once: an alarm costs as much again.
_BLOCK = 1 << 12


def upper_bound(holdout: Evidence, *, cap: float = 1.0, confidence: float = 0.95) -> float:
    """The value that the mean loss is surely below, from losses between 0 and ``cap``.

    Of errors (0 or 1) the bound of Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the
    case of the binomial", Biometrika 26 (1934) 404-413; of others the empirical Bernstein bound of Maurer and Pontil,
    "Empirical Bernstein bounds and sample-variance penalization", COLT 2009, theorem 4.

    :param holdout: number, sum and sum of squares of the losses.
    :param confidence: of the bound; with what remains, false alarms may be more frequent than stated.

    >>> from airflow_dataml.core.sequential import Evidence
    >>> round(upper_bound(Evidence(10_000, 1000.0, 1000.0)), 4)
    0.1051
    >>> round(upper_bound(Evidence(10_000, 1000.0, 200.0)), 4)
    0.1036
    """
    n = holdout.n
    if n < 2:
        return cap
    if cap == 1.0 and holdout.total == holdout.squares:
        special = load("scipy.special", extra=_EXTRA)
        return (
            float(special.betaincinv(holdout.total + 1, n - holdout.total, confidence))
            if holdout.total < n
            else 1.0
        )
    doubt = math.log(2 / (1 - confidence))
    above = holdout.deviation * math.sqrt(2 * doubt / n) + 7 * cap * doubt / (3 * (n - 1))
    return min(holdout.mean + above, cap)


def stakes(baseline: float, deviation: float | None = None) -> tuple[float, ...]:
    """What to bet: about the best for each of some growths of the mean loss.

    :param deviation: standard deviation of one loss while all is well; that of errors (0 or 1) by default. It decides
        how soon a change is found and nothing else.

    >>> [round(stake, 3) for stake in stakes(0.1)]
    [0.011, 0.022, 0.039, 0.056, 0.111, 0.222]
    """
    if not 0 < baseline < math.inf:
        msg = f"baseline must be a positive mean loss, got {baseline!r}; pass an upper bound of it"
        raise SpecError(msg)
    variance = baseline * (1 - min(baseline, 0.99)) if deviation is None else deviation**2
    ratio = baseline**2 / max(variance, 1e-12 * baseline**2)
    return tuple(dict.fromkeys(min((growth - 1) * ratio, _HIGHEST) for growth in GROWTHS))


def loss_evidence(
    window: Evidence, *, baseline: float, cap: float | None = None, deviation: float | None = None
) -> float:
    """Natural logarithm of the e-value of a window's losses, from three sums alone.

    For :meth:`airflow_dataml.core.alarm_budget.Detector.step` beside the features. The product of the bets needs every
    row; two lower bounds of it do not, and the better of them is taken for each stake: with ``w = x / b - 1`` the
    factor is at least ``exp(c * w + (log(1 - c) + c) * w**2)`` (Fan, Grama and Liu, "Exponential inequalities for
    martingales with applications", Electronic Journal of Probability 20 (2015) 1-22), and of losses up to ``cap`` its
    logarithm is above the chord between its ends. Of errors (0 or 1) the chord is exact.

    :param window: number, sum and sum of squares of the window's losses.
    :param baseline: upper bound of the mean loss that is borne, as ``upper_bound(...) * (1 + tolerance)``.
    :param cap: largest possible loss.
    :param deviation: as of :func:`stakes`: of the holdout, never of the window, whose bets are made before it.

    >>> from airflow_dataml.core.sequential import Evidence
    >>> loss_evidence(Evidence(1000, 100.0, 100.0), baseline=0.1, cap=1.0) < 0
    True
    >>> loss_evidence(Evidence(1000, 150.0, 150.0), baseline=0.1, cap=1.0) > 9
    True
    """
    if not window.n:
        return 0.0
    n, total = window.n, window.total / baseline
    centred, squares = total - n, window.squares / baseline**2 - 2 * total + n
    logs = []
    for stake in stakes(baseline, deviation):
        found = stake * centred + (math.log1p(-stake) + stake) * squares
        if cap is not None:
            share = window.total / cap
            chord = share * math.log1p(stake * (cap / baseline - 1)) + (n - share) * math.log1p(-stake)
            found = max(found, chord)
        logs.append(found)
    high = max(logs)
    return high + math.log(math.fsum(math.exp(one - high) for one in logs) / len(logs))


@dataclass(frozen=True, slots=True)
class ErrorDetector:
    """What all losses so far say about a rise of their mean: the state that goes on with the next rows.

    :param baseline: upper bound of the mean loss that is borne.
    :param budget: rows between two false alarms, on average and at least.
    :param bets: stakes, chosen before any row is seen.
    :param sums: natural logarithm of each stake's sum; none before the first row and after an alarm.
    :param rows: losses read.
    :param alarms: how often it alarmed and began anew.

    >>> detector = ErrorDetector.of(baseline=0.1, budget=100_000)
    >>> detector, alarm = detector.update([0, 0, 0, 0, 0, 0, 0, 0, 0, 1] * 50)
    >>> alarm is None
    True
    >>> detector, alarm = detector.update([0, 1] * 100)
    >>> alarm is not None and alarm < 100, detector.rows
    (True, 700)
    """

    baseline: float
    budget: float
    bets: tuple[float, ...]
    sums: tuple[float, ...] | None = None
    rows: int = 0
    alarms: int = 0

    @classmethod
    def of(cls, *, baseline: float, budget: float, deviation: float | None = None) -> Self:
        """Begin with nothing seen.

        :param deviation: as of :func:`stakes`.
        """
        return cls(baseline=baseline, budget=budget, bets=stakes(baseline, deviation))

    def update(self, losses: Any, *, weight: float = 1.0) -> tuple[ErrorDetector, int | None]:
        """Read rows in their order; what is read in two halves is as if read at once.

        :param losses: one finite number per row, none negative. About .3 s a million.
        :param weight: what each row counts towards the budget: 1 of a budget in rows, ``1 / n`` of one in windows of
            ``n`` rows.
        :return: the detector after all of them, and the position of the first alarm among them. After each alarm it
            begins anew with the row that follows.
        """
        np = load("numpy", extra=_EXTRA)

        values = np.asarray(losses, dtype=float)
        strange = values[~((values >= 0) & (values < math.inf))]
        if len(strange):
            msg = f"losses must be finite and at least 0, got {float(strange[0])!r}; shift or clip them"
            raise SpecError(msg)
        sums, begin, first, alarms = self.sums, 0, None, self.alarms
        while begin < len(values):
            sums, read, alarm = self._block(sums, values[begin : begin + _BLOCK], math.log(weight))
            begin += read
            if alarm:
                first, alarms = begin - 1 if first is None else first, alarms + 1
        return replace(self, sums=sums, rows=self.rows + len(values), alarms=alarms), first

    def _block(
        self, sums: tuple[float, ...] | None, values: Any, weight: float
    ) -> tuple[tuple[float, ...] | None, int, bool]:
        """Sums after a block or its first alarm, the rows read, and whether it was one.

        With ``S`` the running sum of the logarithms of the factors, the sum of all beginnings after row ``t`` is
        ``exp(S[t]) * (before + exp(-S[0]) + ... + exp(-S[t - 1]))``, each beginning times the weight of its row.
        """
        np = load("numpy", extra=_EXTRA)

        bets = np.array(self.bets)[:, None]
        running = np.cumsum(np.log1p(bets * (values / self.baseline - 1)), axis=1)
        begun = np.full_like(running, weight)
        begun[:, 1:] -= running[:, :-1]
        if sums is not None:
            begun[:, 0] = np.logaddexp(weight, sums)
        found = running + np.logaddexp.accumulate(begun, axis=1)
        # The average of the sums reaches the budget only where the largest comes near it.
        near = found.max(axis=0) >= math.log(self.budget)
        high = np.flatnonzero(near)
        reached = high[np.logaddexp.reduce(found[:, high], axis=0) >= math.log(self.budget * len(self.bets))]
        if len(reached):
            return None, int(reached[0]) + 1, True
        return tuple(float(one) for one in found[:, -1]), len(values), False

    @property
    def evidence(self) -> float:
        """Natural logarithm of the average sum; an alarm where it reaches that of the budget."""
        np = load("numpy", extra=_EXTRA)
        if self.sums is None:
            return -math.inf
        return float(np.logaddexp.reduce(self.sums)) - math.log(len(self.sums))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {
            "bets": list(self.bets),
            "sums": None if self.sums is None else list(self.sums),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        sums = data["sums"]
        return cls(
            baseline=float(data["baseline"]),
            budget=float(data["budget"]),
            bets=tuple(float(bet) for bet in data["bets"]),
            sums=None if sums is None else tuple(float(one) for one in sums),
            rows=int(data["rows"]),
            alarms=int(data["alarms"]),
        )

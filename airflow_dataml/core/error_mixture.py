"""Errors against a baseline that a finite holdout tells: the detectors of all rates it may be, weighed by the holdout.

One upper bound of the baseline is the worst case of nearly all holdouts, and costs rows whenever the worst case is not
true. Here every rate that the holdout leaves possible has its own detector (:class:`ErrorDetector`'s bets and sums of
beginnings), and what counts is their mean, weighed by how likely each rate is given the holdout and the rows so far.
That is the evidence of a change where the baseline is unknown: with ``L`` the likelihood of all rows at a rate and
``R`` the sum of its detector, ``mean of L * R over the holdout's posterior / mean of L``. While all is well it less the
number of rows is a martingale under that posterior, so the budget holds on average over the models that are released,
not for the unluckiest holdout of twenty.

Rates of a stream come and go, and better months must not teach that the baseline was lower. So rates below the middle
never gain on it by rows, and those above lose no more than ``exp(-3)``: both make alarms rarer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.error_detector import GROWTHS, stakes
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTRA = "monitoring"
# Rates that stand for all: so many standard deviations of the posterior from its middle.
_PLACES = (-3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0)
_MIDDLE = len(_PLACES) // 2
_LEAST = -3.0
# Rows read at once: an alarm costs as much again.
_BLOCK = 1 << 11


def plausible(errors: int, rows: int) -> tuple[float, ...]:
    """Rates that may be behind so many errors, from low to high.

    Quantiles of the posterior of Jeffreys' prior, ``Beta(errors + 1/2, rows - errors + 1/2)``.

    >>> [round(rate, 4) for rate in plausible(1000, 10_000)][::4]
    [0.0913, 0.1, 0.1093]
    """
    special = load("scipy.special", extra=_EXTRA)
    normal = NormalDist()
    found = special.betaincinv(errors + 0.5, rows - errors + 0.5, [normal.cdf(place) for place in _PLACES])
    return tuple(min(max(float(rate), 1e-9), 1 - 1e-9) for rate in found)


@dataclass(frozen=True, slots=True)
class ErrorMixture:
    """What all errors so far say about a rise of their rate over that of a holdout: the state that goes on.

    :param rates: what the baseline may be, see :func:`plausible`.
    :param budget: rows between two false alarms, on average and at least; of rows that weigh less, their weight.
    :param borne: growth of the rate that is borne, as a share.
    :param sums: natural logarithm of each stake's sum, for each rate; none before the first row and after an alarm.
    :param leans: natural logarithm of how much likelier the rows have made each rate than the middle one.
    :param rows: errors read.
    :param alarms: how often it alarmed and began anew.

    >>> detector = ErrorMixture.of(errors=1000, rows=10_000, budget=100_000)
    >>> detector, alarm = detector.update([0, 0, 0, 0, 0, 0, 0, 0, 0, 1] * 50)
    >>> alarm is None
    True
    >>> detector, alarm = detector.update([0, 1] * 100)
    >>> alarm is not None and alarm < 100, detector.rows
    (True, 700)
    """

    rates: tuple[float, ...]
    budget: float
    borne: float = 0.0
    sums: tuple[tuple[float, ...], ...] | None = None
    leans: tuple[float, ...] = (0.0,) * len(_PLACES)
    rows: int = 0
    alarms: int = 0

    @classmethod
    def of(cls, *, errors: int, rows: int, budget: float, borne: float = 0.0) -> Self:
        """Begin with nothing seen but the holdout.

        :param errors: of the holdout,
        :param rows: in so many rows.
        """
        return cls(rates=plausible(errors, rows), budget=budget, borne=borne)

    def update(self, errors: Any, *, weight: float = 1.0) -> tuple[ErrorMixture, int | None]:
        """Read rows in their order; what is read in two halves is as if read at once.

        :param errors: 0 or 1 for each row. About 5 s a million.
        :param weight: what each row counts towards the budget: 1 of a budget in rows, ``1 / n`` of one in windows of
            ``n`` rows.
        :return: the detector after all of them, and the position of the first alarm among them. After each alarm it
            begins anew with the row that follows.
        """
        np = load("numpy", extra=_EXTRA)
        values = np.asarray(errors, dtype=float)
        strange = values[(values != 0) & (values != 1)]
        if len(strange):
            msg = f"errors must be 0 or 1, got {float(strange[0])!r}; other losses are read by ErrorDetector"
            raise SpecError(msg)
        state, begin, first = self, 0, None
        while begin < len(values):
            state, read, alarm = state._block(values[begin : begin + _BLOCK], math.log(weight))
            begin += read
            if alarm and first is None:
                first = begin - 1
        return replace(state, rows=self.rows + len(values)), first

    def _block(self, values: Any, weight: float) -> tuple[ErrorMixture, int, bool]:
        """The state after a block or its first alarm, the rows read, and whether it was one."""
        np = load("numpy", extra=_EXTRA)
        sums, leans = self._sums(values, weight), self._leaning(values)
        shares = _holdout_logs()[:, None] + leans
        shares = shares - np.logaddexp.reduce(shares, axis=0)
        total = np.logaddexp.reduce(shares + np.logaddexp.reduce(sums, axis=1), axis=0)
        reached = np.flatnonzero(total >= math.log(self.budget * sums.shape[1]))
        if len(reached):
            begun = replace(self, sums=None, leans=(0.0,) * len(_PLACES), alarms=self.alarms + 1)
            return begun, int(reached[0]) + 1, True
        kept = tuple(tuple(float(one) for one in row) for row in sums[:, :, -1])
        return replace(self, sums=kept, leans=tuple(map(float, leans[:, -1]))), len(values), False

    def _sums(self, values: Any, weight: float) -> Any:
        """Logarithms of the sums of all beginnings, ``[rate, stake, row]``; see :meth:`ErrorDetector._block`."""
        np = load("numpy", extra=_EXTRA)
        bound = np.minimum(np.array(self.rates) * (1 + self.borne), 1.0)[:, None, None]
        bets = np.array([_bets(float(one)) for one in bound[:, 0, 0]])[:, :, None]
        running = np.cumsum(np.where(values > 0, np.log1p(bets * (1 / bound - 1)), np.log1p(-bets)), axis=2)
        begun = np.full_like(running, weight)
        begun[:, :, 1:] -= running[:, :, :-1]
        if self.sums is not None:
            begun[:, :, 0] = np.logaddexp(weight, np.array(self.sums))
        return running + np.logaddexp.accumulate(begun, axis=2)

    def _leaning(self, values: Any) -> Any:
        """How far each row's likelihood leans to each rate, ``[rate, row]``, within its bounds."""
        np = load("numpy", extra=_EXTRA)
        rates = np.array(self.rates)[:, None]
        steps = np.where(values > 0, np.log(rates), np.log1p(-rates))
        walk = np.array(self.leans)[:, None] + np.cumsum(steps - steps[_MIDDLE], axis=1)
        low, high = walk[:_MIDDLE], walk[_MIDDLE + 1 :]
        low = low - np.maximum(np.maximum.accumulate(low, axis=1), 0.0)
        high = high + np.maximum(np.maximum.accumulate(_LEAST - high, axis=1), 0.0)
        return np.concatenate([low, np.zeros((1, len(values))), high])

    @property
    def evidence(self) -> float:
        """Natural logarithm of the weighed mean of all sums; an alarm where it reaches that of the budget."""
        np = load("numpy", extra=_EXTRA)
        if self.sums is None:
            return -math.inf
        shares = _holdout_logs() + np.array(self.leans)
        shares = shares - np.logaddexp.reduce(shares)
        sums = np.array(self.sums)
        return float(np.logaddexp.reduce(shares + np.logaddexp.reduce(sums, axis=1))) - math.log(
            sums.shape[1]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        sums = None if self.sums is None else [list(one) for one in self.sums]
        return asdict(self) | {"rates": list(self.rates), "leans": list(self.leans), "sums": sums}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        sums = data["sums"]
        return cls(
            rates=tuple(map(float, data["rates"])),
            budget=float(data["budget"]),
            borne=float(data["borne"]),
            sums=None if sums is None else tuple(tuple(map(float, one)) for one in sums),
            leans=tuple(map(float, data["leans"])),
            rows=int(data["rows"]),
            alarms=int(data["alarms"]),
        )


def _bets(baseline: float) -> tuple[float, ...]:
    """The stakes of one rate, as many for each: a rate near 1 has the highest more than once."""
    found = stakes(baseline)
    return found + (found[-1],) * (len(GROWTHS) - len(found))


def _holdout_logs() -> Any:
    """What the holdout alone says of the rates, whose places are those of a normal distribution."""
    np = load("numpy", extra=_EXTRA)
    return -np.square(np.array(_PLACES)) / 2

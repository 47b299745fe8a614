"""Anomalies: the range a series' next value lies in, learned from its past, at a stated rate of false alarms.

A forecast is made for every past value from those before it alone (``core.forecasting``). The range that holds
the next error is then read from the past ones: distribution-free where there are enough of them for the rate that
is asked, otherwise from Student's t.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.forecasting import LINEAR, exceeded, fits_of, likeliest

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from datetime import datetime

    from airflow_dataml.core.forecasting import Fit, Season

Direction = Literal["both", "low", "high"]
Method = Literal["conformal", "student-t", "constant", "unknown"]
Outcome = Literal["pass", "fail", "unknown"]

# A feed that rests on weekends shows it in this time.
_RHYTHM = timedelta(days=28)
# What the arithmetic of floats may change.
_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """A past value.

    :param at: the time it is of; tells its day of the week.
    :param anomalous: whether it was reported as an anomaly then.
    """

    value: float
    at: datetime | None = None
    anomalous: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """The range a next value is expected in.

    :param low, high: bounds; ``None`` on the side nobody asked for, and both where nothing can be said.
    :param n: past values it rests on; reported anomalies are not among them.
    :param method: ``conformal`` (holds whatever the errors' distribution), ``student-t``, ``constant`` (the past
        was foreseen exactly, so any change is reported), or ``unknown``.
    :param model: how the forecast was made: scale, memory and season.
    :param detail: why nothing can be said.
    """

    low: float | None
    high: float | None
    center: float | None
    n: int
    method: Method
    false_alarm_rate: float
    model: str = ""
    detail: str = ""

    def judge(self, value: float) -> Outcome:
        """Say whether a value lies in the range.

        >>> Expected(1.0, 3.0, 2.0, 20, "student-t", 0.01).judge(3.5)
        'fail'
        """
        if self.method == "unknown":
            return "unknown"
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        return "fail" if below or above or not math.isfinite(value) else "pass"

    def describe(self) -> str:
        """Write the range as words.

        >>> Expected(None, 3.0, 2.0, 20, "student-t", 0.01).describe()
        '<= 3'
        """
        low, high = (None if bound is None else f"{bound:.6g}" for bound in (self.low, self.high))
        if low is not None and high is not None:
            return f"between {low} and {high}"
        return f"<= {high}" if high is not None else f">= {low}" if low is not None else "as in the past"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def expect(
    history: Sequence[Point],
    *,
    at: datetime | None = None,
    false_alarm_rate: float = 0.01,
    min_history: int = 14,
    season: Season = "none",
    direction: Direction = "both",
) -> Expected:
    """Return the range in which the next value of a series lies, but for the rate of false alarms.

    A value of the same process lies outside with a probability of at most ``false_alarm_rate``. With ``m`` past
    errors and ``m + 1 >= 1 / rate`` that holds for any distribution of exchangeable errors (split conformal
    prediction: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Lei et al., JASA 113,
    2018). With fewer no bounded range can promise it, and the errors are taken as Student's t with scale and tail
    weight unknown, both integrated out (Geweke, J. Applied Econometrics 8, 1993); the range then holds every past
    error too, since what was exceeded once in fewer than ``1 / rate`` values is not rare enough. Simulated series
    of many kinds then fall outside at a tenth of the rate to the rate itself, and at up to twice the rate where
    the tails are as heavy as those of t with two degrees of freedom.

    Reported anomalies teach nothing, unless ``min_history`` of them came in a row: that is the new level, and
    what was before it is forgotten.

    :param history: past values in order.
    :param at: the time the next value is of; needed by a weekly season.
    :param season: ``weekly`` tells days of the week apart, a number the places in a period of so many values, and
        ``auto`` the days of the week where the past is more likely so.
    :raises MissingExtraError: numpy or scipy is missing.

    >>> week = [Point(v) for v in (100, 103, 98, 101, 99, 102, 97, 100, 104, 101, 99, 98, 102, 100)]
    >>> [expect(week).judge(v) for v in (103, 140)]
    ['pass', 'fail']
    """
    kept = _kept(history, min_history)
    unknown = Expected(None, None, None, len(kept), "unknown", false_alarm_rate)
    if len(kept) < min_history:
        return replace(unknown, detail=f"{len(kept)} of at least {min_history} past values")
    values = [history[index].value for index in kept]
    kinds: list[Season] = ["none", "weekly"] if season == "auto" else [season]
    fits = [fit for kind in kinds for fit in fits_of(values, _places(history, kept, at, kind), kind)]
    if not fits:
        return replace(unknown, detail=f"{len(kept)} past values hold too few seasons")
    slack = _NOISE * max(abs(value) for value in values)
    exact = next((fit for fit in fits if fit.scale is LINEAR and max(map(abs, fit.errors)) <= slack), None)
    best = exact or likeliest(fits, values)
    method, reach = _reach(best, false_alarm_rate, direction)
    return Expected(
        low=best.scale.back(best.center - reach) - slack if direction != "high" else None,
        high=best.scale.back(best.center + reach) + slack if direction != "low" else None,
        center=best.scale.back(best.center),
        n=len(values),
        method="constant" if exact else method,
        false_alarm_rate=false_alarm_rate,
        model=best.model,
    )


def due_by(
    times: Sequence[datetime],
    *,
    false_alarm_rate: float = 0.01,
    min_history: int = 14,
    season: Season = "auto",
) -> tuple[datetime | None, Expected]:
    """Return when the next of some events is surely due, and the gap in seconds that follows from the past ones.

    An event of the same rhythm comes later with a probability of at most ``false_alarm_rate``. Gaps are told
    apart by the day of the week they begin on, where the past is more likely so: a feed that rests on Sundays is
    missed on a Tuesday as well.

    :param times: past events in order; ``min_history`` counts the gaps between them.
    """
    if season in ("auto", "weekly") and times and times[-1] - times[0] < _RHYTHM:
        days = f"{(times[-1] - times[0]).days} of at least {_RHYTHM.days} days"
        detail = f"the past spans {days} that a weekly rhythm needs"
        return None, Expected(None, None, None, len(times) - 1, "unknown", false_alarm_rate, detail=detail)
    gaps = [Point((after - before).total_seconds(), before) for before, after in pairwise(times)]
    gap = expect(
        gaps,
        at=times[-1] if times else None,
        false_alarm_rate=false_alarm_rate,
        min_history=min_history,
        season=season,
        direction="high",
    )
    return None if gap.high is None else times[-1] + timedelta(seconds=gap.high), gap


def _kept(history: Sequence[Point], enough: int) -> list[int]:
    """Places of the values to learn from."""
    begin, accepted, run = 0, -1, 0
    for index, point in enumerate(history):
        run = run + 1 if point.anomalous else 0
        if run >= enough:
            begin, accepted = index - run + 1, index
    return [i for i in range(begin, len(history)) if i <= accepted or not history[i].anomalous]


def _places(
    history: Sequence[Point], kept: Sequence[int], at: datetime | None, season: Season
) -> list[Hashable]:
    """Place in the season of every value kept, and of the next one."""
    if isinstance(season, int):
        return [index % season for index in (*kept, len(history))]
    if season == "none":
        return [0] * (len(kept) + 1)
    times = [*(history[index].at for index in kept), at]
    return [None if time is None else time.weekday() for time in times]


def _reach(fit: Fit, rate: float, direction: Direction) -> tuple[Method, float]:
    """How far from its forecast the next value may lie."""
    sign = {"both": 0, "low": -1, "high": 1}[direction]
    sizes = sorted(abs(error) if sign == 0 else sign * error for error in fit.errors)
    # The next error is as likely as any past one to be the largest, the second largest and so on.
    rank = math.ceil((len(sizes) + 1) * (1 - rate) - _NOISE)
    if rank <= len(sizes):
        return "conformal", sizes[rank - 1]
    reach = exceeded(fit.even, rate if sign == 0 else min(2 * rate, 0.999)) * fit.factor
    return "student-t", max(reach, sizes[-1])

"""How often a model cried wolf: false alarms that people found, beside the budget that was stated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval

_EXTRA = "monitoring"
ReasonCode = Literal["fixed", "expected", "accepted", "duplicate", "false_alarm"]
REASONS: tuple[ReasonCode, ...] = get_args(ReasonCode)
#: Nothing was wrong: what an alarm budget counts.
FALSE_ALARM: ReasonCode = "false_alarm"


def check_reason(reason: str | None) -> None:
    """Refuse a word that is no reason code.

    :raises SpecError: with the codes there are.
    """
    if reason is not None and reason not in REASONS:
        msg = f"reason {reason!r} is none of {', '.join(REASONS)}."
        raise SpecError(msg)


def rate_interval(events: int, exposure: float, *, level: float = 0.95) -> Interval:
    """Events per unit with Garwood's exact interval of a Poisson rate.

    F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936), 437-442.

    >>> found = rate_interval(0, 90)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0, 0.041)
    """
    chi2 = load("scipy.stats", extra=_EXTRA).chi2
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(chi2.ppf(1 - tail, 2 * events + 2)) / 2
    return Interval(events / exposure, low / exposure, high / exposure, level, events)


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """What became of the alarms of a model.

    :param windows: windows that were judged.
    :param alarms: incidents of drift or decay.
    :param unresolved: those that nobody has resolved yet, or without a reason; they may turn out false.
    :param reasons: how many were resolved with which reason.
    :param budget: quiet windows between two false alarms, as the newest report states it.
    """

    model: str
    windows: int
    alarms: int
    unresolved: int
    reasons: dict[str, int]
    budget: int | None = None

    @property
    def false_alarms(self) -> int:
        """Alarms that people found to be false."""
        return self.reasons.get(FALSE_ALARM, 0)

    @property
    def rate(self) -> Interval | None:
        """False alarms per window with a 95 % interval; ``None`` before the first window."""
        return rate_interval(self.false_alarms, self.windows) if self.windows else None

    @property
    def verdict(self) -> str:
        """``fail`` where surely more are false than was stated, ``warn`` where so many are on the face of it.

        >>> AlarmRecord("m", 90, 1, 0, {"false_alarm": 1}, budget=90).verdict
        'pass'
        >>> AlarmRecord("m", 90, 9, 0, {"false_alarm": 9}, budget=90).verdict
        'fail'
        """
        if self.budget is None or self.rate is None:
            return "unknown"
        if self.rate.low > 1 / self.budget:
            return "fail"
        return "warn" if self.rate.estimate > 1 / self.budget else "pass"

    @property
    def said(self) -> str:
        """In words."""
        if self.rate is None:
            return f"{self.model} was not watched yet"
        stated = f"1 in {self.budget} windows was stated" if self.budget else "no budget was stated"
        return (
            f"{self.false_alarms} of {self.alarms} alarms in {self.windows} windows were false, "
            f"{self.rate.estimate:.4f} per window [{self.rate.low:.4f}, {self.rate.high:.4f}]; {stated}; "
            f"{self.unresolved} without a reason yet"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rate = self.rate
        return asdict(self) | {
            "false_alarms": self.false_alarms,
            "rate": rate.to_dict() if rate else None,
            "verdict": self.verdict,
            "said": self.said,
        }

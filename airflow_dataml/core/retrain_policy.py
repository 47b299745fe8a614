"""What a person says about new versions of a model: what asks for one, how soon again, made how, allowed to do what."""

from __future__ import annotations

import difflib
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

__all__ = ["FINDINGS", "Action", "Freeze", "RetrainBudget", "RetrainPolicy", "Strategy"]

FINDINGS = (
    "decay", "estimated_decay", "prediction_drift", "input_drift", "attribution_drift", "late",
    "metric_failed", "metric_warned",
)  # fmt: skip
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Strategy = Literal["same", "retune", "warm_start", "distil"]
Action = Literal["register", "challenger", "promote"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_NOTHING = timedelta(0)


def _known(kind: str) -> str:
    if kind not in FINDINGS:
        close = difflib.get_close_matches(kind, FINDINGS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(FINDINGS)}"
        msg = f"{kind!r} is nothing a monitor finds; {hint}"
        raise ValueError(msg)
    return kind


def _positive(span: timedelta) -> timedelta:
    if span <= _NOTHING:
        msg = "write a span longer than nothing, such as 'P30D' or a number of seconds"
        raise ValueError(msg)
    return span


Finding = Annotated[str, AfterValidator(_known)]
Span = Annotated[timedelta, AfterValidator(_positive)]


class Freeze(BaseModel):
    """Days on which no retraining is asked for, by the calendar of UTC.

    :param first: the first such day; from ever unless given.
    :param last: the last such day; for ever unless given.
    :param weekdays: only these days of the week; every day unless given.
    :param why: said in the decision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: date | None = None
    last: date | None = None
    weekdays: tuple[Weekday, ...] = ()
    why: str = ""

    @model_validator(mode="after")
    def _some_days(self) -> Self:
        if self.first is None and self.last is None and not self.weekdays:
            msg = "a freeze for ever would never retrain: give first, last or weekdays"
            raise ValueError(msg)
        if self.first is not None and self.last is not None and self.first > self.last:
            msg = f"a freeze from {self.first} to {self.last} is none: swap the days"
            raise ValueError(msg)
        return self

    def covers(self, day: date) -> bool:
        """Whether nothing is asked for on a day.

        >>> Freeze(weekdays=("sat", "sun")).covers(date(2026, 11, 28)), Freeze(first=date(2026, 12, 1)).covers(date(2026, 11, 28))
        (True, False)
        """
        begun = self.first is None or self.first <= day
        over = self.last is not None and self.last < day
        return begun and not over and (not self.weekdays or WEEK[day.weekday()] in self.weekdays)

    def __str__(self) -> str:
        words = [f"from {self.first}" if self.first else "", f"to {self.last}" if self.last else ""]
        words += [
            f"on {', '.join(self.weekdays)}" if self.weekdays else "",
            f"({self.why})" if self.why else "",
        ]
        return " ".join(word for word in words if word)


class RetrainBudget(BaseModel):
    """How many retrainings may be asked for.

    :param retrainings: so many, whatever became of them,
    :param within: in a span of this length that ends now; ISO 8601 such as ``P30D``, or seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrainings: int = Field(ge=1)
    within: Span


class RetrainPolicy(BaseModel):
    """What follows from news about a model.

    Drift of single inputs alone never replaces a model: it is reported, and retraining follows
    when ``on`` names what was found. Spans are ISO 8601 such as ``P30D``, or seconds.

    :param on: findings that ask for a new version: ``decay``, ``estimated_decay``, ``prediction_drift``,
        ``input_drift``, ``attribution_drift``, ``late``, ``metric_failed``, ``metric_warned``.
    :param k: in so many of the last ``m`` windows of this champion one of them must be found; a window whose data
        could not be trusted is none.
    :param m: see ``k``.
    :param still_in_decline: whether a decline that an earlier retraining did not end asks again. Without it, only a
        window without those findings, or another champion, makes the next one ask.
    :param max_age: a champion older than this, with no retraining asked for since, asks for a new version.
    :param new_rows: so many rows in batches that the newest version did not learn from ask for a new version.
    :param new_batches: so many such batches ask for a new version.
    :param min_interval: no retraining is asked for sooner after the one before.
    :param budget: how many retrainings may be asked for.
    :param freeze: days on which none is asked for.
    :param trusted_columns: columns whose values are the world's however they look; no broken feed is told from them.
    :param strategy: how the new version is made: ``same`` settings; ``retune`` looks for better ones where the
        training's DAG tunes; ``warm_start`` begins with the champion's weights; ``distil`` has it learn from the
        champion's scores beside the labels.
    :param action: what the new version may become: ``register`` leaves every alias; ``challenger`` lets it score as
        a shadow; ``promote`` lets it replace the champion if it is surely better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: tuple[Finding, ...] = ("decay", "prediction_drift")
    k: int = Field(default=1, ge=1)
    m: int = Field(default=1, ge=1, le=100)
    still_in_decline: bool = True
    max_age: Span | None = None
    new_rows: int | None = Field(default=None, ge=1)
    new_batches: int | None = Field(default=None, ge=1)
    min_interval: timedelta = Field(default=_NOTHING, ge=_NOTHING)
    budget: RetrainBudget | None = None
    freeze: tuple[Freeze, ...] = ()
    trusted_columns: tuple[str, ...] = ()
    strategy: Strategy = "same"
    action: Action = "promote"

    @model_validator(mode="after")
    def _k_of_m(self) -> Self:
        if self.k > self.m:
            msg = f"{self.k} of the last {self.m} windows can never be: let k be at most m"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Only ``on`` was there when policies were first recorded: what came later is left out at its default,
        # so that older digests stay what they are.
        fields = type(self).model_fields
        written: dict[str, Any] = handler(self)
        return {k: v for k, v in written.items() if k == "on" or getattr(self, k) != fields[k].default}

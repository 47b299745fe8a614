"""What the API answers about a watched window beside its own drift: evidence over time, estimates, late labels, metrics."""

from __future__ import annotations

from pydantic import Field

from airflow_dataml.api.models import Answer


class Estimate(Answer):
    """A number with its interval, as far as it is known."""

    estimate: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None


class OverTime(Answer):
    """The evidence of all windows so far, as natural logarithms; an alarm where its mean reaches the bar.

    :param sums: of each column, the largest first, at most forty.
    """

    budget: int
    bar: float
    evidence: float | None = None
    sums: dict[str, float] = Field(default_factory=dict)
    windows: int = 0
    alarm: bool = False
    suspects: list[str] = Field(default_factory=list)
    counted: bool = True


class Expected(Answer):
    """A metric as it is expected without labels."""

    metric: str
    estimate: float
    low: float | None = None
    high: float | None = None
    released: float | None = None


class Arrived(Answer):
    """An earlier batch by the labels that are there now."""

    partition_key: str
    scored: int | None = None
    labelled: int | None = None
    loss: Estimate | None = None


class OwnMetric(Answer):
    """A metric of one's own, and from where to where it may lie."""

    name: str
    value: float | None = None
    verdict: str
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class Watch(Answer):
    """What a window says beside its own drift and loss.

    :param promised: share of a batch's labels that was promised.
    :param moved: share of the attribution that lies on other features than when the model was explained.
    """

    evidence: OverTime | None = None
    scored: int | None = None
    labelled: int | None = None
    promised: float | None = None
    expected: list[Expected] = Field(default_factory=list)
    arrived: list[Arrived] = Field(default_factory=list)
    metrics: list[OwnMetric] = Field(default_factory=list)
    moved: float | None = None
    borne: float | None = None
    warnings: list[str] = Field(default_factory=list)

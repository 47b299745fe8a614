"""Gates on metrics: MLflow's thresholds, judged on confidence intervals instead of on two numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.metrics import METRICS, contrast, measure, metric_named, metrics_of, timing
from airflow_dataml.core.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.metrics import Metric

Verdict = Literal["pass", "fail", "unknown"]


class MetricGate(BaseModel):
    """A condition on one metric that the holdout must surely show; what it cannot decide is ``unknown``.

    The fields are those of ``mlflow.models.MetricThreshold``. A condition passes where the whole interval of the
    policy's confidence is on the right side of it, and fails where the whole interval is on the other.

    :param metric: a name of scikit-learn's or torchmetrics', such as ``roc_auc``, ``f1_score`` or
        ``mean_absolute_error``; ``expected_calibration_error``; or ``latency_p50``, ``latency_p95`` (milliseconds
        to encode and score 1000 rows on the worker that evaluates).
    :param threshold: what the metric must reach, or must not exceed where less is better.
    :param min_absolute_change: by how much it must be better than the opponent's.
    :param min_relative_change: the same as a share of the opponent's.
    :param greater_is_better: as the metric has it; a contradiction is refused.
    :param decision_threshold: score from which on a row counts as positive, for metrics of decisions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    threshold: float | None = None
    min_absolute_change: float | None = Field(None, ge=0)
    min_relative_change: float | None = Field(None, ge=0)
    greater_is_better: bool | None = None
    decision_threshold: float = 0.5

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        return metric_named(value).name

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.threshold is None and self.min_absolute_change is None and self.min_relative_change is None:
            msg = f"the gate on {self.metric!r} asks nothing; give threshold, min_absolute_change or min_relative_change"
            raise ValueError(msg)
        upwards = METRICS[self.metric].greater_is_better
        if self.greater_is_better not in (None, upwards):
            msg = f"of {self.metric!r} {'more' if upwards else 'less'} is better; leave greater_is_better out"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Finding:
    """What one condition of a policy found.

    :param interval: of what is compared; see ``reason``.
    :param holds: whether it must pass for a promotion; if not it is only said.
    """

    kind: Literal["gate", "slice", "fairness"]
    name: str
    verdict: Verdict
    reason: str
    rows: int
    interval: Interval | None = None
    holds: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scored:
    """What two models said about the same rows.

    :param kind: the models' task.
    :param labels: truth, ``[n]``; so too the scores of both sides. Of classes, a label is the place of its class in
        the probabilities of both sides, ``[n, classes]``.
    :param columns: what slices and fairness groups are made of, by name.
    :param timings: milliseconds per 1000 rows of repeated scoring: the challenger's, and the opponent's if it is a model.
    :param classes: names of the classes; the probabilities may have one column more, of what neither model learnt.
    """

    kind: Literal["binary", "regression", "multiclass"]
    labels: Any
    challenger: Any
    opponent: Any
    columns: Mapping[str, Any]
    timings: tuple[Sequence[float], Sequence[float]] = ((), ())
    classes: tuple[str, ...] = ()


def judge_gates(gates: Sequence[MetricGate], rows: Scored, *, error: float) -> list[Finding]:
    """Judge every condition of every gate.

    Each is judged at the full confidence: all must pass, and a promotion that takes all of several tests is wrong no
    more often than the one that is wrong (R. L. Berger, Technometrics 24 (1982) 295-300: intersection-union test).

    :param error: of both ends of an interval together.
    :raises PolicyError: a metric is not one of the model's task.
    """
    return [finding for gate in gates for finding in _judge(gate, rows, 1 - error)]


def _judge(gate: MetricGate, rows: Scored, level: float) -> Iterable[Finding]:
    known = metrics_of(rows.kind)
    if gate.metric not in known:
        msg = f"{gate.metric!r} is no metric of a {rows.kind} model: gate on one of {', '.join(known)}."
        raise PolicyError(msg)
    metric = known[gate.metric]
    upwards = metric.greater_is_better
    if gate.threshold is not None:
        found = _alone(metric, rows, level, gate)
        yield finding_of(gate.metric, found, gate.threshold, upwards=upwards, what=gate.metric)
    if gate.min_absolute_change is not None:
        change = gate.min_absolute_change if upwards else -gate.min_absolute_change
        found = _against(metric, rows, level, gate, 1.0)
        yield finding_of(f"{gate.metric} change", found, change, upwards=upwards, what="change")
    if gate.min_relative_change is not None:
        yield _relative(metric, rows, level, gate)


def _alone(metric: Metric, rows: Scored, level: float, gate: MetricGate) -> Interval | None:
    if metric.kind == "latency":
        return timing(metric, rows.timings[0], level=level)
    return measure(metric, rows.labels, rows.challenger, level=level, threshold=gate.decision_threshold)


def _against(metric: Metric, rows: Scored, level: float, gate: MetricGate, factor: float) -> Interval | None:
    if metric.kind == "latency":
        return latency_contrast(metric, rows, factor=factor, level=level)
    return contrast(
        metric,
        rows.labels,
        rows.challenger,
        rows.opponent,
        factor=factor,
        level=level,
        threshold=gate.decision_threshold,
    )


def _relative(metric: Metric, rows: Scored, level: float, gate: MetricGate) -> Finding:
    """Whether the challenger is beyond ``factor`` times the opponent, which needs no division of two estimates."""
    share = gate.min_relative_change or 0.0
    factor = 1 + share if metric.greater_is_better else 1 - share
    name = f"{metric.name} relative change"
    base = (
        timing(metric, rows.timings[1], level=level)
        if metric.kind == "latency"
        else measure(metric, rows.labels, rows.opponent, level=level, threshold=gate.decision_threshold)
    )
    if base is not None and base.estimate <= 0:
        reason = f"{name}: the opponent's is {base.estimate:.4g}, and a share is of something above 0"
        return Finding("gate", name, "unknown", reason, len(rows.labels))
    found = _against(metric, rows, level, gate, factor)
    return finding_of(
        name,
        found,
        0.0,
        upwards=metric.greater_is_better,
        what=f"difference to {factor:g} times the opponent's",
    )


def latency_contrast(metric: Metric, rows: Scored, *, factor: float, level: float) -> Interval | None:
    """The challenger's timing less ``factor`` times the opponent's; the two were taken one after the other."""
    sides = [timing(metric, samples, level=(1 + level) / 2) for samples in rows.timings]
    if sides[0] is None or sides[1] is None:
        return None
    one, other = sides[0], sides[1]
    low, high = one.low - factor * other.high, one.high - factor * other.low
    return Interval(one.estimate - factor * other.estimate, low, high, level, one.n)


def finding_of(name: str, found: Interval | None, limit: float, *, upwards: bool, what: str) -> Finding:
    """Judge an interval against a limit.

    >>> from airflow_dataml.core.statistics import Interval
    >>> finding_of("f1", Interval(0.8, 0.7, 0.9, 0.95, 100), 0.75, upwards=True, what="f1").reason
    'f1: f1 0.8 [0.7, 0.9] on 100 rows, at least 0.75 is asked: cannot be told'
    """
    asked = f"{'at least' if upwards else 'at most'} {limit:g} is asked"
    if found is None:
        return Finding("gate", name, "unknown", f"{name}: not defined by these rows, {asked}", 0)
    verdict: Verdict = "unknown"
    if (found.low >= limit) if upwards else (found.high <= limit):
        verdict = "pass"
    elif (found.high < limit) if upwards else (found.low > limit):
        verdict = "fail"
    said = {"pass": "surely so", "fail": "surely not so", "unknown": "cannot be told"}[verdict]
    counted = "timings" if name.startswith("latency") else "rows"
    shown = f"{what} {found.estimate:.4g} [{found.low:.4g}, {found.high:.4g}] on {found.n} {counted}"
    return Finding("gate", name, verdict, f"{name}: {shown}, {asked}: {said}", found.n, found)

"""Champion against challenger: policies, metrics and the promotion verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer

from airflow_dataml.core.classes import class_log_losses, named_few
from airflow_dataml.core.estimation import Calibration
from airflow_dataml.core.extras import load
from airflow_dataml.core.fairness import Fairness  # noqa: TC001 - pydantic resolves annotations while running
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.influences import roc_auc_ovr
from airflow_dataml.core.looks import Look, judge_rows
from airflow_dataml.core.metric_gates import Finding, MetricGate, Scored
from airflow_dataml.core.metrics import METRICS, measure, metrics_of, timing
from airflow_dataml.core.sequential import Evidence
from airflow_dataml.core.slices import Slice  # noqa: TC001 - pydantic resolves annotations while running
from airflow_dataml.core.statistics import (
    Interval,
    bootstrap_mean,
    log_losses,
    roc_auc,
    squared_errors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SerializerFunctionWrapHandler

    from airflow_dataml.core.estimation_classes import ClassCalibration
    from airflow_dataml.core.estimation_losses import LossModel

Loss = Literal["log_loss", "squared_error", "multiclass_log_loss"]
# The log loss of classes has a name of its own: what reads a score and a 0/1 label must not take it for the other.
LOSS_OF_TASK: dict[str, Loss] = {
    "binary": "log_loss",
    "regression": "squared_error",
    "multiclass": "multiclass_log_loss",
}
_ROW_LOSSES = {
    "log_loss": log_losses,
    "squared_error": squared_errors,
    "multiclass_log_loss": class_log_losses,
}
_TASK_OF_LOSS: dict[Loss, Literal["binary", "regression", "multiclass"]] = {
    "log_loss": "binary",
    "squared_error": "regression",
    "multiclass_log_loss": "multiclass",
}
_EXTRA = "monitoring"
_NESTED = ("look", "calibration", "loss_model")


class PromotionPolicy(BaseModel):
    """When a challenger replaces the champion.

    The loss must be surely lower, and every gate, slice and fairness rule must pass as well.

    :param margin: the mean loss must be surely lower by more than this. Below zero it is a margin of
        non-inferiority: the loss must surely not be higher by more than so much. That is for a challenger that
        is better otherwise, such as faster or fairer; a series of them may get worse step by step, so let people
        approve each.
    :param confidence: confidence of the paired interval that must lie wholly beyond the margin.
    :param min_rows: below this many holdout rows the verdict is ``unknown``, which does not promote.
    :param gates: conditions on single metrics; see ``MetricGate``.
    :param slices: columns, or ``Slice`` rules, on whose groups the challenger must surely be no worse.
    :param fairness: columns, or ``Fairness`` rules, between whose groups a rate, or the loss,
        must surely not differ much.
    :param looks: how often one challenger is to be measured against the same champion, each time on the rows that
        came since. Evidence adds up, the interval becomes a confidence sequence, and the chance of ever promoting a
        challenger that is no better stays below ``1 - confidence``, also after more looks than planned. Without it
        every evaluation stands for itself, and repeating it until it passes is not safe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(0.0, allow_inf_nan=False)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    min_rows: int = Field(500, ge=2)
    gates: tuple[MetricGate, ...] = ()
    slices: tuple[Slice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    looks: int | None = Field(None, ge=2, le=10_000)

    @field_validator("slices", "fairness", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple({"column": one} if isinstance(one, str) else one for one in value)
        return value

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Policies written before these were known keep their digest.
        later = ("gates", "slices", "fairness", "looks")
        return {key: value for key, value in handler(self).items() if key not in later or value}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make slices and fairness groups."""
        return tuple(dict.fromkeys(rule.column for rule in (*self.slices, *self.fairness)))


@dataclass(frozen=True, slots=True)
class ModelScores:
    """How one model did on the holdout."""

    who: str
    loss: Interval
    auc: float | None
    metrics: dict[str, Interval] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger and what it is measured against, on the same rows.

    :param difference: of the losses; over all rows of all looks where there are several.
    :param rows: of this look.
    :param evidence: sums of the loss differences of this look.
    :param unseen_classes: those the challenger never learnt and how many rows have them, if any.
    :param calibration: what the challenger's scores, or its probabilities of classes, turned out to be, for
        estimates without labels; so too ``loss_model``, of a regression what its loss is by features.
    """

    metric: Loss
    challenger: ModelScores
    opponent: ModelScores
    difference: Interval
    rows: int
    evidence: Evidence = field(default_factory=Evidence)
    gates: tuple[Finding, ...] = ()
    slices: tuple[Finding, ...] = ()
    fairness: tuple[Finding, ...] = ()
    look: Look | None = None
    calibration: Calibration | ClassCalibration | None = None
    loss_model: LossModel | None = None
    unseen_classes: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what was not asked for is left out."""
        data = asdict(self)
        findings = {
            name: [one.to_dict() for one in getattr(self, name)] for name in ("gates", "slices", "fairness")
        }
        asked: dict[str, Any] = {key: value for key, value in findings.items() if value}
        for name in _NESTED:
            if (one := getattr(self, name)) is not None:
                asked[name] = one.to_dict()
        if self.unseen_classes is not None:
            asked["unseen_classes"] = self.unseen_classes
        left = (*findings, *_NESTED, "unseen_classes")
        return {key: data[key] for key in data if key not in left} | asked


def row_losses(metric: Loss, labels: Any, scores: Any) -> Any:
    """Loss of every row; of classes, labels are places among the columns of the scores.

    >>> row_losses("squared_error", [1.0], [2.0]).tolist()
    [1.0]
    """
    return _ROW_LOSSES[metric](labels, scores)


def compare(
    *,
    metric: Loss,
    labels: Any,
    challenger: tuple[str, Any],
    opponent: tuple[str, Any],
    policy: PromotionPolicy,
    columns: Mapping[str, Any] | None = None,
    timings: tuple[Sequence[float], Sequence[float]] = ((), ()),
    before: Look | None = None,
    classes: Sequence[str] = (),
) -> Comparison:
    """Measure two models on the same rows, with a paired bootstrap interval of the loss difference.

    :param labels: truth, ``[n]``; of classes their places in the scores.
    :param challenger: name and scores ``[n]``, of classes ``[n, classes]``; so too the opponent.
    :param columns: the policy's columns, ``[n]`` each.
    :param timings: milliseconds per 1000 rows of repeated scoring, of both; empty where nothing was scored.
    :param before: what earlier looks at other rows left, if ``policy.looks``.
    :param classes: names of the classes that the scores are of, of a model of classes.
    """
    np = load("numpy", extra=_EXTRA)
    truth, *said = (np.asarray(side, dtype=float) for side in (labels, challenger[1], opponent[1]))
    rows = Scored(_TASK_OF_LOSS[metric], truth, said[0], said[1], columns or {}, timings, tuple(classes))
    losses = [row_losses(metric, truth, scores) for scores in said]
    sides = [
        ModelScores(
            who=who,
            loss=bootstrap_mean(loss, level=policy.confidence),
            auc=_auc(rows, scores),
            metrics=_metrics(rows, scores, times, policy.confidence),
        )
        for who, scores, loss, times in zip((challenger[0], opponent[0]), said, losses, timings, strict=True)
    ]
    judged = judge_rows(rows, losses=(losses[0], losses[1]), policy=policy, before=before)
    difference = judged.difference or bootstrap_mean(losses[0] - losses[1], level=policy.confidence)
    return Comparison(
        metric=metric,
        challenger=sides[0],
        opponent=sides[1],
        difference=difference,
        rows=len(truth),
        evidence=Evidence.of(losses[0] - losses[1]),
        gates=judged.gates,
        slices=judged.slices,
        fairness=judged.fairness,
        look=judged.look,
        # Of classes it is read from probabilities by whoever knows the classes' names.
        calibration=None
        if rows.kind == "multiclass"
        else Calibration.fit(task=rows.kind, labels=truth, scores=said[0]),
    )


def _auc(rows: Scored, scores: Any) -> float | None:
    """The area under the curve; of classes, the mean of each against all others."""
    if rows.kind == "multiclass":
        found = roc_auc_ovr(rows.labels, scores, 0.5)
        return found[0] if found else None
    return roc_auc(rows.labels, scores) if rows.kind == "binary" else None


def _metrics(rows: Scored, scores: Any, times: Sequence[float], level: float) -> dict[str, Interval]:
    found = {
        name: measure(one, rows.labels, scores, level=level)
        for name, one in metrics_of(rows.kind).items()
        if one.kind == rows.kind
    }
    if times:
        found |= {
            name: timing(one, times, level=level) for name, one in METRICS.items() if one.kind == "latency"
        }
    return {name: interval for name, interval in found.items() if interval is not None}


def verdict_of(comparison: Mapping[str, Any], policy: PromotionPolicy) -> tuple[str, str]:
    """Verdict of a comparison and its reason: ``pass``, ``fail``, or ``unknown`` with too few rows.

    Whatever the loss says, a failed gate, slice or fairness rule fails, and one that cannot be told is unknown.
    """
    verdict, reason = _verdict_of_loss(comparison, policy)
    findings = [one for kind in ("gates", "slices", "fairness") for one in comparison.get(kind, ())]
    shown = [one for one in findings if one["verdict"] != "pass"]
    passed = len(findings) - len(shown)
    found = {one["verdict"] for one in shown if one["holds"]}
    order = ("fail", "unknown", "pass")
    worst = min((verdict, *found), key=order.index)
    said = [one["reason"] + ("" if one["holds"] else " (only said)") for one in shown]
    kept = [f"{passed} of {len(findings)} conditions on metrics, slices and groups hold"] if findings else []
    return worst, "; ".join((reason, *_strangers(comparison.get("unseen_classes")), *kept, *said))


def _strangers(unseen: Mapping[str, Any] | None) -> list[str]:
    if not unseen:
        return []
    return [f"{unseen['rows']} rows have classes it never learnt: {named_few(unseen['classes'])}"]


def _verdict_of_loss(comparison: Mapping[str, Any], policy: PromotionPolicy) -> tuple[str, str]:
    difference, metric = comparison["difference"], comparison["metric"]
    look = comparison.get("look")
    rows = look["total"]["n"] if look else comparison["rows"]
    looked = f" in {look['number']} look{'s' if look['number'] > 1 else ''}" if look else ""
    shown = (
        f"{metric} {comparison['challenger']['loss']['estimate']:.4f} against "
        f"{comparison['opponent']['loss']['estimate']:.4f} of {comparison['opponent']['who']}, difference "
        f"{difference['estimate']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}] on {rows} rows{looked}"
    )
    if rows < policy.min_rows:
        return "unknown", f"{shown}: fewer than {policy.min_rows} rows, too few to say"
    surely, than = ("better", policy.margin) if policy.margin >= 0 else ("no worse", -policy.margin)
    if difference["high"] < -policy.margin:
        return "pass", f"{shown}: surely {surely} by more than {than:g}"
    return "fail", f"{shown}: not surely {surely} by more than {than:g}"


def decide_promotion(*, verdict: str, reason: str, first: bool) -> Decision:
    """Promote, or keep what is there.

    >>> decide_promotion(verdict="unknown", reason="too few rows", first=False).action
    'keep'
    """
    if verdict == "pass":
        return Decision("promote", (reason, *(["there was no champion"] if first else [])))
    return Decision("keep", (reason,))

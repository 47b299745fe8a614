"""Champion against challenger: policies, metrics and the promotion verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.governance import Decision
from airflow_dataml.core.statistics import (
    Interval,
    bootstrap_mean,
    log_losses,
    roc_auc,
    squared_errors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Loss = Literal["log_loss", "squared_error"]
LOSS_OF_TASK: dict[str, Loss] = {"binary": "log_loss", "regression": "squared_error"}


class PromotionPolicy(BaseModel):
    """When a challenger replaces the champion.

    :param margin: the mean loss must be surely lower by more than this.
    :param confidence: confidence of the paired interval that must lie wholly beyond the margin.
    :param min_rows: below this many holdout rows the verdict is ``unknown``, which does not promote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(0.0, ge=0)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    min_rows: int = Field(500, ge=2)


@dataclass(frozen=True, slots=True)
class ModelScores:
    """How one model did on the holdout."""

    who: str
    loss: Interval
    auc: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger and what it is measured against, on the same rows."""

    metric: Loss
    challenger: ModelScores
    opponent: ModelScores
    difference: Interval
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def row_losses(metric: Loss, labels: Any, scores: Any) -> Any:
    """Loss of every row.

    >>> row_losses("squared_error", [1.0], [2.0]).tolist()
    [1.0]
    """
    return log_losses(labels, scores) if metric == "log_loss" else squared_errors(labels, scores)


def compare(
    *,
    metric: Loss,
    labels: Any,
    challenger: tuple[str, Any],
    opponent: tuple[str, Any],
    policy: PromotionPolicy,
) -> Comparison:
    """Measure two models on the same rows, with a paired bootstrap interval of the loss difference.

    :param labels: truth, ``[n]``.
    :param challenger: name and scores ``[n]``; so too the opponent.
    """
    sides = []
    losses = []
    for who, scores in (challenger, opponent):
        loss = row_losses(metric, labels, scores)
        losses.append(loss)
        auc = roc_auc(labels, scores) if metric == "log_loss" else None
        sides.append(ModelScores(who, bootstrap_mean(loss, level=policy.confidence), auc))
    difference = bootstrap_mean(losses[0] - losses[1], level=policy.confidence)
    return Comparison(metric, sides[0], sides[1], difference, len(losses[0]))


def verdict_of(comparison: Mapping[str, Any], policy: PromotionPolicy) -> tuple[str, str]:
    """Verdict of a comparison and its reason: ``pass``, ``fail``, or ``unknown`` with too few rows."""
    difference, metric = comparison["difference"], comparison["metric"]
    shown = (
        f"{metric} {comparison['challenger']['loss']['estimate']:.4f} against "
        f"{comparison['opponent']['loss']['estimate']:.4f} of {comparison['opponent']['who']}, difference "
        f"{difference['estimate']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}] on {comparison['rows']} rows"
    )
    if comparison["rows"] < policy.min_rows:
        return "unknown", f"{shown}: fewer than {policy.min_rows} rows, too few to say"
    if difference["high"] < -policy.margin:
        return "pass", f"{shown}: surely better by more than {policy.margin:g}"
    return "fail", f"{shown}: not surely better by more than {policy.margin:g}"


def decide_promotion(*, verdict: str, reason: str, first: bool) -> Decision:
    """Promote, or keep what is there.

    >>> decide_promotion(verdict="unknown", reason="too few rows", first=False).action
    'keep'
    """
    if verdict == "pass":
        return Decision("promote", (reason, *(["there was no champion"] if first else [])))
    return Decision("keep", (reason,))

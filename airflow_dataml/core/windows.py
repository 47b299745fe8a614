"""Which rows train a model and which judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version


class DataWindow(BaseModel):
    """The newest batches of a dataset, the last part of the newest kept as holdout.

    The holdout lies later than every training row of the challenger *and* of any earlier champion,
    so neither has seen it.

    :param time_column: when a row happened; cuts training rows from the holdout.
    :param key_columns: columns that name a row; order equal times, so that exports are repeatable.
    :param batches: how many of the newest batches (partitions) to use.
    :param min_batches: below this many a first model is not trained.
    :param holdout_share: share of the newest batch's rows, by time, that is kept for evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_column: str
    key_columns: tuple[str, ...] = Field(min_length=1)
    batches: int = Field(3, ge=1)
    min_batches: int = Field(2, ge=1)
    holdout_share: float = Field(0.5, gt=0, lt=1)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training run is pinned to; small enough for XCom.

    :param version: the dataset version, as ``name@number``.
    :param partitions: batches of that version whose rows are used.
    :param cut: rows before this time train, the others are the holdout.
    :param champion: version id of the champion the challenger will be measured against.
    :param reason_report: the decision report that asked for the training.
    """

    model: str
    dataset: str
    version_id: int
    version: str
    partitions: tuple[str, ...]
    time_column: str
    key_columns: tuple[str, ...]
    cut: str
    champion: int | None
    reason_report: int | None
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        data = asdict(self)
        for key in ("partitions", "key_columns", "reasons"):
            data[key] = list(data[key])
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; anything else is refused."""
        try:
            lists = {key: tuple(data[key]) for key in ("partitions", "key_columns", "reasons")}
            return cls(**(data | lists))
        except (TypeError, KeyError) as err:
            msg = f"a training plan was expected from the plan task, received {data!r}."
            raise SpecError(msg) from err


def plan_of(version: Version, *, what: str) -> TrainingPlan:
    """Return what a model version was trained on.

    :param what: what needs to know, for the message.
    :raises SpecError: it was not trained here, as one adopted from MLflow.
    """
    if version.kind != "model" or not version.facts.get("plan") or not version.facts.get("spec"):
        msg = (
            f"{what} needs to know what {version.ref} was trained on, and nobody trained it here: train a version with "
            "ModelTrainOperator and promote it."
        )
        raise SpecError(msg)
    return TrainingPlan.from_dict(version.facts["plan"])

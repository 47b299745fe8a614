"""What a person decides about watching a model: tolerances, references, budgets, slices, delays and metrics."""

from __future__ import annotations

import re
from datetime import timedelta  # noqa: TC003 - pydantic reads it
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from airflow_dataml.core.alarm_budget import AlarmBudget  # noqa: TC001 - pydantic reads it

TRAINING, PREVIOUS = "training", "previous"
# Of a model served elsewhere: the histograms reported as its reference, and the first window reported of it.
REPORTED, FIRST = "reported", "first"
# Came after policies were first recorded: at its default it is left out, so that older digests stay what they are.
_LATER = (
    "reference",
    "alarm_budget",
    "slices",
    "slice_groups",
    "importance",
    "counting",
    "labels_from",
    "max_label_delay",
    "min_label_share",
    "max_prediction_delay",
    "attribution_tolerance",
    "metrics",
    "errors",
)
_PINNED = re.compile(r"[^@]+@\d+\Z")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


class Counting(BaseModel):
    """A verdict by counting drifted features, as DataRobot's.

    :param drifted: this many drifted features fail a window.
    :param important: how many of them must be important ones, see ``MonitorPolicy.importance``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drifted: int = Field(1, ge=1)
    important: int = Field(0, ge=0)


class ErrorWatch(BaseModel):
    """Realised errors or losses watched row by row, as labels come.

    :param measure: ``errors``, whether a yes or no at a score of one half was wrong, which a holdout bounds exactly; of
        anything but two classes, and with ``loss``, the loss that the model was released by.
    :param tolerance: growth over the baseline that is borne for ever, as a share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["errors", "loss"] = "errors"
    tolerance: float = Field(0.0, ge=0, le=10)


class MonitorMetric(BaseModel):
    """A number of one's own that is watched with every batch.

    :param name: what it is called in the report.
    :param sql: a query of one row and one column. ``predictions`` and ``features`` stand for the batch's rows, and
        ``%(partition_key)s`` for its key; a per cent sign is written ``%%``. It can write nothing.
    :param callable: ``package.module:function`` instead, called with the batch's facts; returns the number.
    :param direction: whether ``higher`` or ``lower`` numbers are better; ``both`` watches either side.
    :param limit: beyond it the window fails.
    :param warn: beyond it the window warns.
    :param learned: instead of a limit, this many of the batches before say what is usual; what is further out than
        all but ``level`` of what they foretell fails. Until there are three, ``unknown``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=100)
    sql: str | None = None
    callable: str | None = None
    direction: Literal["higher", "lower", "both"] = "lower"
    limit: float | None = None
    warn: float | None = None
    learned: int | None = Field(None, ge=3, le=500)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.sql is None) == (self.callable is None):
            msg = f"metric {self.name!r} needs either sql or callable"
            raise ValueError(msg)
        if self.callable is not None and not _IMPORT_PATH.match(self.callable):
            msg = f"metric {self.name!r}: callable {self.callable!r} is no package.module:function"
            raise ValueError(msg)
        if self.limit is not None and self.learned is not None:
            msg = f"metric {self.name!r} has a limit and is learned: give one of them"
            raise ValueError(msg)
        if self.direction == "both" and (self.limit is not None or self.warn is not None):
            msg = f"metric {self.name!r}: a limit has one side, so direction is higher or lower"
            raise ValueError(msg)
        return self


class MonitorPolicy(BaseModel):
    """When a window of data counts as drifted, or a model as decayed.

    :param tolerance: PSI that is borne; only what is surely larger is drift.
    :param level: share of false findings among all findings of one window (Benjamini-Hochberg).
    :param decay_tolerance: growth of the mean loss over its value at release that is borne, as a share.
    :param confidence: confidence of the interval that must lie wholly beyond the decay tolerance.
    :param min_rows: below this many rows a test says ``unknown``.
    :param reference: what a window is compared with: ``training``, the exact version the champion was trained on;
        ``previous``, the batch of the model that was scored before; or a pinned dataset version ``name@number``. Of
        windows that were reported as counts also ``reported``, the histograms reported as the model's reference, or
        ``first``, the first window that was reported.
    :param alarm_budget: quiet windows between two false alarms of the model. With it the evidence of all windows so
        far is summed, only its alarm, decay or data that never came opens an incident, and what single windows find
        stays in the report as warnings.
    :param slices: columns of the scored dataset; inputs and performance are tested in each of their groups too.
    :param slice_groups: the largest groups of a column of ``slices`` that are looked at.
    :param importance: share of the champion's newest explanation below which a feature's drift is a warning alone.
    :param counting: how many features must have drifted for the window to fail.
    :param labels_from: how many of the batches scored before are judged again by the labels there are now.
    :param max_label_delay: labels that are not there so long after their predictions are late. They are looked for in
        the current batch and the ``labels_from`` before it, so it needs ``labels_from``: when a batch is looked at
        for the first time, its own labels are hardly ever late.
    :param min_label_share: share of a batch's predictions whose labels must be there by then.
    :param max_prediction_delay: a batch that has no predictions so long after it was published is late.
    :param attribution_tolerance: share of attribution that may move to other features since the explanation of the
        champion; needs ``explain_extremes`` of the scoring.
    :param metrics: numbers of one's own.
    :param errors: whether errors are summed up row by row as labels come, against the baseline at release. They have
        one half of the alarm budget, and drift the other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: float = Field(0.1, ge=0, le=5)
    level: float = Field(0.01, gt=0, lt=0.5)
    decay_tolerance: float = Field(0.3, ge=0)
    confidence: float = Field(0.99, gt=0.5, lt=1)
    min_rows: int = Field(500, ge=2)
    reference: str = TRAINING
    alarm_budget: AlarmBudget | None = None
    slices: tuple[str, ...] = Field((), max_length=10)
    slice_groups: int = Field(5, ge=1, le=50)
    importance: float | None = Field(None, ge=0, le=1)
    counting: Counting | None = None
    labels_from: int = Field(0, ge=0, le=366)
    max_label_delay: timedelta | None = None
    min_label_share: float = Field(0.95, gt=0, le=1)
    max_prediction_delay: timedelta | None = None
    attribution_tolerance: float | None = Field(None, ge=0, le=1)
    metrics: tuple[MonitorMetric, ...] = Field((), max_length=50)
    errors: ErrorWatch | None = None

    @property
    def detector_windows(self) -> int:
        """Quiet windows between two false alarms of one detector, so that all together keep the budget."""
        windows = self.alarm_budget.windows if self.alarm_budget else 0
        return windows if self.errors is None else 2 * windows

    @field_validator("alarm_budget", mode="before")
    @classmethod
    def _windows(cls, value: Any) -> Any:
        return {"windows": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("errors", mode="before")
    @classmethod
    def _watched(cls, value: Any) -> Any:
        return {} if value is True else None if value is False else value

    @field_validator("reference")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (TRAINING, PREVIOUS, REPORTED, FIRST) and not _PINNED.match(value):
            msg = (
                f"reference {value!r} is not 'training', 'previous' or a dataset version such as rides@7; of windows "
                "reported as counts 'reported' or 'first'"
            )
            raise ValueError(msg)
        return value

    @field_validator("metrics")
    @classmethod
    def _named_once(cls, value: tuple[MonitorMetric, ...]) -> tuple[MonitorMetric, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            msg = f"metrics {twice} are named twice"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.alarm_budget is not None and self.reference == PREVIOUS:
            msg = "an alarm budget sums evidence against one reference: give 'training' or a pinned version with it"
            raise ValueError(msg)
        if self.errors is not None and self.alarm_budget is None:
            msg = "errors are watched over time, within the alarm budget: give alarm_budget with them"
            raise ValueError(msg)
        if self.counting is not None and self.alarm_budget is not None:
            msg = "counting judges single windows, and an alarm budget all of them together: give one of them"
            raise ValueError(msg)
        if self.counting is not None and self.counting.important and self.importance is None:
            msg = "counting.important needs importance, the share from which on a feature is an important one"
            raise ValueError(msg)
        if self.max_label_delay is not None and not self.labels_from:
            msg = (
                "max_label_delay needs labels_from, how many batches before are looked at again: a batch that was just "
                "scored has no late labels"
            )
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _recorded(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            name: value
            for name, value in written.items()
            if name not in _LATER or getattr(self, name) != fields[name].get_default()
        }

"""What the API answers about models, as types: aliases, evaluations, monitored windows, decisions, training, cards."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import Any

from pydantic import Field

from airflow_dataml.api.models import Answer, IncidentRow
from airflow_dataml.api.models_watch import Estimate, Watch


class Writer(Answer):
    """The task of a run that wrote something; nobody where it was not written by a task."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int = -1


class Role(Answer):
    """What an alias stands at.

    :param dataset: the version it was trained on, as ``name@number``.
    """

    name: str
    version: int
    moved_at: datetime
    created_at: datetime
    dataset: str | None = None
    metrics: dict[str, float | None] | None = None


class Verdict(Answer):
    """The newest report of a kind, in one line; of a decision what was decided and why."""

    report_id: int
    verdict: str
    created_at: datetime
    version: int | None = None
    action: str | None = None
    summary: str | None = None


class Dependency(Answer):
    """An asset the model is made from, directly (depth 1) or through others.

    :param pinned: the version the champion learnt from.
    """

    asset: str
    kind: str
    depth: int
    current: int | None = None
    pinned: int | None = None
    verdict: str | None = None
    incidents: int = 0


class ModelStanding(Answer):
    """Where a model stands: its aliases, what was last thought of it, and what it depends on.

    :param registry: what was last found otherwise in MLflow than we left it.
    """

    name: str
    roles: list[Role]
    evaluation: Verdict | None = None
    monitor: Verdict | None = None
    decision: Verdict | None = None
    registry: Verdict | None = None
    depends: list[Dependency]
    upstream_incidents: list[IncidentRow]


class AliasMove(Writer):
    """An alias that was moved: from where to where, by whom, and on the strength of which report."""

    entry_id: int
    name: str
    from_version: int | None = None
    to_version: int | None = None
    moved_at: datetime
    report_id: int | None = None
    verdict: str | None = None
    action: str | None = None
    reasons: list[str] | None = None


class ModelSide(Answer):
    """How one of two models did on the holdout."""

    who: str
    loss: Estimate | None = None
    auc: float | None = None


class Followed(Answer):
    """The decision that followed from a report."""

    report_id: int
    action: str | None = None
    reasons: list[str] | None = None
    created_at: datetime


class EvaluationRow(Writer):
    """A challenger against the champion, or against the least any model must beat.

    :param difference: challenger minus opponent, on the same rows; below zero the challenger is better.
    """

    report_id: int
    verdict: str
    created_at: datetime
    version: int | None = None
    summary: str | None = None
    metric: str | None = None
    challenger: ModelSide | None = None
    opponent: ModelSide | None = None
    difference: Estimate | None = None
    rows: int | None = None
    champion: str | None = None
    dataset: str | None = None
    cut: str | None = None
    margin: float | None = None
    min_rows: int | None = None
    decision: Followed | None = None


class Shift(Answer):
    """How far one column moved in a window; ``test`` says whether its values or their being there."""

    column: str
    test: str
    psi: float | None = None
    p_value: float | None = None
    drifted: bool = False
    rows: int | None = None


class WindowFacts(Answer):
    """A scored batch against the data its model was trained on.

    :param reference: the dataset version the model was trained on.
    :param released: mean loss on the holdout at release; ``limit`` is above what counts as decay.
    """

    summary: str | None = None
    partition_key: str | None = None
    model: str | None = None
    predictions: str | None = None
    features: str | None = None
    reference: str | None = None
    rows: int | None = None
    tolerance: float | None = None
    inputs: list[Shift] = Field(default_factory=list)
    prediction: list[Shift] = Field(default_factory=list)
    released: float | None = None
    now: Estimate | None = None
    limit: float | None = None
    findings: dict[str, list[str]] = Field(default_factory=dict)
    feed_broken: list[str] = Field(default_factory=list)
    blind: list[str] = Field(default_factory=list)


class WindowRow(WindowFacts, Writer):
    """One monitored window and what followed from it."""

    report_id: int
    verdict: str
    created_at: datetime
    version: int | None = None
    watch: Watch = Field(default_factory=Watch)
    decision: Followed | None = None


class DecisionRow(Writer):
    """A decision about a model.

    :param evaluation: the report it was taken on, of a promotion; ``monitor`` of a retraining.
    :param answered_by: the version that was trained because of it.
    """

    report_id: int
    verdict: str
    created_at: datetime
    version: int | None = None
    action: str | None = None
    reasons: list[str] | None = None
    evaluation: int | None = None
    monitor: int | None = None
    partition_key: str | None = None
    answered_by: int | None = None


class Feature(Answer):
    """One input column of a model."""

    name: str
    kind: str | None = None


class Spec(Answer):
    """What was asked to be trained; the rest of it are ``parameters``."""

    features: list[Feature] = Field(default_factory=list)
    target: str | None = None
    task: str | None = None


class Plan(Answer):
    """What a training was pinned to."""

    version: str | None = None
    partitions: list[str] = Field(default_factory=list)
    time_column: str | None = None
    cut: str | None = None
    reason_report: int | None = None
    reasons: list[str] = Field(default_factory=list)


class Trained(Answer):
    """What came of a training."""

    epochs: int | None = None
    steps: int | None = None
    rows: int | None = None
    seconds: float | None = None
    resumed: bool | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    weights_digest: str | None = None


class Pinned(Answer):
    """Data that is kept for a version's sake; ``kept`` says whether all its rows are still there."""

    ref: str
    reason: str
    pinned_at: datetime
    kept: bool


class Training(Writer):
    """What a model version was trained from and with."""

    version: int
    created_at: datetime
    aliases: list[str] = Field(default_factory=list)
    code_version: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    spec: Spec | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    plan: Plan | None = None
    training: Trained | None = None
    registry: dict[str, Any] | None = None
    artifact_digest: str | None = None
    pinned: Pinned | None = None


class Card(Answer):
    """A model card; ``markdown`` is what is answered as text/markdown."""

    version: int
    markdown: str


class LoggedPredictions(Answer):
    """What became of a batch of predictions made elsewhere.

    :param version: the version that brought them; the current one where all were known.
    """

    dataset: str
    version: str | None
    stored: int
    known: int


class CountedFeature(Answer):
    """How one feature is counted.

    :param count: ``cells`` of the grid, the ``values`` that are listed, or ``nulls`` alone.
    """

    name: str
    count: str
    grid: list[float] | None = None
    values: list[str] | None = None


class Counting(Answer):
    """What to count of the windows of a model served elsewhere.

    :param reference: what they will be compared with, in the words of a monitor policy.
    :param against: what that is.
    :param cells: equal cells of a grid; 0 is below it, one more than these above.
    :param score: from where to where scores are counted.
    :param calibrated: lowest scores of the cells of the model's calibration but the first.
    :param loss: what labels are summed up by.
    """

    model: str
    reference: str
    against: str
    cells: int
    features: list[CountedFeature]
    score: list[float] | None
    calibrated: list[float] | None
    loss: str | None


class ReceivedWindow(Answer):
    """What became of a reported window.

    :param known: the same numbers had been reported before.
    """

    model: str
    window: str
    report: int
    known: bool

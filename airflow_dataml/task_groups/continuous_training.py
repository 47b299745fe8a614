"""Continuous training: plan, train, evaluate, promote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airflow_dataml.operators.approval import ApprovalOperator
from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from airflow_dataml.operators.tune import ModelTuneOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_dataml.core.approvals import ApprovalPolicy
    from airflow_dataml.core.evaluation import PromotionPolicy
    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.tuning import TuningSpec
    from airflow_dataml.core.windows import DataWindow


def continuous_training(
    model: Asset,
    *,
    dataset: Asset | str,
    target: str,
    spec: str | TrainingSpec,
    window: DataWindow | dict[str, Any],
    tuning: str | TuningSpec | dict[str, Any] | None = None,
    policy: PromotionPolicy | dict[str, Any] | None = None,
    approval: ApprovalPolicy | dict[str, Any] | None = None,
    experiment: str | None = None,
    group_id: str | None = None,
    **task_arguments: Any,
) -> TaskGroup:
    """Return a group that trains a version when one is due, measures it, and promotes it if it is surely better.

    Schedule its DAG on ``dataset | retrain(model.name)``. A run that finds nothing to do is skipped with the reason.

    :param model: the model.
    :param dataset: the managed dataset it learns from.
    :param target: the label.
    :param spec: YAML file of a ``TrainingSpec``, or the spec.
    :param window: which batches train and what is held out (``DataWindow``, or its fields).
    :param tuning: YAML file of a ``TuningSpec``, the spec, or its fields; where a decision asks for a training with
        strategy ``retune``, better settings are looked for first, and its own ``training`` counts instead of ``spec``.
    :param policy: when better is surely better (``PromotionPolicy``, or its fields).
    :param approval: who must approve a better version before it becomes champion; nobody unless given.
    :param experiment: MLflow experiment; the model's name unless given.
    :param group_id: the model's name unless given.
    :param task_arguments: passed to all tasks, such as ``retries`` or ``dataml_conn_id``.
    """
    with TaskGroup(group_id or model.name) as group:
        plan = TrainingPlanOperator(
            task_id="plan", model=model, dataset=dataset, target=target, window=window, **task_arguments
        )
        common = {"model": model, "plan": plan.output, "experiment": experiment, **task_arguments}
        train = ModelTrainOperator(task_id="train", spec=_settings(spec, tuning, common), **common)
        trained: Any = train.output
        evaluate = ModelEvaluateOperator(
            task_id="evaluate", challenger=trained["version"], policy=policy, **task_arguments
        )
        _promotion(model, evaluate.output, approval, task_arguments)
    return group


def _settings(
    spec: str | TrainingSpec, tuning: str | TuningSpec | dict[str, Any] | None, common: dict[str, Any]
) -> Any:
    """What is trained by: the spec, or what a tuning before it found better."""
    if tuning is None:
        return spec
    chosen: Any = ModelTuneOperator(task_id="tune", spec=tuning, only_asked=True, **common).output
    return chosen["spec"]


def _promotion(
    model: Asset, evaluated: Any, approval: ApprovalPolicy | dict[str, Any] | None, arguments: dict[str, Any]
) -> None:
    promote = ModelPromoteOperator(
        task_id="promote", model=model, evaluation=evaluated["report"], approval=approval, **arguments
    )
    if approval is not None:
        approve = ApprovalOperator(task_id="approve", models={model: evaluated}, policy=approval, **arguments)
        approve >> promote

"""Let the champion teach the next model: its weights, its scores, and more weight on the flights it got wrong."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import (
    FLIGHT_KEY,
    HERE,
    RETRIES,
    flight_delay,
    flight_delay_hard,
    flight_features,
    flight_predictions,
)

from airflow_dataml.operators.datasets import DatasetPublishOperator
from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from airflow_dataml.operators.hard_examples import HardExamplesOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator

# [region distil]
with DAG("flights_distil", schedule=None, catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__):
    gather = HardExamplesOperator(
        task_id="gather",
        dataset=flight_delay_hard,
        model=flight_delay,
        predictions=flight_predictions,
        key_columns=FLIGHT_KEY,
        policy={"loss_quantile": 0.95, "disagreement": 0.3},
        **RETRIES,
    )
    keep = DatasetPublishOperator(
        task_id="keep", dataset=flight_delay_hard, staged=gather.output, require_check=False, **RETRIES
    )
    plan = TrainingPlanOperator(
        task_id="plan",
        model=flight_delay,
        dataset=flight_features,
        target="late",
        window={"time_column": "time_hour", "key_columns": FLIGHT_KEY, "batches": 3, "min_batches": 2},
        because="a distillation was started",
        trigger_rule="none_failed",
        **RETRIES,
    )
    keep >> plan
    train = ModelTrainOperator(
        task_id="train",
        model=flight_delay,
        plan=plan.output,
        spec=str(HERE / "specs" / "flight_delay_distil.yml"),
        **RETRIES,
    )
    evaluate = ModelEvaluateOperator(
        task_id="evaluate",
        challenger=train.output["version"],
        policy={"confidence": 0.95, "min_rows": 1000},
        **RETRIES,
    )
    ModelPromoteOperator(
        task_id="promote", model=flight_delay, evaluation=evaluate.output["report"], **RETRIES
    )
    # [endregion distil]

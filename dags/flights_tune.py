"""Look for better settings of the model, in two tasks at once; train, measure and promote what was chosen."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import FLIGHT_KEY, HERE, RETRIES, flight_delay, flight_features

from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from airflow_dataml.operators.tune import ModelTuneChoiceOperator, ModelTuneOperator

SPEC = str(HERE / "specs" / "flight_delay_tune.yml")
SHARDS = 2

# [region tune]
with DAG("flights_tune", schedule=None, catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__):
    plan = TrainingPlanOperator(
        task_id="plan",
        model=flight_delay,
        dataset=flight_features,
        target="late",
        window={"time_column": "time_hour", "key_columns": FLIGHT_KEY, "batches": 3, "min_batches": 2},
        because="a tuning was started",
        **RETRIES,
    )
    tune = ModelTuneOperator.partial(
        task_id="tune", model=flight_delay, plan=plan.output, spec=SPEC, shards=SHARDS, **RETRIES
    ).expand(shard=list(range(SHARDS)))
    choose = ModelTuneChoiceOperator(
        task_id="choose", model=flight_delay, plan=plan.output, spec=SPEC, tuned=tune.output, **RETRIES
    )
    train = ModelTrainOperator(
        task_id="train", model=flight_delay, plan=plan.output, spec=choose.output["spec"], **RETRIES
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
    # [endregion tune]

"""Train on a Ray cluster that is there already, and run any other job on it.

The cluster is reached over HTTP, at its dashboard: connection ``dataml_ray_default``, whose ``runtime_env`` and
``python`` say where this package is installed there. Task and cluster share the folder ``[dataml] work_dir``. Both
tasks wait in the triggerer; a retry finds the job that runs. For one on this machine: ``ray start --head``.
"""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import FLIGHT_KEY, HERE, RETRIES, flight_features

from airflow_dataml.assets import model
from airflow_dataml.operators.ray import RayJobOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator

flight_delay_ray = model(
    "flight_delay_ray", owner="ml", description="flight_delay, trained on a Ray cluster in two processes."
)

# [region ray]
with DAG("flights_ray", schedule=None, catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__):
    plan = TrainingPlanOperator(
        task_id="plan",
        model=flight_delay_ray,
        dataset=flight_features,
        target="late",
        window={"time_column": "time_hour", "key_columns": FLIGHT_KEY, "batches": 3, "min_batches": 2},
        **RETRIES,
    )
    look = RayJobOperator(task_id="look", entrypoint="nproc && free -m", **RETRIES)
    train = ModelTrainOperator(
        task_id="train",
        model=flight_delay_ray,
        plan=plan.output,
        spec=str(HERE / "specs" / "flight_delay_ray.yml"),
        **RETRIES,
    )
    look >> train
    # [endregion ray]

"""Watch every scored month for drift and decay; ask for a retraining when the policy says so."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable
from flights_assets import FLIGHT_KEY, RETRIES, flight_delay, flight_predictions

from airflow_dataml.operators.monitoring import ModelMonitorOperator, RetrainDecideOperator

# [region monitor]
with DAG(
    "flights_monitor",
    schedule=PartitionedAssetTimetable(assets=flight_predictions),
    catchup=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):
    monitor = ModelMonitorOperator(
        task_id="monitor",
        model=flight_delay,
        predictions=flight_predictions,
        key_columns=FLIGHT_KEY,
        policy={"tolerance": 0.1, "decay_tolerance": 0.3},
        **RETRIES,
    )
    RetrainDecideOperator(
        task_id="decide",
        model=flight_delay,
        monitor=monitor.output["report"],
        policy={"on": ["decay", "prediction_drift"]},
        **RETRIES,
    )
    # [endregion monitor]

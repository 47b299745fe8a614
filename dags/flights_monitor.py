"""Watch every scored month for drift and decay; ask for a retraining when the policy says so."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable
from flights_assets import FLIGHT_KEY, RETRIES, flight_delay, flight_predictions

from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.retraining import RetrainDecideOperator

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
        policy={
            "tolerance": 0.1,
            "decay_tolerance": 0.3,
            # One false alarm in five years of months, over all features together.
            "alarm_budget": 60,
            # The three months before are judged again by the arrivals reported since.
            "labels_from": 3,
            "max_label_delay": "P45D",
            "metrics": [
                {
                    "name": "share of sure alarms",
                    "sql": "SELECT avg((score > 0.9)::int) FROM predictions",
                    "limit": 0.2,
                }
            ],
        },
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

"""Train when a first model is due or a retraining was asked for; promote what is surely better."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable
from flights_assets import (
    FLIGHT_KEY,
    HERE,
    RETRIES,
    flight_delay,
    flight_delay_retrain,
    flight_features,
)

from airflow_dataml.task_groups.continuous_training import continuous_training

# [region train]
with DAG(
    "flights_train",
    schedule=PartitionedAssetTimetable(assets=flight_features | flight_delay_retrain),
    catchup=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):
    continuous_training(
        flight_delay,
        dataset=flight_features,
        target="late",
        spec=str(HERE / "specs" / "flight_delay.yml"),
        window={"time_column": "time_hour", "key_columns": FLIGHT_KEY, "batches": 3, "min_batches": 2},
        policy={"confidence": 0.95, "min_rows": 1000},
        **RETRIES,
    )
    # [endregion train]

"""Score the newest month with the champion, and with a challenger as shadow."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable
from flights_assets import FLIGHT_KEY, RETRIES, flight_delay, flight_features, flight_predictions

from airflow_dataml.operators.scoring import ModelScoreOperator

# [region score]
with DAG(
    "flights_score",
    schedule=PartitionedAssetTimetable(assets=flight_features),
    catchup=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):
    ModelScoreOperator(
        task_id="score",
        model=flight_delay,
        dataset=flight_features,
        predictions=flight_predictions,
        key_columns=FLIGHT_KEY,
        shadows=["challenger"],
        **RETRIES,
    )
    # [endregion score]

"""Features of one month: a SQL transform over exact versions, itself a managed dataset."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable
from flights_assets import HERE, RETRIES, airports, flight_features, flights, planes, weather

from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

# [region features]
with DAG(
    "flights_features",
    schedule=PartitionedAssetTimetable(assets=flights & weather),
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(HERE / "sql"),
    tags=["flights"],
    doc_md=__doc__,
):
    write_audit_publish(
        flight_features,
        sql="flight_features.sql",
        inputs=[flights, weather, planes, airports],
        contract=str(HERE / "contracts" / "flight_features.yml"),
        scope="batch",
        **RETRIES,
    )
    # [endregion features]

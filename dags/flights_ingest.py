"""One month of flights and weather: staged, verified against their contracts, published."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAtRuntime
from flights_assets import HERE, LANDING, RETRIES, flights, month_end, planes, weather

from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

# [region ingest]
with DAG(
    "flights_ingest",
    schedule=PartitionedAtRuntime(),
    catchup=False,
    max_active_runs=1,
    user_defined_macros={"month_end": month_end},
    tags=["flights"],
    doc_md=__doc__,
):
    write_audit_publish(
        flights,
        path=f"{LANDING}/flights/{{{{ dag_run.partition_key }}}}.csv",
        contract=str(HERE / "contracts" / "flights.yml"),
        scope="batch",
        references={"planes": planes},
        data_timestamp="{{ month_end(dag_run.partition_key) }}",
        **RETRIES,
    )
    # [endregion ingest]
    write_audit_publish(
        weather,
        path=f"{LANDING}/weather/{{{{ dag_run.partition_key }}}}.csv",
        contract=str(HERE / "contracts" / "weather.yml"),
        scope="batch",
        data_timestamp="{{ month_end(dag_run.partition_key) }}",
        **RETRIES,
    )

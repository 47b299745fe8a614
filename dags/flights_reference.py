"""Reference data: planes and airports, replaced whole."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import HERE, LANDING, RETRIES, airports, planes

from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

with DAG(
    "flights_reference", schedule=None, catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__
):
    for table in (planes, airports):
        write_audit_publish(
            table,
            path=f"{LANDING}/{table.name}.csv",
            contract=str(HERE / "contracts" / f"{table.name}.yml"),
            mode="replace",
            **RETRIES,
        )

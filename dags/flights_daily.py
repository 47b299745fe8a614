"""Delays of a month by day and airport: merged by key into PostgreSQL, and written to a Delta table."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAtRuntime
from flights_assets import HERE, RETRIES, daily_delays, daily_delays_lake, flights

from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

# [region daily]
with DAG(
    "flights_daily",
    schedule=PartitionedAtRuntime(),
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(HERE / "sql"),
    tags=["flights"],
    doc_md=__doc__,
):
    daily = {
        "sql": "daily_delays.sql",
        "inputs": [flights],
        "contract": str(HERE / "contracts" / "daily_delays.yml"),
    }
    write_audit_publish(daily_delays, mode="merge", scope="result", **daily, **RETRIES)
    write_audit_publish(daily_delays_lake, mode="append", scope="batch", **daily, **RETRIES)
    # [endregion daily]

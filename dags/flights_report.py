"""A report by a task that never heard of this package: the graph knows all the same which versions it is made from."""

from __future__ import annotations

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG
from flights_assets import HERE, RETRIES

# [region report]
with DAG(
    "flights_report",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(HERE / "sql"),
    tags=["flights"],
    doc_md=__doc__,
):
    SQLExecuteQueryOperator(
        task_id="report", conn_id="warehouse", sql="late_by_carrier.sql", split_statements=True, **RETRIES
    )
    # [endregion report]

"""A change is tried on a branch: written, checked and compared there, then published for everybody at once."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAtRuntime
from flights_assets import HERE, RETRIES, daily_delays, flights

from airflow_dataml.operators.branches import BranchCreateOperator, BranchDiffOperator, BranchMergeOperator
from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

# [region branch]
BRANCH = "weekend-{{ dag_run.partition_key }}"

with DAG(
    "flights_branch",
    schedule=PartitionedAtRuntime(),
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(HERE / "sql"),
    tags=["flights"],
    doc_md=__doc__,
):
    create = BranchCreateOperator(
        task_id="create", branch=BRANCH, datasets=[flights, daily_delays], **RETRIES
    )
    write = write_audit_publish(
        daily_delays,
        sql="daily_delays_weekend.sql",
        inputs=[flights],
        contract=str(HERE / "contracts" / "daily_delays.yml"),
        mode="merge",
        branch=BRANCH,
        **RETRIES,
    )
    diff = BranchDiffOperator(task_id="diff", branch=BRANCH, samples=3, **RETRIES)
    merge = BranchMergeOperator(
        task_id="merge", branch=BRANCH, datasets=[daily_delays], reason="weekends, reviewed", **RETRIES
    )
    create >> write >> diff >> merge
    # [endregion branch]

"""A month of weather with impossible rows: they are set aside with their reason, repaired, and come back."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAtRuntime
from flights_assets import HERE, LANDING, RETRIES, month_end, weather_hours

from airflow_dataml.task_groups.replay_quarantine import replay_quarantine
from airflow_dataml.task_groups.write_audit_publish import write_audit_publish

# [region quarantine]
with DAG(
    "weather_quarantine",
    schedule=PartitionedAtRuntime(),
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(HERE / "sql"),
    user_defined_macros={"month_end": month_end},
    tags=["flights"],
    doc_md=__doc__,
):
    audit = {
        "contract": str(HERE / "contracts" / "weather_hours.yml"),
        "scope": "result",
        "data_timestamp": "{{ month_end(dag_run.partition_key) }}",
    }
    write = write_audit_publish(
        weather_hours, path=f"{LANDING}/weather/{{{{ dag_run.partition_key }}}}.csv", **audit, **RETRIES
    )
    repair = replay_quarantine(weather_hours, repair_sql="weather_repair.sql", **audit, **RETRIES)
    write >> repair
    # [endregion quarantine]

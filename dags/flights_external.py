"""Watch a model that is served elsewhere, by counts of what it saw and said: no row of the gates comes here."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task
from flights_assets import FLIGHT_KEY, RETRIES, flight_delay, flight_predictions

from airflow_dataml.core.window_counts import count_window
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.reported import ModelWindowReportOperator

# What stands in for the gates: every fourth flight, with what the model said of it there.
SEEN = f"""
SELECT f.*, p.score AS said FROM public.flight_features f
JOIN public.flight_predictions p USING ({", ".join(f'"{name}"' for name in FLIGHT_KEY)})
WHERE p.model_role = 'champion' AND p.score IS NOT NULL AND f.year = %s AND f.month = %s
  AND hashtext(f.carrier || f.flight || f.day) %% 4 = 0
ORDER BY {", ".join(f'"{name}"' for name in FLIGHT_KEY)} LIMIT 5000
"""

# [region external]
with DAG(
    "flights_external",
    schedule=PartitionedAssetTimetable(assets=flight_predictions),
    catchup=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):

    @task
    def count_at_the_gates(dag_run: Any = None) -> dict[str, Any]:
        """Count what the gates saw in the bins of the reference, as the server there would."""
        hook, month = DataMLHook(), dag_run.partition_key
        asked = hook.counting("flight_delay")
        with hook.ledger() as ledger:
            rows = ledger.warehouse.query(SEEN, [int(part) for part in month.split("-")])
        said = [row["said"] for row in rows]
        return count_window(asked, window=f"{month} at the gates", rows=rows, scores=said)

    report = ModelWindowReportOperator(
        task_id="report", model=flight_delay, window=count_at_the_gates(), **RETRIES
    )
    report >> ModelMonitorOperator(
        task_id="monitor",
        model=flight_delay,
        partition_key="{{ dag_run.partition_key }} at the gates",
        policy={"tolerance": 0.1},
        **RETRIES,
    )
    # [endregion external]

"""When flight_delay drifts or decays: which version upstream explains it, or that nothing in the data does.

Runs by itself when an incident is opened; by hand with ``{"incident": 7}``.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher
from flights_assets import RETRIES, flight_delay

from airflow_dataml.operators.blame import ModelBlameOperator
from airflow_dataml.triggers.models import IncidentEventTrigger

# [region blame]
incidents = Asset(
    "flight_delay_incidents",
    watchers=[
        AssetWatcher(
            name="ledger", trigger=IncidentEventTrigger(asset="flight_delay", kinds=("drift", "decay"))
        )
    ],
)

# Airflow starts a watcher when it reads the file and the DAG is on; one that is switched on later may wait long.
with DAG(
    "flights_blame",
    schedule=[incidents],
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):
    ModelBlameOperator(task_id="blame", model=flight_delay, **RETRIES)
    # [endregion blame]

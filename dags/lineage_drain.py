"""Lineage of the whole cluster, carried on by the triggerer for as long as it runs: into the graph and to every backend.

The DAG itself runs only when a backend refused events for good, and says which.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_dataml.triggers.drain import LineageDrainTrigger

log = logging.getLogger(__name__)

# [region drain]
refused_events = Asset(
    "lineage_refused", watchers=[AssetWatcher(name="drain", trigger=LineageDrainTrigger())]
)

# Airflow starts a watcher when it reads the file and the DAG is on; one that is switched on later may wait long.
with DAG(
    "lineage_drain",
    schedule=[refused_events],
    catchup=False,
    is_paused_upon_creation=False,
    tags=["lineage"],
    doc_md=__doc__,
):

    @task
    def tell(triggering_asset_events: Any = None) -> None:
        """Name the backend and the events; ``dataml delivery dead`` says why, ``replay`` sends them again."""
        for event in triggering_asset_events[refused_events]:
            log.warning("A backend refused lineage events: %s", event.extra)

    tell()
    # [endregion drain]

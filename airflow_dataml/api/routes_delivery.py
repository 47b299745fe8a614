"""How lineage events come through: the graph's lag, this host's spool, and each backend over the events of late."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airflow_dataml import config
from airflow_dataml.adapters.postgres.reading_delivery import DeliveryReading
from airflow_dataml.api import models, models_lineage
from airflow_dataml.api.ledger import Key, Ledger, Limit, page

router = APIRouter()


@router.get("/delivery/pulse", response_model=models_lineage.Pulse)
def pulse(*, ledger: Ledger) -> dict[str, Any]:
    """Return how far the graph is behind, what waits on this host, and what became of the newest events."""
    from airflow_dataml.adapters.spool import EventSpool

    reading = DeliveryReading(ledger.connection)
    spool = EventSpool(config.spool_dir())
    return {
        "projection": reading.projection(),
        "spool": {
            "folder": str(spool.folder),
            "waiting": spool.waiting(),
            "refused": spool.refused(),
            "ledger_missed": spool.is_down(),
        },
        "backends": [{"name": name, "bars": bars} for name, bars in reading.pulse().items()],
    }


@router.get("/delivery/refused", response_model=models.Page[models_lineage.RefusedEvent])
def refused(*, ledger: Ledger, before: Key = None, limit: Limit = 50) -> dict[str, Any]:
    """Return events the graph could not take, newest first, each with the reason."""
    return page(DeliveryReading(ledger.connection).refused(before=before, limit=limit), "event_id", limit)

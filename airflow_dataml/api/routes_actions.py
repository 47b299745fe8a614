"""What people may change, and the delivery of lineage events, which they may mend.

Every change needs edit permission on assets, and stands in the audit chain under the user's name.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airflow_dataml.adapters.postgres.actions import PostgresActions
from airflow_dataml.adapters.postgres.reading import LedgerReading
from airflow_dataml.api import models
from airflow_dataml.api.access import EDITS, Actor
from airflow_dataml.api.ledger import Ledger, Limit, page

router = APIRouter()


@router.post("/incidents/{incident_id}/state", response_model=models.IncidentRow, dependencies=EDITS)
def move_incident(*, ledger: Ledger, actor: Actor, incident_id: int, asked: models.Move) -> dict[str, Any]:
    """Acknowledge, assign or resolve an incident; words and user are kept in the audit chain."""
    PostgresActions(ledger.connection, actor=actor).move_incident(
        incident_id,
        state=asked.state,
        words=asked.words.strip(),
        assignee=asked.assignee,
        reason=asked.reason,
    )
    [moved] = LedgerReading(ledger.connection).incidents(before=incident_id + 1, limit=1)
    return moved


@router.get("/delivery", response_model=models.Delivery)
def delivery(*, ledger: Ledger) -> dict[str, Any]:
    """Return every backend with its lag, and what the ledger has not settled yet."""
    return {"backends": ledger.delivery.backends(), **ledger.delivery.unsettled()}


@router.get("/delivery/{backend}/dead", response_model=models.Page[models.DeadLetter])
def dead_letters(*, ledger: Ledger, backend: str, after: int = 0, limit: Limit = 50) -> dict[str, Any]:
    """Return the dead letters of a backend, oldest first, each with the reason."""
    rows = ledger.delivery.dead(backend=backend, after=after, limit=limit)
    return page(rows, "event_id", limit)


@router.post("/delivery/{backend}/replay", response_model=models.Replayed, dependencies=EDITS)
def replay(*, ledger: Ledger, actor: Actor, backend: str, asked: models.Replay) -> dict[str, Any]:
    """Let dead letters of a backend, or one of them, be sent again."""
    with ledger.connection.transaction():
        replayed = ledger.delivery.replay(backend, event_id=asked.event_id)
        if replayed:
            PostgresActions(ledger.connection, actor=actor).note(
                action="replay dead letters",
                subject=f"backend {backend}",
                detail={"events": replayed, "event_id": asked.event_id},
            )
    return {"replayed": replayed}

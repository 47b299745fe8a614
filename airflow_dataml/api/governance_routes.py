"""Incidents, approvals and the audit chain: lists with filters, one incident with all around it, the chain as JSON lines."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - FastAPI resolves annotations while running
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from airflow_dataml.adapters.postgres.reading_approvals import ApprovalReading
from airflow_dataml.adapters.postgres.reading_governance import AuditFilter, GovernanceReading
from airflow_dataml.api import models_governance
from airflow_dataml.api.ledger import Key, Ledger, Limit, page
from airflow_dataml.api.models import IncidentRow, Page
from airflow_dataml.core.incident_view import timeline
from airflow_dataml.core.model_view import window_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.adapters.postgres.reading_approvals import ApprovalRow

router = APIRouter()
LINES = "application/x-ndjson"
_PER_READ = 2000
State = Literal["open", "new", "acknowledged", "assigned", "resolved"]
Word = Annotated[str | None, Query(max_length=400)]


@router.get("/incidents", response_model=Page[IncidentRow])
def incidents(
    *,
    ledger: Ledger,
    asset: Word = None,
    state: State | None = None,
    kind: Literal["data", "drift", "decay"] | None = None,
    severity: Literal["low", "medium", "high"] | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return incidents, newest first; ``state=open`` means not resolved."""
    rows = GovernanceReading(ledger.connection).incidents(
        asset=asset, state=state, kind=kind, severity=severity, before=before, limit=limit
    )
    return page(rows, "incident_id", limit)


@router.get("/incidents/{incident_id}", response_model=models_governance.Incident)
def incident(*, ledger: Ledger, incident_id: int) -> dict[str, Any]:
    """Return one incident with its evidence, the versions it has to do with, and what was done about it."""
    found = GovernanceReading(ledger.connection).incident(incident_id)
    evidence = found["evidence"]
    body = evidence["body"]
    window = window_view(body).to_dict() if evidence["kind"] == "monitor" else None
    writer = f"{evidence['dag_id']}.{evidence['task_id']}"
    told = {name: body.get(name) for name in ("summary", "partition_key", "rows")}
    return found | {
        "evidence": evidence | told | {"window": window},
        "timeline": timeline(found, opened_by=writer, entries=found["entries"], since=found["since"]),
    }


@router.get("/approvals", response_model=Page[models_governance.ApprovalRow])
def approvals(
    *, ledger: Ledger, asset: Word = None, waiting: bool = False, before: Key = None, limit: Limit = 50
) -> dict[str, Any]:
    """Return who was asked to approve what and what came of it, newest first.

    They are answered where Airflow shows its required actions, and nowhere else.

    :param waiting: only those that nothing has come of yet.
    """
    found = ApprovalReading(ledger.connection).approvals(
        asset=asset, waiting=waiting, before=before, limit=limit
    )
    return page([_approval(row) for row in found], "entry", limit)


def _approval(row: ApprovalRow) -> dict[str, Any]:
    approval = row.approval.to_dict()
    policy = approval["policy"]
    return approval | {
        "entry": row.seq,
        "state": row.state,
        "releases": approval["release"]["entries"],
        "required": policy["required"],
        "approvers": policy["approvers"],
    }


def _asked(
    *,
    actor: Word = None,
    action: Word = None,
    subject: Word = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AuditFilter:
    return AuditFilter(actor=actor, action=action, subject=subject, since=since, until=until)


Asked = Annotated[AuditFilter, Depends(_asked)]


@router.get("/audit", response_model=models_governance.AuditPage)
def audit(
    *, ledger: Ledger, asked: Asked, before: Key = None, limit: Limit = 50, verify: bool = False
) -> dict[str, Any]:
    """Return audit entries, newest first; actor and subject are what they begin with.

    :param verify: recompute the whole chain; reads every entry.
    """
    reading = GovernanceReading(ledger.connection)
    found = page(reading.audit(asked, before=before, limit=limit), "seq", limit)
    if before is None:
        found["actions"] = reading.actions()
    if verify:
        found["entries"], found["fault"] = ledger.audit.verify()
    return found


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses={200: {"content": {LINES: {"schema": {"type": "string"}}}}},
)
def export(*, request: Request, ledger: Ledger, asked: Asked) -> StreamingResponse:
    """Return audit entries as JSON lines, oldest first, with the hashes that let anybody recompute the chain."""
    last = GovernanceReading(ledger.connection).length()
    lines = _lines(request.app.state.open_ledger, asked, last)
    named = {"Content-Disposition": 'attachment; filename="dataml-audit.jsonl"'}
    return StreamingResponse(lines, media_type=LINES, headers=named)


def _lines(
    open_ledger: Callable[[], AbstractContextManager[PostgresLedger]], asked: AuditFilter, last: int
) -> Iterator[str]:
    """What the chain held when it was asked for; no connection is held while a slow reader reads."""
    after: int | None = 0
    while after is not None and after < last:
        with open_ledger() as ledger:
            rows = GovernanceReading(ledger.connection).audit(asked, after=after, limit=_PER_READ)
        rows = [row for row in rows if row["seq"] <= last]
        yield "".join(f"{models_governance.Line(**row).model_dump_json()}\n" for row in rows)
        after = rows[-1]["seq"] if len(rows) == _PER_READ else None

"""Windows of models served elsewhere: what to count, and the counts.

``GET models/MODEL/counting`` says which bins to count in, and ``POST models/MODEL/windows/reported`` takes the counts
of one window. No row of either side is in them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from airflow_dataml.api import models_model
from airflow_dataml.api.access import Actor  # noqa: TC001 - FastAPI resolves annotations while running
from airflow_dataml.api.receiver import EDITS, body_of
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.reported import ReportedWindow
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.steps.reported import report_window
from airflow_dataml.steps.reported_reference import what_to_count

if TYPE_CHECKING:
    from airflow_dataml.steps.reported import Received

router = APIRouter(prefix="/api/v1")


def _described() -> dict[str, Any]:
    """What a report is, as JSON Schema without references: its definitions are not the API's."""
    schema = ReportedWindow.model_json_schema()
    definitions = schema.pop("$defs")

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if (ref := value.get("$ref")) is not None:
                return inlined(definitions[ref.rpartition("/")[2]])
            return {name: inlined(inner) for name, inner in value.items()}
        return [inlined(inner) for inner in value] if isinstance(value, list) else value

    found: dict[str, Any] = inlined(schema)
    return found


# The body is read by hand, packed or not, so its description is given by hand too.
_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _described()}}},
}


@router.get("/models/{model:path}/counting", response_model=models_model.Counting)
def counting(
    request: Request, model: str, reference: Annotated[str, Query(max_length=300)] = "training"
) -> dict[str, Any]:
    """Say what to count of a model's windows, so that they can be compared with a reference."""
    with request.app.state.open_ledger() as ledger:
        return what_to_count(ledger=ledger, model=model, reference=reference).to_dict()


@router.post(
    "/models/{model:path}/windows/reported",
    response_model=models_model.ReceivedWindow,
    status_code=201,
    dependencies=EDITS,
    openapi_extra=_BODY,
)
async def post_window(*, request: Request, actor: Actor, model: str) -> dict[str, Any]:
    """Take the counts of one window: 201 when they are kept or were known, 422 when they do not fit."""
    given = await body_of(request)
    return (await run_in_threadpool(_report, request, actor, model, given)).to_dict()


def _report(request: Request, actor: str, model: str, given: Any) -> Received:
    identity = RunIdentity(
        task=TaskKey("dataml-api", f"{actor}__{uuid.uuid4().hex[:16]}", "report-window"),
        environment={"triggered_by": actor},
    )
    with request.app.state.open_ledger() as ledger:
        return report_window(ledger=ledger, identity=identity, model=model, given=given)

"""The prediction log: predictions made elsewhere, as a server of models posts them.

``POST models/MODEL/predictions`` takes a list of them, packed or not. A batch is taken whole or not at all,
and again as often as it is sent: what counts are the ids.
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
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.steps.prediction_log import log_predictions

if TYPE_CHECKING:
    from airflow_dataml.core.prediction_log import Logged

router = APIRouter(prefix="/api/v1")


@router.post(
    "/models/{model:path}/predictions",
    response_model=models_model.LoggedPredictions,
    status_code=201,
    dependencies=EDITS,
)
async def post_predictions(
    *,
    request: Request,
    actor: Actor,
    model: str,
    dataset: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """Take a batch of predictions of one model: 201 when all are stored or were known, 422 when one is not understood."""
    given = await body_of(request)
    return (await run_in_threadpool(_log, request, actor, model, dataset, given)).to_dict()


def _log(request: Request, actor: str, model: str, dataset: str | None, given: Any) -> Logged:
    identity = RunIdentity(
        task=TaskKey("dataml-api", f"{actor}__{uuid.uuid4().hex[:16]}", "log-predictions"),
        environment={"triggered_by": actor},
    )
    with request.app.state.open_ledger() as ledger:
        return log_predictions(
            ledger=ledger,
            warehouse=ledger.warehouse,
            store=ledger.store,
            identity=identity,
            model=model,
            given=given,
            dataset=dataset,
        )

"""The receiver: OpenLineage from Spark, dbt, Flink and other Airflows, as a backend of theirs.

``POST lineage`` takes one event, ``POST lineage/batch`` a list. What can be read is kept before it is
understood, and the answer says of every event what became of it. An OpenLineage client finds it with
``url`` .../dataml and ``endpoint`` api/v1/lineage, and a token of this Airflow.
"""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.core_api.security import requires_access_asset
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from airflow_dataml.api.access import from_our_page
from airflow_dataml.steps.lineage import store_events

if TYPE_CHECKING:
    from airflow_dataml.core.column_lineage import ColumnParser
    from airflow_dataml.steps.lineage import ItemOutcome

MOST_BYTES = 32 * 1024 * 1024
MOST_EVENTS = 5000
# Whoever may create assets; a browser on another site may not make a signed-in user do it.
EDITS = [Depends(requires_access_asset("POST")), Depends(from_our_page)]
router = APIRouter(prefix="/api/v1")


@router.post("/lineage", dependencies=EDITS)
async def receive(request: Request) -> JSONResponse:
    """Take one event: 201 when it is stored or was known, 422 when nothing of it can be used."""
    [outcome] = await run_in_threadpool(_store, request, [await body_of(request)])
    return JSONResponse(outcome.to_dict(), status_code=422 if outcome.status == "refused" else 201)


@router.post("/lineage/batch", dependencies=EDITS)
async def receive_batch(request: Request) -> JSONResponse:
    """Take a list of events: 201 when all are stored, 207 when some were refused, 422 when all were."""
    events = await body_of(request)
    if not isinstance(events, list):
        raise HTTPException(422, f"A batch is a list of events, received {type(events).__name__}.")
    if len(events) > MOST_EVENTS:
        raise HTTPException(413, f"A batch has {MOST_EVENTS:,} events at most, received {len(events):,}.")
    outcomes = await run_in_threadpool(_store, request, events)
    counts = {name: sum(o.status == name for o in outcomes) for name in ("stored", "known", "refused")}
    bad = counts["refused"]
    status = 201 if not bad else 422 if bad == len(outcomes) else 207
    return JSONResponse({"counts": counts, "events": [o.to_dict() for o in outcomes]}, status_code=status)


def _store(request: Request, events: list[Any]) -> tuple[ItemOutcome, ...]:
    from airflow_dataml.adapters.postgres.lineage_projector import projector

    with request.app.state.open_ledger() as ledger:
        writing = projector(ledger.connection, parser=_parser())
        return store_events(events=events, store=writing.inbox, projector=writing)


@lru_cache(maxsize=1)
def _parser() -> ColumnParser | None:
    """Return the parser of this server, which keeps what it has read."""
    from airflow_dataml.adapters.sqlglot.parser import parser_if_installed

    return parser_if_installed()


async def body_of(request: Request) -> Any:
    """Read a body of bounded size, also when it is packed, and what JSON it is."""
    packed = request.headers.get("content-encoding", "identity").lower()
    if packed not in ("identity", "gzip"):
        raise HTTPException(415, f"Content-Encoding {packed!r} is not known here: send gzip or none.")
    unpack = zlib.decompressobj(wbits=31) if packed == "gzip" else None
    body = bytearray()
    async for chunk in request.stream():
        try:
            body += unpack.decompress(chunk, MOST_BYTES + 1) if unpack else chunk
        except zlib.error as err:
            raise HTTPException(422, "The body is not gzip, as its Content-Encoding says.") from err
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"A body has {MOST_BYTES // 2**20} MiB at most.")
    try:
        return json.loads(body)
    except ValueError as err:
        raise HTTPException(422, f"The body is no JSON: {err}.") from err
    except RecursionError as err:
        raise HTTPException(422, "The body is nested too deep to be read.") from err

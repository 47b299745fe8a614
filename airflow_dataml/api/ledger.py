"""The ledger of one request, and the parameters that many routes share."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - FastAPI resolves annotations while running
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_STATEMENT_S = 15


def _ledger(request: Request) -> Iterator[PostgresLedger]:
    with request.app.state.open_ledger() as ledger:
        # A page is not worth a query that holds up the ledger.
        ledger.connection.execute(f"SET statement_timeout = '{_STATEMENT_S}s'")
        yield ledger


Ledger = Annotated[PostgresLedger, Depends(_ledger)]
Limit = Annotated[int, Query(ge=1, le=200)]
Key = Annotated[int | None, Query(ge=1)]
Number = Annotated[int, Query(ge=1)]


def page(rows: list[dict[str, Any]], key: str, limit: int) -> dict[str, Any]:
    """Return rows as a page whose last key is where the next one goes on."""
    return {"items": rows, "next": rows[-1][key] if len(rows) == limit else None}

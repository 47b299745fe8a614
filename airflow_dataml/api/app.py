"""The read-only HTTP API of the catalog, mounted into Airflow's API server.

Every route, the page's script included, asks Airflow's auth manager first; there is none besides.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import auth_manager_from_app, requires_access_asset
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from airflow_dataml import config
from airflow_dataml.api import routes, static
from airflow_dataml.core.errors import (
    BackendError,
    ConnectionSpecError,
    DataMLError,
    LedgerVersionError,
    NotFoundError,
    SpecError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

log = logging.getLogger(__name__)
# What a viewer is told when the ledger cannot be read; host and cause stay in the server's log.
_SILENT = "The DataML ledger does not answer. The API server's log says why."
_UNUSABLE = "The DataML ledger is not set up for this release. The API server's log says why."


def create_app(open_ledger: Callable[[], PostgresLedger] | None = None) -> FastAPI:
    """Return the app.

    :param open_ledger: opens the ledger for one request; the configured connection unless given.
    """
    app = FastAPI(
        title="DataML",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_asset("GET"))],
    )
    # In a mounted app ``request.app`` is this one, whose state Airflow did not fill.
    app.dependency_overrides[auth_manager_from_app] = get_auth_manager
    app.add_exception_handler(DataMLError, _explain)
    app.state.open_ledger = open_ledger or _configured_ledger
    app.include_router(routes.router)
    app.include_router(static.router)
    return app


def _configured_ledger() -> PostgresLedger:
    from airflow_dataml.hooks.ledger import DataMLHook

    return DataMLHook(config.conn_id()).ledger()


def _explain(request: Request, error: Exception) -> JSONResponse:
    """Answer with what is wrong in words, never with a traceback."""
    if isinstance(error, NotFoundError):
        return _answer(404, str(error))
    if isinstance(error, ConnectionSpecError | LedgerVersionError):
        log.warning("DataML cannot answer %s: %s", request.url.path, error)
        return _answer(503, _UNUSABLE)
    if isinstance(error, SpecError) and error.__cause__ is None:
        return _answer(422, str(error))
    log.warning("DataML cannot answer %s: %s", request.url.path, error)
    return _answer(503 if isinstance(error, BackendError) else 500, _SILENT)


def _answer(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status)

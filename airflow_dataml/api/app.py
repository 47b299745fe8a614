"""The HTTP API of the catalog, mounted into Airflow's API server.

Every route, the page's script and the API's own description included, asks Airflow's auth manager first; there
is none besides. What changes something asks for edit permission besides.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import auth_manager_from_app, requires_access_asset
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from airflow_dataml import config
from airflow_dataml.api import (
    governance_routes,
    model_routes,
    predictions,
    receiver,
    reported,
    routes,
    routes_actions,
    routes_catalog,
    routes_delivery,
    routes_lineage,
    static,
)
from airflow_dataml.core.errors import (
    BackendError,
    ConflictError,
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
_NO_PRIVILEGE = "42501"
# What a viewer is told when the ledger cannot be read; host and cause stay in the server's log.
_SILENT = "The DataML ledger does not answer. The API server's log says why."
_UNUSABLE = (
    "The DataML ledger is not set up for this release: run `airflow dataml migrate`. "
    "The API server's log says more."
)
_UNCONFIGURED = (
    "The DataML ledger is not configured: the option [dataml] conn_id names the connection {conn_id!r}, which is "
    "not defined here, or is not of PostgreSQL, or names no database. The API server's log says which."
)
_READS_ONLY = (
    "The API server's role may read the ledger and not change it: grant it what "
    "`airflow dataml migrate --show-grants` prints for the approver."
)


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
    # What follows a name comes before the name alone, which may hold slashes.
    for part in (
        receiver,
        predictions,
        reported,
        routes_lineage,
        routes_delivery,
        model_routes,
        governance_routes,
        routes,
        routes_actions,
        routes_catalog,
        static,
    ):
        app.include_router(part.router)
    app.add_api_route("/openapi.json", app.openapi, include_in_schema=False)
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
        spec = isinstance(error, ConnectionSpecError)
        return _answer(503, _UNCONFIGURED.format(conn_id=config.conn_id()) if spec else _UNUSABLE)
    if isinstance(error, ConflictError):
        return _answer(409, str(error))
    if getattr(error.__cause__, "sqlstate", None) == _NO_PRIVILEGE:
        log.warning("DataML cannot answer %s: %s", request.url.path, error)
        return _answer(503, _READS_ONLY)
    # What PostgreSQL said of a statement is for the log; what a person wrote is for the person.
    if isinstance(error, SpecError) and not hasattr(error.__cause__, "sqlstate"):
        return _answer(422, str(error))
    log.warning("DataML cannot answer %s: %s", request.url.path, error)
    return _answer(503 if isinstance(error, BackendError) else 500, _SILENT)


def _answer(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status)

"""The routes: pages of the ledger as JSON, one short connection per request.

A page is ``{"items": [...], "next": key}``; hand ``next`` back as ``after`` or ``before`` for the
page that follows, ``null`` says there is none. Handlers are plain functions: Airflow's server runs
them in threads, so a slow ledger holds up nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - FastAPI resolves annotations while running
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.reading import LedgerReading
from airflow_dataml.core.lineage import version_node

SCRIPT = "dataml.js"
_DAY_S = 86_400
_STATEMENT_S = 15
router = APIRouter()


def _ledger(request: Request) -> Iterator[PostgresLedger]:
    with request.app.state.open_ledger() as ledger:
        # A page is not worth a query that holds up the ledger.
        ledger.connection.execute(f"SET statement_timeout = '{_STATEMENT_S}s'")
        yield ledger


Ledger = Annotated[PostgresLedger, Depends(_ledger)]
Limit = Annotated[int, Query(ge=1, le=200)]
Key = Annotated[int | None, Query(ge=1)]


@router.get("/assets")
def assets(*, ledger: Ledger, kind: str | None = None, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the catalog by name, each asset with its current version and verdict."""
    kinds = (kind,) if kind else None
    return _page(
        LedgerReading(ledger.connection).catalog(kinds=kinds, after=after, limit=limit), "name", limit
    )


# An observed asset keeps its name from Airflow, which may hold slashes; hence ``:path``, longest first.
@router.get("/assets/{name:path}/versions")
def versions(*, ledger: Ledger, name: str, before: Key = None, limit: Limit = 50) -> dict[str, Any]:
    """Return the versions of an asset, newest first."""
    ledger.assets.get(name)
    return _page(LedgerReading(ledger.connection).versions(name, before=before, limit=limit), "number", limit)


@router.get("/assets/{name:path}/reports")
def reports(
    *,
    ledger: Ledger,
    name: str,
    version: Key = None,
    kind: str | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return the reports of an asset or of one version, newest first, without their bodies."""
    ledger.assets.get(name)
    of = ledger.versions.find(f"{name}@{version}").version_id if version else None
    rows = LedgerReading(ledger.connection).reports(
        name, version_id=of, kind=kind, before=before, limit=limit
    )
    return _page(rows, "report_id", limit)


@router.get("/assets/{name:path}")
def asset(*, ledger: Ledger, name: str) -> dict[str, Any]:
    """Return one catalog entry with its aliases and open incidents."""
    reading = LedgerReading(ledger.connection)
    found = reading.asset(name) or ledger.assets.get(name)
    opened = reading.incidents(asset=name, state="open")
    return found | {"aliases": reading.aliases(name), "open_incidents": opened}


@router.get("/reports/{report_id}")
def report(*, ledger: Ledger, report_id: int) -> dict[str, Any]:
    """Return one report with its body."""
    return ledger.reports.get(report_id).to_dict()


@router.get("/lineage/{name}")
def lineage(
    *,
    ledger: Ledger,
    name: str,
    version: Annotated[str | None, Query(max_length=48)] = None,
    direction: Literal["upstream", "downstream"] = "upstream",
    depth: Annotated[int, Query(ge=1, le=50)] = 20,
) -> dict[str, Any]:
    """Walk from a version (a number or an alias; the current one unless given)."""
    found = ledger.versions.find(f"{name}@{version}" if version else name)
    return ledger.lineage.walk(
        str(version_node(found.version_id)), direction=direction, depth=depth
    ).to_dict()


@router.get("/incidents")
def incidents(
    *,
    ledger: Ledger,
    asset: str | None = None,
    state: str | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return incidents, newest first; ``state=open`` means not resolved."""
    rows = LedgerReading(ledger.connection).incidents(asset=asset, state=state, before=before, limit=limit)
    return _page(rows, "incident_id", limit)


@router.get("/audit")
def audit(*, ledger: Ledger, before: Key = None, limit: Limit = 50, verify: bool = False) -> dict[str, Any]:
    """Return audit entries, newest first.

    :param verify: recompute the whole chain; reads every entry.
    """
    page = _page(LedgerReading(ledger.connection).audit(before=before, limit=limit), "seq", limit)
    if verify:
        entries, fault = ledger.audit.verify()
        page |= {"entries": entries, "fault": fault}
    return page


@router.get(f"/static/{SCRIPT}")
def script() -> Response:
    """Return the page's script; its address carries the release, so a browser may keep it."""
    source = (resources.files("airflow_dataml.plugins") / "static" / SCRIPT).read_bytes()
    return Response(
        source, media_type="text/javascript", headers={"Cache-Control": f"private, max-age={_DAY_S}"}
    )


def _page(rows: list[dict[str, Any]], key: str, limit: int) -> dict[str, Any]:
    return {"items": rows, "next": rows[-1][key] if len(rows) == limit else None}

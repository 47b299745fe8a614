"""The routes: pages of the ledger as JSON, one short connection per request.

A page is ``{"items": [...], "next": key}``; hand ``next`` back as ``after`` or ``before`` for the
page that follows, ``null`` says there is none. Handlers are plain functions: Airflow's server runs
them in threads, so a slow ledger holds up nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - FastAPI resolves annotations while running
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.reading import LedgerReading
from airflow_dataml.adapters.postgres.reading_branches import BranchReading
from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.api import views
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.quarantine import QuarantineState  # noqa: TC001 - FastAPI resolves annotations while running

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
Number = Annotated[int, Query(ge=1)]


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
    """Return the versions of an asset, newest first: how each was made, what it weighs, who holds it."""
    ledger.assets.get(name)
    rows = LedgerReading(ledger.connection).versions(name, before=before, limit=limit)
    kept = DatasetReading(ledger.connection).kept([row["version_id"] for row in rows])
    return _page([row | kept[row["version_id"]] for row in rows], "number", limit)


@router.get("/assets/{name:path}/checks")
def checks(
    *, ledger: Ledger, name: str, before: Key = None, limit: Annotated[int, Query(ge=1, le=100)] = 30
) -> dict[str, Any]:
    """Return what checks observed and expected, one entry per report, newest first."""
    ledger.assets.get(name)
    rows = DatasetReading(ledger.connection).checks(name, before=before, limit=limit)
    return _page(rows, "report_id", limit)


@router.get("/assets/{name:path}/profile")
def profile(*, ledger: Ledger, name: str, version: Number) -> dict[str, Any]:
    """Return the columns of a version with the numbers and bars of each."""
    ledger.assets.get(name)
    return views.profile(ledger, f"{name}@{version}")


@router.get("/assets/{name:path}/compare")
def compare(*, ledger: Ledger, name: str, old: Number, new: Number) -> dict[str, Any]:
    """Return what is between two versions of a dataset, without reading their rows."""
    ledger.assets.get(name)
    return views.comparison(ledger, f"{name}@{old}", f"{name}@{new}")


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
    """Return one catalog entry with its aliases, what it keeps, its last verification and open incidents."""
    reading = LedgerReading(ledger.connection)
    found = reading.asset(name) or ledger.assets.get(name)
    opened = reading.incidents(asset=name, state="open")
    standing = DatasetReading(ledger.connection).standing(name)
    return found | standing | {"aliases": reading.aliases(name), "open_incidents": opened}


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


@router.get("/quarantine")
def quarantine(
    *,
    ledger: Ledger,
    asset: str | None = None,
    state: QuarantineState | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return batches whose rows were set aside, newest first, with what became of them."""
    found = ledger.quarantine.list(asset=asset, state=state, before=before, limit=limit)
    return _page([one.to_dict() for one in found], "quarantine_id", limit)


@router.get("/branches")
def branches(
    *,
    ledger: Ledger,
    state: Literal["open", "merged", "dropped"] | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return branches, newest first; open ones with how far they are from what everybody reads."""
    rows = BranchReading(ledger.connection).branches(state=state, before=before, limit=limit)
    return _page(rows, "branch_id", limit)


def _page(rows: list[dict[str, Any]], key: str, limit: int) -> dict[str, Any]:
    return {"items": rows, "next": rows[-1][key] if len(rows) == limit else None}

"""The routes: pages of the ledger as JSON, one short connection per request.

A page is ``{"items": [...], "next": key}``; hand ``next`` back as ``after`` or ``before`` for the
page that follows, ``null`` says there is none. Handlers are plain functions: Airflow's server runs
them in threads, so a slow ledger holds up nobody else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from airflow_dataml.adapters.postgres.reading import LedgerReading
from airflow_dataml.adapters.postgres.reading_branches import BranchReading
from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.api import models, models_datasets, views
from airflow_dataml.api.ledger import Key, Ledger, Limit, Number, page
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.quarantine import QuarantineState  # noqa: TC001 - FastAPI resolves annotations while running

router = APIRouter()


@router.get("/assets/{name:path}/versions", response_model=models.Page[models_datasets.VersionRow])
def versions(*, ledger: Ledger, name: str, before: Key = None, limit: Limit = 50) -> dict[str, Any]:
    """Return the versions of an asset, newest first: how each was made, what it weighs, who holds it."""
    ledger.assets.get(name)
    rows = LedgerReading(ledger.connection).versions(name, before=before, limit=limit)
    kept = DatasetReading(ledger.connection).kept([row["version_id"] for row in rows])
    return page([row | kept[row["version_id"]] for row in rows], "number", limit)


@router.get("/assets/{name:path}/checks", response_model=models.Page[models_datasets.CheckReport])
def checks(
    *, ledger: Ledger, name: str, before: Key = None, limit: Annotated[int, Query(ge=1, le=100)] = 30
) -> dict[str, Any]:
    """Return what checks observed and expected, one entry per report, newest first."""
    ledger.assets.get(name)
    rows = DatasetReading(ledger.connection).checks(name, before=before, limit=limit)
    return page(rows, "report_id", limit)


@router.get("/assets/{name:path}/profile", response_model=models_datasets.Profile)
def profile(*, ledger: Ledger, name: str, version: Number) -> dict[str, Any]:
    """Return the columns of a version with the numbers and bars of each."""
    ledger.assets.get(name)
    return views.profile(ledger, f"{name}@{version}")


@router.get("/assets/{name:path}/compare", response_model=models_datasets.Comparison)
def compare(*, ledger: Ledger, name: str, old: Number, new: Number) -> dict[str, Any]:
    """Return what is between two versions of a dataset, without reading their rows."""
    ledger.assets.get(name)
    return views.comparison(ledger, f"{name}@{old}", f"{name}@{new}")


@router.get("/assets/{name:path}/reports", response_model=models.Page[models.ReportRow])
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
    return page(rows, "report_id", limit)


@router.get("/reports/{report_id}", response_model=models.Report)
def report(*, ledger: Ledger, report_id: int) -> dict[str, Any]:
    """Return one report with its body."""
    return ledger.reports.get(report_id).to_dict()


@router.get("/lineage/{name}", response_model=models.Graph)
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


@router.get("/quarantine", response_model=models.Page[models_datasets.QuarantineRow])
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
    return page([one.to_dict() for one in found], "quarantine_id", limit)


@router.get("/branches", response_model=models.Page[models_datasets.BranchRow])
def branches(
    *,
    ledger: Ledger,
    state: Literal["open", "merged", "dropped"] | None = None,
    before: Key = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return branches, newest first; open ones with how far they are from what everybody reads."""
    rows = BranchReading(ledger.connection).branches(state=state, before=before, limit=limit)
    return page(rows, "branch_id", limit)

"""The catalog: what there is, found as one types, and what one asset is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from airflow_dataml.adapters.postgres.reading import LedgerReading
from airflow_dataml.adapters.postgres.reading_assets import AssetReading
from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.adapters.postgres.search import PostgresSearch
from airflow_dataml.api import models, models_datasets
from airflow_dataml.api.ledger import Key, Ledger, Limit, page
from airflow_dataml.core.catalog import AssetFilter

router = APIRouter()
Text = Annotated[str, Query(max_length=400)]
Word = Annotated[str | None, Query(max_length=400)]
Kind = Literal["dataset", "model", "prediction", "external"]
Status = Literal["active", "missing", "deleted"]


@router.get("/assets", response_model=models.Found)
def assets(
    *,
    ledger: Ledger,
    q: Text = "",
    kind: Annotated[list[Kind] | None, Query()] = None,
    owner: Word = None,
    tag: Word = None,
    term: Word = None,
    domain: Word = None,
    group: Word = None,
    producer: Word = None,
    subtype: Word = None,
    importance: Word = None,
    stale: bool | None = None,
    failing: bool | None = None,
    status: Annotated[list[Status] | None, Query()] = None,
    after: Word = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Search the catalog: the best first, or all by name where no word is given."""
    asked = AssetFilter(
        kinds=tuple(kind or ()),
        owner=owner,
        tag=tag,
        term=term,
        domain=domain,
        group=group,
        producer=producer,
        subtype=subtype,
        importance=importance,
        stale=stale,
        failing=failing,
        status=tuple(status or ("active", "missing")),
    )
    found = PostgresSearch(ledger.connection).search(q, asked, after=after or None, limit=limit).to_dict()
    return {
        "items": found["hits"],
        "next": found["after"],
        "mended": found["mended"],
        "capped": found["capped"],
    }


@router.get("/words", response_model=models.Words)
def words(*, ledger: Ledger, q: Text, limit: Limit = 10) -> dict[str, Any]:
    """Return words of the catalog that begin as the last one typed."""
    return {"words": PostgresSearch(ledger.connection).suggest(q, limit=limit)}


# An observed asset keeps its name from Airflow, which may hold slashes; hence ``:path``, longest first.
@router.get("/assets/{name:path}/schemas", response_model=models.Page[models_datasets.SchemaRow])
def schemas(*, ledger: Ledger, name: str, before: Key = None, limit: Limit = 50) -> dict[str, Any]:
    """Return the schemas an asset had, newest first; none where it never had a second one."""
    found = ledger.assets.get(name)
    rows = AssetReading(ledger.connection).schemas(found["asset_id"], before=before, limit=limit)
    return page(rows, "seq", limit)


@router.get("/assets/{name:path}/neighbours", response_model=models.Page[models.Neighbour])
def neighbours(
    *,
    ledger: Ledger,
    name: str,
    direction: Literal["upstream", "downstream"] = "downstream",
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return the assets one step up or down by name, with the jobs between."""
    found = ledger.assets.get(name)
    rows = AssetReading(ledger.connection).neighbours(
        found["asset_id"], downstream=direction == "downstream", after=after, limit=limit
    )
    return page(rows, "key", limit)


@router.get("/assets/{name:path}", response_model=models.Asset)
def asset(*, ledger: Ledger, name: str) -> dict[str, Any]:
    """Return one catalog entry with all that stands with it; of a merged or renamed one, what it is now."""
    entry = ledger.assets.get(name)
    name, asset_id = entry["name"], entry["asset_id"]
    reading, about = LedgerReading(ledger.connection), AssetReading(ledger.connection)
    return {
        **entry,
        **(reading.asset(name) or {}),
        **about.standing(asset_id),
        **DatasetReading(ledger.connection).standing(name),
        "columns": about.columns(asset_id),
        "names": about.names(asset_id),
        "aliases": reading.aliases(name),
        "open_incidents": reading.incidents(asset=name, state="open"),
    }

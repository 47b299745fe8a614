"""A model: its aliases and who moved them, evaluations, monitored windows, decisions, training and card."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response

from airflow_dataml.adapters.postgres.reading_models import ModelReading
from airflow_dataml.api import models_model
from airflow_dataml.api.ledger import Key, Ledger, Limit, page
from airflow_dataml.api.models import Page
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.model_card import model_card
from airflow_dataml.steps.card import card_facts

router = APIRouter()
MARKDOWN = "text/markdown; charset=utf-8"
# Of the spec what has a place of its own on the page.
_SPOKEN_FOR = ("model", "features", "target", "task")
Which = Annotated[
    str | None, Query(max_length=64, description="a number or an alias; the champion unless given")
]


def _model(ledger: Ledger, model: str) -> dict[str, Any]:
    found = ledger.assets.get(model)
    if found["kind"] != "model":
        msg = f"{model!r} is a {found['kind']} and not a model: look at it as an asset."
        raise SpecError(msg)
    return found


Model = Annotated[dict[str, Any], Depends(_model)]


@router.get("/models/{model:path}/standing", response_model=models_model.ModelStanding)
def standing(*, ledger: Ledger, model: Model) -> dict[str, Any]:
    """Return where a model stands: aliases, newest verdicts, what it depends on, what is wrong there."""
    reading, asset_id = ModelReading(ledger.connection), model["asset_id"]
    champion = ledger.versions.alias(model["name"], "champion")
    source = (champion.facts.get("plan") or {}).get("version_id") if champion else None
    return {
        "name": model["name"],
        "roles": reading.roles(asset_id),
        "evaluation": reading.newest(asset_id, "evaluation"),
        "monitor": reading.newest(asset_id, "monitor"),
        "decision": reading.newest(asset_id, "decision"),
        "registry": reading.newest(asset_id, "registry-drift"),
        "depends": reading.depends(asset_id, sources=[source] if source else []),
        "upstream_incidents": reading.upstream_incidents(asset_id),
    }


@router.get("/models/{model:path}/history", response_model=Page[models_model.AliasMove])
def history(*, ledger: Ledger, model: Model, before: Key = None, limit: Limit = 50) -> dict[str, Any]:
    """Return who moved which alias when, from where to where, with which report; newest first."""
    rows = ModelReading(ledger.connection).history(model["asset_id"], before=before, limit=limit)
    return page(rows, "entry_id", limit)


@router.get("/models/{model:path}/evaluations", response_model=Page[models_model.EvaluationRow])
def evaluations(*, ledger: Ledger, model: Model, before: Key = None, limit: Limit = 30) -> dict[str, Any]:
    """Return challengers against champions with their intervals and the decision on each, newest first."""
    rows = ModelReading(ledger.connection).evaluations(model["asset_id"], before=before, limit=limit)
    return page(rows, "report_id", limit)


@router.get("/models/{model:path}/windows", response_model=Page[models_model.WindowRow])
def windows(*, ledger: Ledger, model: Model, before: Key = None, limit: Limit = 60) -> dict[str, Any]:
    """Return monitored windows: drift of each column, of the predictions, realised loss; newest first."""
    rows = ModelReading(ledger.connection).windows(model["asset_id"], before=before, limit=limit)
    return page(rows, "report_id", limit)


@router.get("/models/{model:path}/decisions", response_model=Page[models_model.DecisionRow])
def decisions(
    *, ledger: Ledger, model: Model, waits: bool = True, before: Key = None, limit: Limit = 50
) -> dict[str, Any]:
    """Return what was decided about a model and why, newest first.

    :param waits: with those to wait, of which there is one for each calm window.
    """
    rows = ModelReading(ledger.connection).decisions(
        model["asset_id"], waits=waits, before=before, limit=limit
    )
    return page(rows, "report_id", limit)


@router.get("/models/{model:path}/training", response_model=models_model.Training)
def training(*, ledger: Ledger, model: Model, version: Which = None) -> dict[str, Any]:
    """Return what a version was trained from and with."""
    facts = card_facts(ledger=ledger, ref=_ref(model, version))
    found = ModelReading(ledger.connection).training(model["name"], facts.version.version_id)
    spec = found["spec"] or {}
    return found | {"parameters": {name: value for name, value in spec.items() if name not in _SPOKEN_FOR}}


@router.get(
    "/models/{model:path}/card",
    response_model=models_model.Card,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
def card(
    *, ledger: Ledger, model: Model, version: Which = None, accept: Annotated[str, Header()] = "*/*"
) -> Any:
    """Return the card of a version as Markdown, or within JSON where that is asked for."""
    facts = card_facts(ledger=ledger, ref=_ref(model, version))
    facts = replace(facts, **ModelReading(ledger.connection).beside(facts.version))
    text = model_card(facts)
    if "application/json" in accept:
        return {"version": facts.version.number, "markdown": text}
    return Response(text, media_type=MARKDOWN)


def _ref(model: dict[str, Any], version: str | None) -> str:
    return f"{model['name']}@{version}" if version else str(model["name"])

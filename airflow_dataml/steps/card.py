"""Card: the facts of a model version, gathered for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.model_card import CardFacts

if TYPE_CHECKING:
    from airflow_dataml.core.ports import Ledger

REPORTS = 50


def card_facts(*, ledger: Ledger, ref: str) -> CardFacts:
    """Gather what the card of a model version is written from; reads its newest fifty reports.

    :param ref: ``name``, ``name@number`` or ``name@alias``; without one the champion, else the newest.
    :raises SpecError: the asset is not a model.
    :raises NotFoundError: there is no such version.
    """
    name, _, _ = ref.partition("@")
    asset = ledger.assets.get(name)
    if asset["kind"] != "model":
        msg = f"{name!r} is a {asset['kind']}: a card is of a model."
        raise SpecError(msg)
    champion = None if "@" in ref else ledger.versions.alias(asset["name"], "champion")
    version = champion or ledger.versions.find(ref)
    incidents = [one for one in ledger.incidents.list(asset=version.asset) if one.state != "resolved"]
    return CardFacts(
        asset=asset,
        version=version,
        reports=ledger.reports.list(asset=version.asset, version_id=version.version_id, limit=REPORTS),
        evaluation=ledger.reports.latest(
            asset=version.asset, kind="evaluation", version_id=version.version_id
        ),
        incidents=incidents,
    )

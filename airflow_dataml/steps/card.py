"""Card: the facts of a model version, gathered for reading, and the card kept as evidence."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.model_card import CardFacts, card_controls, render_card
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.card_document import CardFormat
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.model_controls import ControlPolicy
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity

log = logging.getLogger(__name__)
REPORTS = 50


def card_facts(*, ledger: Ledger, ref: str) -> CardFacts:
    """Gather what the card of a model version is written from; reads its newest fifty reports.

    :param ref: ``name``, ``name@number`` or ``name@alias``; without one the champion, else the newest.
    :raises SpecError: the asset is not a model.
    :raises NotFoundError: there is no such version.
    """
    asset, version = model_version(ledger=ledger, ref=ref, what="a card")
    incidents = [one for one in ledger.incidents.list(asset=version.asset) if one.state != "resolved"]
    return CardFacts(
        asset=asset,
        version=version,
        reports=ledger.reports.list(asset=version.asset, version_id=version.version_id, limit=REPORTS),
        incidents=incidents,
        evaluation=newest_report(ledger=ledger, version=version, kind="evaluation"),
        explanation=newest_report(ledger=ledger, version=version, kind="explanation"),
        approval=newest_report(ledger=ledger, version=version, kind="approval"),
    )


def model_version(*, ledger: Ledger, ref: str, what: str) -> tuple[Mapping[str, Any], Version]:
    """Return a model's catalog entry and the version meant: without one the champion, else the newest.

    :param what: what is asked for, for the refusal.
    :raises SpecError: the asset is not a model.
    """
    name, _, _ = ref.partition("@")
    asset = ledger.assets.get(name)
    if asset["kind"] != "model":
        msg = f"{name!r} is a {asset['kind']}: {what} is of a model."
        raise SpecError(msg)
    champion = None if "@" in ref else ledger.versions.alias(asset["name"], "champion")
    return asset, champion or ledger.versions.find(ref)


def newest_report(*, ledger: Ledger, version: Version, kind: str) -> Report | None:
    """Return the newest report of a kind on a version."""
    return ledger.reports.latest(asset=version.asset, kind=kind, version_id=version.version_id)


def keep_card(
    *, ledger: Ledger, identity: RunIdentity, facts: CardFacts, form: CardFormat, policy: ControlPolicy
) -> Report:
    """Write the card of a version and keep it with its digest; a retry keeps what an earlier try wrote.

    The verdict is of the required controls: ``fail`` where any is missing, with what to do.

    :param facts: see ``card_facts``.
    """
    version = facts.version
    digest = digest_of(version=version.version_id, form=form, policy=policy.model_dump(mode="json"))
    run = ledger.runs.begin(identity, input_digest=digest)
    fact = run.fact(version.asset)
    report = ledger.reports.of_fact(fact, "card")
    if report is not None:
        log.info("An earlier try wrote the card of %s (report %d); kept", version.ref, report.report_id)
        return report
    controls = card_controls(facts, policy=policy)
    text = render_card(facts, form=form, policy=policy)
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=fact,
            kind="card",
            verdict=controls.verdict,
            body={
                "version": version.ref,
                "format": form,
                "digest": hashlib.sha256(text.encode()).hexdigest(),
                "controls": controls.to_dict(),
                "summary": controls.summary,
                "card": text,
            },
            version_id=version.version_id,
        )
        edge = Edge(version_node(version.version_id), report_node(report.report_id), "evaluated_on")
        ledger.lineage.add([edge], run=run)
        ledger.runs.finish(run)
    log.info("Card of %s: %s. %s", version.ref, report.verdict, controls.summary)
    return report

"""Registered models for tests that only move their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.quality import Verdict
from airflow_dataml.steps.aliases import move_aliases
from tests.support import declare, identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version


def register_versions(ledger: PostgresLedger, model: str, count: int) -> list[Version]:
    """Register versions of a model, the last of them champion; their files are nowhere."""
    declare(ledger, model, kind="model")
    made = []
    for number in range(1, count + 1):
        run = ledger.runs.begin(identity("train", f"{model}{number}"), input_digest=str(number))
        facts = {"artifact_digest": f"{model}-{number}", "registry": {"version": number * 10}}
        with ledger.transaction():
            made.append(ledger.versions.add(run=run, fact=run.fact(model), facts=facts))
    run = ledger.runs.begin(identity("crown", model), input_digest="")
    with ledger.transaction():
        report = ledger.reports.add(
            run=run, fact=run.fact(model), kind="decision", verdict=Verdict.PASS, body={"action": "promote"}
        )
        move_aliases(ledger, run, model=model, moves={"champion": made[-1]}, report_id=report.report_id)
    return made

"""``dataml model card``: what the ledger knows of a model version, for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.cli.spec import Output
from airflow_dataml.core.model_card import model_card
from airflow_dataml.steps.card import card_facts

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def card(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the card of a model version as Markdown."""
    from airflow_dataml.adapters.postgres.reading_models import ModelReading

    facts = card_facts(ledger=ledger, ref=args.ref)
    facts = replace(facts, **ModelReading(ledger.connection).beside(facts.version))
    text = model_card(facts)
    return Output({"version": facts.version.ref, "markdown": text}, text.rstrip("\n"))

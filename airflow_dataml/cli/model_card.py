"""``dataml model card`` and ``dataml model explain``: what the ledger knows of a model version, for people."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from airflow_dataml.cli.spec import Argument, Command, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.card_document import CardFormat
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.model_card import diff_cards, render_card
from airflow_dataml.steps.card import card_facts, model_version, newest_report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def card(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the card of a model version, or what differs between it and another's."""
    version, text = _card(ledger, args.ref, args.format)
    if args.diff:
        other, before = _card(ledger, args.diff, args.format)
        changed = diff_cards((other, before), (version, text))
        shown = changed or f"The cards of {other} and {version} do not differ."
        return Output({"old": other, "new": version, "diff": changed}, shown)
    data = json.loads(text) if args.format == "json" else text
    return Output({"version": version, args.format: data}, text.rstrip("\n"))


def explain(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the explanation that was kept of a model version, as tables."""
    _, version = model_version(ledger=ledger, ref=args.ref, what="an explanation")
    report = newest_report(ledger=ledger, version=version, kind="explanation")
    if report is None:
        msg = f"{version.ref} has no explanation: run ModelExplainOperator on it."
        raise NotFoundError(msg)
    body = report.body
    lines = [
        f"{version.ref} is {report.verdict.upper()} (report {report.report_id}). {body['summary']}.",
        table(("feature", "growth of the loss", "low", "high", "share"), map(_row, body["features"])),
    ]
    for one in body["slices"]:
        title = f"{one['column']} {one['value']}: {one['rows']:,} rows, mean {body['metric']} {one['loss']['estimate']:.4g}"
        found = table(
            ("feature", "growth of the loss", "low", "high", "share"),
            map(_row, one["features"]),
            empty="Too few rows to explain.",
        )
        lines.append(f"{title}\n{found}")
    for one in body["predictions"]:
        key = ", ".join(f"{name} {value}" for name, value in one["key"].items())
        found = table(
            ("feature", "contribution"),
            ((f["feature"], f"{f['contribution']:+.4g}") for f in one["features"]),
        )
        lines.append(f"{key}: score {one['score']:.4g} ({one['end']}), by {one['method']}\n{found}")
    return Output(report.to_dict(), "\n\n".join(lines))


def _card(ledger: PostgresLedger, ref: str, form: CardFormat) -> tuple[str, str]:
    from airflow_dataml.adapters.postgres.reading_models import ModelReading

    facts = card_facts(ledger=ledger, ref=ref)
    facts = replace(facts, **ModelReading(ledger.connection).beside(facts.version))
    return facts.version.ref, render_card(facts, form=form)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    importance = one["importance"]
    numbers = (f"{importance[name]:+.4g}" for name in ("estimate", "low", "high"))
    return (one["feature"], *numbers, f"{one['share']:.0%}")


_REF = Argument(
    ("ref",),
    {
        "metavar": "NAME[@N|@ALIAS]",
        "help": "A name, with the version or alias wanted; else the champion, or the newest",
    },
)
COMMANDS = (
    Command(
        "card",
        "Print the card of a model version, or what differs between the cards of two",
        card,
        (
            _REF,
            Argument(
                ("--format",),
                {"choices": get_args(CardFormat), "default": "markdown", "help": "How to write the card"},
            ),
            Argument(
                ("--diff",),
                {"metavar": "OTHER", "help": "Print what differs from the card of this version, as NAME@N"},
            ),
        ),
    ),
    Command("explain", "Print what a model version's scores rest on, as it was kept", explain, (_REF,)),
)

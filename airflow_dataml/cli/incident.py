"""Incidents on the command line: resolve one, and how many alarms of a model were false."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output, positive
from airflow_dataml.cli.tables import fields
from airflow_dataml.core.alarm_record import REASONS

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def resolve(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Resolve an incident with a reason; both are kept in the audit chain under the person's name."""
    from airflow_dataml.adapters.postgres.actions import PostgresActions

    PostgresActions(ledger.connection, actor=getpass.getuser()).move_incident(
        args.incident, state="resolved", words=args.words, reason=args.reason
    )
    data = {"incident": args.incident, "state": "resolved", "reason": args.reason, "words": args.words}
    return Output(data, f"Incident {args.incident} is resolved: {args.reason}, {args.words}")


def alarms(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Say how many alarms were false beside what was stated; exit 1 where surely more were."""
    from airflow_dataml.adapters.postgres.reading_alarms import alarm_record

    asset = ledger.assets.get(args.name)
    found = alarm_record(ledger.connection, model=str(asset["name"]), asset_id=int(asset["asset_id"]))
    reasons = [(reason, str(n)) for reason, n in found.reasons.items()]
    text = f"{found.said[0].upper()}{found.said[1:]}."
    if reasons:
        text += f"\n\n{fields(reasons)}"
    return Output(found.to_dict(), text, FAILED if found.verdict == "fail" else OK)


RESOLVE = Command(
    "resolve",
    "Resolve an incident, and say whether the alarm was true",
    resolve,
    (
        Argument(("incident",), {"type": positive, "metavar": "INCIDENT", "help": "Its number, of incident list"}),
        Argument(("--reason",), {"choices": REASONS, "required": True, "help": "What it turned out to be"}),
        Argument(("--words",), {"metavar": "WORDS", "required": True, "help": "What was found or done"}),
    ),
)  # fmt: skip
ALARMS = Command(
    "alarms",
    "Say how many alarms of a model were false, beside the budget that was stated; exit 1 where surely more were",
    alarms,
    (Argument(("name",), {"metavar": "NAME", "help": "The model"}),),
)

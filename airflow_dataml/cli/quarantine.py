"""Commands on rows that were set aside."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Group, Output, positive
from airflow_dataml.cli.tables import fields, table
from airflow_dataml.core.quarantine import QUARANTINE_STATES
from airflow_dataml.steps.replay import discard as discard_rows

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_COLUMNS = ("asset", "partition_key", "rows", "tested", "reasons", "state", "created_at")


def show_all(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List what was set aside, newest first."""
    if args.asset:
        ledger.assets.get(args.asset)
    found = ledger.quarantine.list(asset=args.asset, state=args.state, before=args.before, limit=args.limit)
    rows = ([str(one.quarantine_id), *(getattr(one, name) for name in _COLUMNS)] for one in found)
    text = table(("id", *_COLUMNS), rows, empty="Nothing was set aside.")
    return Output([one.to_dict() for one in found], text)


def show(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Say whose rows, why, and what became of them."""
    one = ledger.quarantine.get(args.id)
    reasons = table(("check", "rows"), one.reasons.items(), empty="")
    pairs = [(name, value) for name, value in one.to_dict().items() if name != "reasons"]
    return Output(
        one.to_dict(), f"{one.sentence}; the quarantine {one.whereabouts}.\n\n{fields(pairs)}\n\n{reasons}"
    )


def rows(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print quarantined rows; columns the contract masks are masked."""
    one = ledger.quarantine.get(args.id)
    report = ledger.reports.get(one.report_id).body if one.report_id is not None else {}
    known = {column.name for column in ledger.versions.part(one.part_id).columns}
    mask = [name for name in report.get("quarantine", {}).get("mask", ()) if name in known]
    names, *found = ledger.quarantine.rows(one.quarantine_id, mask=[*mask, *args.mask], limit=args.limit)
    data = {"quarantine": one.quarantine_id, "columns": list(names), "rows": [list(row) for row in found]}
    if args.csv:
        out = io.StringIO()
        lines = (["; ".join(v) if isinstance(v, list) else v for v in row] for row in found)
        csv.writer(out, lineterminator="\n").writerows([names, *lines])
        return Output(data, out.getvalue().rstrip("\n"))
    return Output(data, table(names, found, empty="No rows."))


def discard(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Give quarantined rows up."""
    one = discard_rows(
        ledger=ledger,
        identity=cli_identity("quarantine.discard"),
        quarantine_id=args.id,
        reason=args.reason,
    )
    return Output(one.to_dict(), f"Discarded {one.rows:,} rows of {one.asset}; `dataml gc` drops them.")


_ID = Argument(("id",), {"type": positive, "metavar": "ID", "help": "Number of the quarantine"})
_LIMIT = Argument(("--limit",), {"type": positive, "default": 100, "metavar": "N", "help": "Rows at most"})

QUARANTINE = Group(
    "quarantine",
    "Look at rows that were set aside, or give them up; a replay is a task of a DAG",
    (
        Command(
            "list",
            "List what was set aside, newest first",
            show_all,
            (
                Argument(("--asset",), {"metavar": "NAME", "help": "Only of this dataset"}),
                Argument(("--state",), {"choices": QUARANTINE_STATES, "help": "Only in this state"}),
                Argument(("--before",), {"type": positive, "metavar": "ID", "help": "Only older than this one"}),
                _LIMIT,
            ),
        ),
        Command("show", "Say whose rows, why, and what became of them", show, (_ID,)),
        Command(
            "rows",
            "Print quarantined rows with their reasons; columns that the contract masks are masked",
            rows,
            (
                _ID,
                Argument(("--csv",), {"action": "store_true", "help": "Print CSV"}),
                Argument(
                    ("--mask",),
                    {"action": "append", "default": [], "metavar": "COLUMN", "help": "Mask this one too; repeat for more"},
                ),
                _LIMIT,
            ),
        ),
        Command(
            "discard",
            "Give quarantined rows up; the reason stays in the audit chain",
            discard,
            (_ID, Argument(("--reason",), {"required": True, "metavar": "TEXT", "help": "Why nobody needs them"})),
        ),
    ),
)  # fmt: skip

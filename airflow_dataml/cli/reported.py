"""``dataml model counting`` and ``report-window``: windows of models served elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Output
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def counting(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Say what to count of a model's windows; the text is the JSON that counting takes."""
    from airflow_dataml.steps.reported_reference import what_to_count

    found = what_to_count(ledger=ledger, model=args.name, reference=args.reference).to_dict()
    return Output(found, json.dumps(found, indent=2))


def report(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Take the counts of a window from a file; the same file again changes nothing."""
    from airflow_dataml.steps.reported import report_window

    found = report_window(
        ledger=ledger, identity=cli_identity("model-report-window"), model=args.name, given=_read(args.file)
    )
    what = "was known already" if found.known else "is kept"
    return Output(found.to_dict(), f"Window {found.window} of {found.model} {what} as report {found.report}.")


def _read(file: str) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"{file!r} cannot be read as JSON, the counts of one window: {err}"
        raise SpecError(msg) from err


_MODEL = Argument(("name",), {"metavar": "MODEL", "help": "The model: NAME, its champion, or NAME@VERSION"})
COMMANDS = (
    Command(
        "counting",
        "Say what to count of the windows of a model served elsewhere, as JSON",
        counting,
        (
            _MODEL,
            Argument(
                ("--reference",),
                {"default": "training", "metavar": "REFERENCE", "help": "What they will be compared with: training unless given, NAME@NUMBER of a dataset, reported or first"},
            ),
        ),
    ),
    Command(
        "report-window",
        "Take the counts of one window of a model served elsewhere; ModelMonitorOperator then watches it",
        report,
        (_MODEL, Argument(("file",), {"metavar": "FILE", "help": "JSON: the counts of one window"})),
    ),
)  # fmt: skip

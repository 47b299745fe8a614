"""``dataml reach``: which versions, models and predictions used some rows, and what follows from that."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.reach import RowKeys
from airflow_dataml.steps.reach import keep_reach, reach

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.reach import Reach


def find_reach(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Find rows by their key; exit 1 while anything holds them, learnt from them, or could not be searched."""
    keys = _keys(args)
    if args.retrain and args.waive:
        msg = "--retrain and --waive exclude each other: name one."
        raise SpecError(msg)
    found = reach(ledger=ledger, warehouse=ledger.warehouse, dataset=args.dataset, keys=keys)
    data: dict[str, Any] = found.to_dict() | {"verdict": found.verdict, "report": None}
    if args.keep or args.retrain or args.waive:
        report = keep_reach(
            ledger=ledger,
            identity=cli_identity("reach"),
            found=found,
            action="retrain" if args.retrain else "waive" if args.waive else "list",
            because=args.retrain or args.waive or "",
            request=args.request,
        )
        data["report"] = report.report_id
    return Output(data, _text(found, data["report"]), OK if found.verdict == "pass" else FAILED)


def _keys(args: argparse.Namespace) -> RowKeys:
    pairs = dict(pair.split("=", 1) for pair in args.row if "=" in pair)
    if len(pairs) != len(args.row):
        msg = f"a row is named by its keys, received {' '.join(args.row)!r}: write column=value for each."
        raise SpecError(msg)
    if args.keys is None:
        return RowKeys.of([pairs] if pairs else [])
    if pairs:
        msg = "rows are named on the command line or in a file, not both: leave --keys out."
        raise SpecError(msg)
    try:
        with Path(args.keys).open(newline="", encoding="utf-8") as file:
            return RowKeys.of(list(csv.DictReader(file)))
    except OSError as err:
        msg = f"file of keys {args.keys!r} cannot be read ({err.strerror}): name a CSV file with a header."
        raise SpecError(msg) from err


def _text(found: Reach, report: int | None) -> str:
    rows = [
        [
            one.asset,
            one.kind,
            ", ".join(f"@{number}" for number in one.versions),
            one.said.partition(" ")[2].partition("; in use")[0],
            ", ".join(one.in_use) or "no",
        ]
        for one in found.found
    ]
    blocks = [f"{found.summary[0].upper()}{found.summary[1:]}."]
    if rows:
        blocks.append(table(("asset", "kind", "versions", "how", "in use"), rows))
    blocks += [f"Beside the versions: {one}." for one in found.aside]
    blocks += [f"Not searched: {one}." for one in found.blind]
    if report is not None:
        blocks.append(f"Kept as report {report}, without the values of the keys.")
    return "\n\n".join(blocks)


REACH = Command(
    "reach",
    "Find which versions, models and predictions used some rows; exit 1 while anything does",
    find_reach,
    (
        Argument(("dataset",), {"metavar": "DATASET", "help": "The dataset whose rows are meant"}),
        Argument(("row",), {"metavar": "COLUMN=VALUE", "nargs": "*", "help": "The row, by each of its key columns"}),
        Argument(("--keys",), {"metavar": "FILE", "help": "CSV file of many rows: a header of key columns, a line each"}),
        Argument(("--keep",), {"action": "store_true", "help": "Keep what was found as a report"}),
        Argument(
            ("--retrain",),
            {"metavar": "WORDS", "help": "Ask for another version of every model in use that learnt from them, and why"},
        ),
        Argument(("--waive",), {"metavar": "WORDS", "help": "Write down why such models stay as they are"}),
        Argument(("--request",), {"metavar": "NAME", "help": "What the request is known as elsewhere"}),
    ),
)  # fmt: skip

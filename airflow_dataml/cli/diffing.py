"""What is between two versions, and the way back: ``dataml dataset diff`` and ``rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.diffs import VersionDiff


def diff(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Compare two versions; with ``--exit-code`` a difference is exit code 1."""
    from airflow_dataml.cli.places import store_of_dataset
    from airflow_dataml.core.diff_text import to_markdown, to_text
    from airflow_dataml.steps.diff import diff_versions

    name = args.new.partition("@")[0]
    found = diff_versions(
        ledger=ledger,
        store=store_of_dataset(ledger, name),
        old=args.old,
        new=args.new,
        keys=() if args.no_key else args.key,
        samples=args.samples,
        mask=args.mask or (),
    )
    kept = _kept(ledger, found, name) if args.keep else None
    text = to_markdown(found) if args.markdown else to_text(found)
    data = found.to_dict()
    if kept is not None:
        data["report"] = kept
        text += f"\n\nKept as report {kept}."
    return Output(data, text, OK if found.same or not args.exit_code else FAILED)


def _kept(ledger: PostgresLedger, found: VersionDiff, name: str) -> int:
    """Keep a diff without the values that a contract masks; returns the report's id."""
    from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
    from airflow_dataml.core.diffs import masked
    from airflow_dataml.core.runs import digest_of
    from airflow_dataml.steps.diff import record_diff

    hidden = DatasetReading(ledger.connection).masked(name)
    digest = digest_of(old=found.old.ref, new=found.new.ref)
    run = ledger.runs.begin(cli_identity("diff"), input_digest=digest)
    return record_diff(ledger=ledger, run=run, found=masked(found, {*found.masked, *hidden})).report_id


def rollback(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Make readers see an earlier version again."""
    from airflow_dataml.cli.places import place_of_dataset, store_of_dataset
    from airflow_dataml.steps.rollback import PREVIOUS, roll_back

    to = args.to if args.to == PREVIOUS or "@" in args.to else f"{args.name}@{args.to}"
    found = roll_back(
        ledger=ledger,
        store=store_of_dataset(ledger, args.name),
        identity=cli_identity("rollback"),
        place=place_of_dataset(ledger, args.name, branch=args.branch),
        to=to,
        reason=args.reason,
    )
    if found.left is None:
        return Output(found.to_dict(), f"{found.version.ref} is what readers see already; nothing was moved.")
    return Output(found.to_dict(), f"Rolled {args.name} back from {found.left} to {found.version.ref}.")


def _samples(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


COMMANDS = (
    Command(
        "diff",
        "Compare two versions: schema, rows by key, distributions; parts they share are not read",
        diff,
        (
            Argument(("old",), {"metavar": "OLD", "help": "NAME@N, NAME@TIME, or NAME for the current version"}),
            Argument(("new",), {"metavar": "NEW", "help": "The version to compare it with"}),
            Argument(
                ("--key",),
                {"action": "append", "metavar": "COLUMN", "help": "A column that names a row; repeat for more. The layout's keys unless given"},
            ),
            Argument(("--no-key",), {"action": "store_true", "help": "Match whole rows, whatever keys there are"}),
            Argument(
                ("--samples",),
                {"type": _samples, "default": 5, "metavar": "N", "help": "Rows of each kind to show"},
            ),
            Argument(
                ("--mask",),
                {"action": "append", "metavar": "COLUMN", "help": "Hide the values of a column; repeat for more"},
            ),
            Argument(("--markdown",), {"action": "store_true", "help": "Print Markdown, for a pull request"}),
            Argument(
                ("--keep",),
                {"action": "store_true", "help": "Keep it as a report, samples too but for what contracts mask"},
            ),
            Argument(("--exit-code",), {"action": "store_true", "help": "Exit with 1 when anything differs"}),
        ),
    ),
    Command(
        "rollback",
        "Make readers see an earlier version again; no row is written or deleted",
        rollback,
        (
            Argument(("name",), {"metavar": "NAME", "help": "Logical name of the dataset"}),
            Argument(
                ("--to",),
                {"required": True, "metavar": "N|TIME|previous", "help": "The version; previous is what led to the one readers see"},
            ),
            Argument(("--reason",), {"required": True, "metavar": "TEXT", "help": "Why; kept in the audit chain"}),
            Argument(("--branch",), {"metavar": "BRANCH", "help": "Roll back on a branch; else what everybody reads"}),
        ),
    ),
)  # fmt: skip

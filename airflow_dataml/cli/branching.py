"""Commands on branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Group, Output
from airflow_dataml.cli.tables import table

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_NAME = Argument(("name",), {"metavar": "BRANCH", "help": "Name of the branch"})


def create(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Make a branch."""
    from airflow_dataml.steps.branches import create_branch

    branch = create_branch(
        ledger=ledger,
        store=ledger.store,
        identity=cli_identity("branch.create"),
        name=args.name,
        assets=args.dataset,
    )
    data = {
        "branch": branch.name,
        "schema": branch.schema,
        "datasets": {h.asset: h.base for h in branch.heads},
    }
    text = (
        f"Branch {branch.name}: {len(branch.heads)} datasets as views in schema {branch.schema}; nothing was copied.\n"
        f'Run a DAG on it with the configuration {{"dataml_branch": "{branch.name}"}}.'
    )
    return Output(data, text)


def show_all(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List branches, newest first."""
    del args
    rows = ledger.branches.list()
    names = ("name", "schema_name", "state", "datasets", "created_at", "closed_at")
    return Output(rows, table(names, ([row[n] for n in names] for row in rows), empty="No branch yet."))


def show(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Show the datasets of an open branch and where it is ahead."""
    branch = ledger.branches.get(args.name)
    rows = [
        {"dataset": h.asset, "base": h.base, "branch": h.head, "changed": h.changed} for h in branch.heads
    ]
    text = table(("dataset", "base", "branch", "changed"), (list(row.values()) for row in rows))
    return Output({"branch": branch.name, "schema": branch.schema, "datasets": rows}, text)


def diff(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Compare a branch with what everybody reads."""
    from airflow_dataml.steps.branches import diff_branch

    found = diff_branch(
        ledger=ledger, store=ledger.store, name=args.name, samples=args.samples, mask=args.mask or ()
    )
    bad = args.exit_code and not found.mergeable
    return Output(
        found.to_dict(), found.to_markdown() if args.markdown else found.to_text(), FAILED if bad else OK
    )


def merge(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Publish everything a branch changed, at once."""
    from airflow_dataml.steps.branches import merge_branch

    versions = merge_branch(
        ledger=ledger,
        store=ledger.store,
        identity=cli_identity("branch.merge"),
        name=args.name,
        reason=args.reason,
    )
    refs = [v.ref for v in versions]
    return Output({"branch": args.name, "versions": refs}, f"Merged {args.name}: {', '.join(refs)}.")


def drop(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Close a branch without merging it."""
    from airflow_dataml.steps.branches import drop_branch

    drop_branch(ledger=ledger, store=ledger.store, identity=cli_identity("branch.drop"), name=args.name)
    return Output({"branch": args.name}, f"Dropped {args.name}; retention will collect its rows.")


BRANCH = Group(
    "branch",
    "Try changes on a copy-on-write branch, compare, and publish them at once",
    (
        Command(
            "create",
            "Make a branch: a schema of views over what is current; nothing is copied",
            create,
            (
                _NAME,
                Argument(
                    ("--dataset",),
                    {"action": "append", "metavar": "NAME", "help": "Only these; repeat for more. All unless given"},
                ),
            ),
        ),
        Command("list", "List branches, newest first", show_all),
        Command("show", "Show the datasets of a branch", show, (_NAME,)),
        Command(
            "diff",
            "Compare rows, schema and check verdicts of a branch with what everybody reads",
            diff,
            (
                _NAME,
                Argument(("--samples",), {"type": int, "default": 5, "metavar": "N", "help": "Rows of each kind to show"}),
                Argument(("--mask",), {"action": "append", "metavar": "COLUMN", "help": "Hide a column's values; repeat for more"}),
                Argument(("--markdown",), {"action": "store_true", "help": "Print Markdown, for a pull request"}),
                Argument(("--exit-code",), {"action": "store_true", "help": "Exit 1 unless it can be merged"}),
            ),
        ),
        Command(
            "merge",
            "Publish everything a branch changed, in one transaction, and close it",
            merge,
            (_NAME, Argument(("--reason",), {"default": "", "metavar": "TEXT", "help": "Kept in the audit chain"})),
        ),
        Command("drop", "Close a branch without merging it", drop, (_NAME,)),
    ),
)  # fmt: skip

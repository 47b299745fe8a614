"""Tables into managed datasets and back: ``dataml dataset adopt`` and ``release``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import fields
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.adoption import AdoptionPlan, ReleasePlan

_DRY_RUN = Argument(
    ("--dry-run",), {"action": "store_true", "help": "Say what would be done, and do nothing"}
)


def adopt(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Make a table a managed dataset; exit 1 when a dry run finds that it cannot be."""
    from airflow_dataml.adapters.postgres.adoption import PostgresTableKeeper
    from airflow_dataml.steps.adopt import adopt_table

    done = adopt_table(
        ledger=ledger,
        store=ledger.store,
        keeper=PostgresTableKeeper(ledger.connection),
        identity=cli_identity("adopt"),
        table=Relation.parse(args.table),
        name=args.name,
        keys=args.key or (),
        dry_run=args.dry_run,
    )
    data = done.plan.to_dict() | {"name": done.name, "version": done.version.ref if done.version else None}
    if done.version is not None:
        head = (
            f"Adopted {done.plan.table} as {done.version.ref}: {done.version.rows:,} rows, no row was copied."
        )
        return Output(data, f"{head}\n\n{_adoption_text(done.plan)}")
    if done.plan.obstacles:
        return Output(data, _obstacles(f"{done.plan.table} cannot be adopted", done.plan.obstacles), FAILED)
    return Output(data, f"Would adopt {done.plan.table} as {done.name}.\n\n{_adoption_text(done.plan)}")


def release(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Give a dataset back as a table; exit 1 when a dry run finds that it cannot be."""
    from airflow_dataml.adapters.postgres.adoption import PostgresTableKeeper
    from airflow_dataml.steps.adopt import release_dataset

    found = release_dataset(
        ledger=ledger,
        keeper=PostgresTableKeeper(ledger.connection),
        identity=cli_identity("release"),
        name=args.name,
        copy=args.copy,
        force=args.force,
        dry_run=args.dry_run,
    )
    plan = found.plan
    data = plan.to_dict() | {"name": found.name, "version": found.version.ref, "done": found.done}
    if not found.done and plan.obstacles:
        return Output(data, _obstacles(f"{found.version.ref} cannot be released", plan.obstacles), FAILED)
    head = f"{'Released' if found.done else 'Would release'} {found.version.ref} as table {plan.table}."
    return Output(data, f"{head}\n\n{_release_text(plan)}", OK)


COMMANDS = (
    Command(
        "adopt",
        "Make a table a managed dataset, without copying it; readers go on, writers are refused from then on",
        adopt,
        (
            Argument(("table",), {"metavar": "SCHEMA.TABLE", "help": 'The table; odd names as in "my schema"."my table"'}),
            Argument(("--name",), {"metavar": "NAME", "help": "Logical name; the table's own unless given"}),
            Argument(
                ("--key",),
                {"action": "append", "metavar": "COLUMN", "help": "A column of the logical key; repeat for more. The primary key unless given"},
            ),
            _DRY_RUN,
        ),
    ),
    Command(
        "release",
        "Give a managed dataset back as an ordinary table",
        release,
        (
            Argument(("name",), {"metavar": "NAME", "help": "Logical name of the dataset"}),
            Argument(("--copy",), {"action": "store_true", "help": "Copy the rows, so that no version loses its own"}),
            Argument(("--force",), {"action": "store_true", "help": "Let pinned versions lose their rows"}),
            _DRY_RUN,
        ),
    ),
)  # fmt: skip


def _adoption_text(plan: AdoptionPlan) -> str:
    writers = f"refused from then on: {', '.join(plan.writers)} write staged batches instead"
    return fields(
        [
            ("columns", len(plan.columns)),
            ("bytes", plan.bytes),
            ("keys", list(plan.layout.keys)),
            ("indexes for later parts", len(plan.layout.part_indexes)),
            ("defaults kept", sorted(plan.layout.defaults)),
            ("views pointed at it", list(map(str, plan.views))),
            ("foreign keys set aside", [key["name"] for key in plan.shape.get("foreign_keys", ())]),
            ("INSERT, UPDATE, DELETE", writers),
        ]
    )


def _release_text(plan: ReleasePlan) -> str:
    return fields(
        [
            ("parts", len(plan.parts)),
            ("rows", sum(p.rows for p in plan.parts)),
            ("copied", plan.copied),
            ("views pointed at it", list(map(str, plan.views))),
            ("foreign keys made again", [key["name"] for key in plan.shape.get("foreign_keys", ())]),
            ("not given back", list(plan.unfit)),
            ("versions losing their rows", list(plan.losing)),
        ]
    )


def _obstacles(head: str, obstacles: tuple[str, ...]) -> str:
    return "\n".join([f"{head}:", *(f"- {reason}" for reason in obstacles)])

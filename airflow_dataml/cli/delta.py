"""What Delta tables offer beyond other stores: history, change feed, constraints, vacuum, and other writers."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.places import place_of_dataset, store_of_dataset
from airflow_dataml.cli.spec import Argument, Command, Group, Output, positive
from airflow_dataml.cli.tables import size, table
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.publish import switch

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.delta.log import DeltaLog
    from airflow_dataml.adapters.delta.store import DeltaStore
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.stores import Place


def history(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List the commits of a table, newest first, with the versions of the ledger they are."""
    from airflow_dataml.adapters.delta import delta_store

    if "/" in args.table:
        log, versions = delta_store(ledger).files.log(args.table), {}
    else:
        _, place, log = _opened(ledger, args.table)
        versions = {
            v.facts.get("delta_version"): v.ref for v in ledger.versions.list(place.asset, limit=args.limit)
        }
    if log is None:
        msg = f"there is no Delta table at {args.table}."
        raise NotFoundError(msg)
    rows = [
        {
            "commit": commit.version,
            "written_at": datetime.fromtimestamp(commit.time / 1000, UTC) if commit.time else None,
            "operation": commit.operation,
            "version": versions.get(commit.version),
            "by": commit.fact or "somebody else",
        }
        for commit in log.commits(args.limit)
    ]
    headers = ("commit", "written_at", "operation", "version", "by")
    return Output(
        rows, table(headers, ([str(row["commit"]), *(row[h] for h in headers[1:])] for row in rows))
    )


def changes(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the rows that came and went between two versions, commit by commit."""
    from airflow_dataml.adapters.delta.maintenance import changes as feed

    _, place, log = _opened(ledger, args.name)
    after, until = (_commit_of(ledger, args.name, number) for number in (args.after, args.until))
    keys = args.key or place.layout.keys
    found = feed(log, after=after, until=until, keys=keys)
    rows = list(islice((row for commit in found for row in commit.to_pylist()), args.limit))
    headers = list(dict.fromkeys(name for row in rows for name in row))
    text = table(headers, ([row.get(name) for name in headers] for row in rows), empty="No row changed.")
    return Output(rows, text)


def constrain(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Give a table a condition that every row has to meet."""
    from airflow_dataml.adapters.delta.maintenance import add_constraint

    name, equals, condition = args.condition.partition("=")
    if not equals or not name.strip().isidentifier():
        msg = f"constraint {args.condition!r} is not usable: write NAME=CONDITION, as in positive='km >= 0'."
        raise SpecError(msg)
    _, place, log = _opened(ledger, args.name)
    add_constraint(log, name=name.strip(), condition=condition.strip())
    data = {"table": place.location, "constraints": log.constraints}
    return Output(data, f"Every row of {place.location} meets {name.strip()}: {condition.strip()}")


def vacuum(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Delete files that no retained version, no staged batch and no reader of the table needs."""
    from airflow_dataml.adapters.delta.maintenance import vacuum as clean

    store, place, log = _opened(ledger, args.name)
    held = ledger.retention.held(args.name)
    facts = [ledger.versions.by_id(version.version_id).facts for version in held]
    done = clean(
        log,
        store.files.folder(place.location),
        keep={int(f["delta_version"]) for f in facts if f.get("table") == place.location},
        known=set(ledger.retention.locators(store.name)),
        dry_run=args.dry_run,
    )
    verb = "Would delete" if args.dry_run else "Deleted"
    kept = f"{len(held)} versions keep all of their files"
    text = f"{verb} {len(done)} files, {size(sum(done.values()))}; {kept}."
    return Output({"files": done, "bytes": sum(done.values()), "dry_run": args.dry_run}, text)


def adopt(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Take over what somebody else wrote to a table, as a new version."""
    from airflow_dataml.adapters.delta.foreign import AdoptingStore, foreign_commits
    from airflow_dataml.adapters.delta.scratch import Scratch

    store, place, _ = _opened(ledger, args.name)
    found = foreign_commits(store, place)
    if not found:
        return Output({"version": None}, f"Nobody else wrote to {place.location}.")
    adopting = AdoptingStore(Scratch(ledger.store, ledger.warehouse), store.files.options)
    run = ledger.runs.begin(cli_identity("delta-adopt"), input_digest=digest_of(commit=found[0].version))
    with ledger.transaction():
        ledger.assets.lock(args.name)
        head = ledger.versions.find(args.name)
        version = switch(
            ledger,
            adopting,
            run,
            place=place,
            change=Change("append", str(run.fact(args.name))),
            parent=head,
            parts=ledger.versions.manifest(head.version_id),
            columns=adopting.columns(place, ledger.versions.columns(head.version_id)),
            facts={"mode": "adopted", "commits": [commit.version for commit in found]},
        )
        ledger.runs.finish(run)
    said = ", ".join(f"{commit.version} ({commit.operation})" for commit in reversed(found))
    return Output(
        {"version": version.ref, "rows": version.rows},
        f"Took over commits {said} as {version.ref}: {version.rows:,} rows.",
    )


def discard(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Take back what somebody else wrote to a table: readers see the current version again."""
    from airflow_dataml.adapters.delta.foreign import discard as take_back
    from airflow_dataml.adapters.delta.foreign import foreign_commits

    store, place, _ = _opened(ledger, args.name)
    run = ledger.runs.begin(cli_identity("delta-discard"), input_digest="")
    with ledger.transaction():
        ledger.assets.lock(args.name)
        found = foreign_commits(store, place)
        head = ledger.versions.find(args.name)
        if not found:
            return Output({"commit": None}, f"Nobody else wrote to {place.location}.")
        commit = take_back(
            store,
            place=place,
            columns=ledger.versions.columns(head.version_id),
            parts=ledger.versions.manifest(head.version_id),
        )
        gone = [commit.version for commit in found]
        ledger.audit.add(action="discard", subject=head.ref, run=run, detail={"commits": gone, "by": commit})
        ledger.runs.finish(run)
    return Output(
        {"commit": commit, "discarded": gone},
        f"Readers of {place.location} see {head.ref} again, by commit {commit}.",
    )


def _opened(ledger: PostgresLedger, name: str) -> tuple[DeltaStore, Place, DeltaLog]:
    from airflow_dataml.adapters.delta.store import DeltaStore

    store, place = store_of_dataset(ledger, name), place_of_dataset(ledger, name)
    if not isinstance(store, DeltaStore):
        msg = f"{name!r} is kept in PostgreSQL, at {place.location}: this command is for datasets in Delta tables."
        raise SpecError(msg)
    log = store.files.log(place.location)
    if log is None:
        msg = f"{name!r} was never published: there is no Delta table at {place.location}."
        raise NotFoundError(msg)
    return store, place, log


def _commit_of(ledger: PostgresLedger, name: str, number: int) -> int:
    version = ledger.versions.find(f"{name}@{number}")
    commit: Any = version.facts.get("delta_version")
    if not isinstance(commit, int):
        msg = f"{version.ref} is no commit of a Delta table."
        raise SpecError(msg)
    return commit


_NAME = Argument(("name",), {"metavar": "NAME", "help": "Logical name of a dataset in a Delta table"})
_LIMIT = Argument(("--limit",), {"type": positive, "default": 100, "metavar": "N", "help": "Rows at most"})

DELTA = Group(
    "delta",
    "Look after datasets in Delta tables; options of an object store come from the environment",
    (
        Command(
            "history",
            "List the commits of a table, newest first",
            history,
            (Argument(("table",), {"metavar": "NAME|URI", "help": "A dataset, or any Delta table"}), _LIMIT),
        ),
        Command(
            "changes",
            "Print the rows that came and went between two versions",
            changes,
            (
                _NAME,
                Argument(("--from",), {"dest": "after", "type": positive, "required": True, "metavar": "N", "help": "The version before"}),
                Argument(("--to",), {"dest": "until", "type": positive, "required": True, "metavar": "N", "help": "The version after"}),
                Argument(("--key",), {"action": "append", "metavar": "COLUMN", "help": "A column that names a row; repeat for more. The dataset's keys unless given"}),
                _LIMIT,
            ),
        ),
        Command(
            "constrain",
            "Give a table a condition that every row has to meet",
            constrain,
            (_NAME, Argument(("condition",), {"metavar": "NAME=CONDITION", "help": "Such as positive='km >= 0'"})),
        ),
        Command(
            "vacuum",
            "Delete files that no retained or pinned version needs",
            vacuum,
            (_NAME, Argument(("--dry-run",), {"action": "store_true", "help": "Print the plan and touch nothing"})),
        ),
        Command("adopt", "Take over, as a new version, what somebody else wrote to a table", adopt, (_NAME,)),
        Command("discard", "Take back what somebody else wrote to a table", discard, (_NAME,)),
    ),
)  # fmt: skip

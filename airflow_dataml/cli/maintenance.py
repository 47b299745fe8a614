"""Commands that read old versions and keep datasets small."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import size, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.retention import RetentionPlan
    from airflow_dataml.steps.retain import Sweep

_PAGE = 500
_DRY_RUN = Argument(("--dry-run",), {"action": "store_true", "help": "Print the plan and touch nothing"})


def read(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print rows of a version, whatever is current now."""
    from airflow_dataml.cli.places import store_of_dataset
    from airflow_dataml.steps.read import read_rows

    version, columns, rows = read_rows(
        ledger=ledger,
        store=store_of_dataset(ledger, args.ref.partition("@")[0]),
        ref=args.ref,
        limit=args.limit,
    )
    names = [c.name for c in columns]
    found = list(rows)
    data = {"version": version.ref, "columns": names, "rows": [list(row) for row in found]}
    if args.csv:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([names, *found])
        return Output(data, out.getvalue().rstrip("\n"))
    return Output(data, f"{version.ref}\n\n{table(names, found, empty='No rows.')}")


def retained(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Say what every readable version weighs, and who holds it."""
    from airflow_dataml.core.retention import exclusive_bytes

    held = ledger.retention.held(args.name)
    sizes = ledger.retention.sizes(args.name)
    alone = exclusive_bytes(held, sizes)
    rows: list[dict[str, Any]] = [
        {
            "version": v.number,
            "parts": len(v.part_ids),
            "bytes": sum(sizes.get(p, 0) for p in v.part_ids),
            "alone": alone[v.number],
            "held_by": list(v.holders),
        }
        for v in reversed(held)
    ]
    total = sum(sizes.values())
    lines = ([r["version"], r["parts"], size(r["bytes"]), size(r["alone"]), r["held_by"]] for r in rows)
    text = table(("version", "parts", "size", "its own", "held by"), lines, empty="No version has rows.")
    return Output(
        {"name": args.name, "bytes": total, "versions": rows}, f"{text}\n\n{size(total)} in all parts."
    )


def gc(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Give rows back that no version needs, and what killed tasks left behind."""
    from airflow_dataml.cli.places import store_of_dataset
    from airflow_dataml.core.retention import RetentionPolicy
    from airflow_dataml.steps.retain import collect, retention_of

    policy = RetentionPolicy(
        keep_last=args.keep_last, keep_days=args.keep_days, abandon_hours=args.abandon_hours
    )
    names = [args.asset] if args.asset else list(_datasets(ledger))
    plans: list[RetentionPlan] = []
    for name in names:
        if args.dry_run:
            plans.append(retention_of(ledger=ledger, asset=name, policy=policy))
        else:
            store = store_of_dataset(ledger, name)
            identity = cli_identity(f"gc.{name}")
            plans.append(collect(ledger=ledger, store=store, identity=identity, asset=name, policy=policy))
    swept, unswept, code = _swept(ledger, dry_run=args.dry_run)
    data = {
        "plans": [p.to_dict() for p in plans],
        "strays": swept.to_dict(),
        "unswept": unswept,
        "dry_run": args.dry_run,
    }
    lines = [
        [p.asset, len(p.kept), len(p.collected), len(p.parts), len(p.abandoned), size(p.bytes_freed)]
        for p in plans
    ]
    text = table(("dataset", "kept", "collected", "parts", "abandoned", "freed"), lines, empty="No dataset.")
    strays = "".join(f"\n- {name} ({size(count)})" for name, count in swept.strays.items())
    verb = "Would sweep" if args.dry_run else "Swept"
    if strays:
        text += f"\n\n{verb} {len(swept.strays)} strays:{strays}"
    for name, why in unswept.items():
        text += f"\n\nStrays of {name} were not looked for: {why}"
    return Output(data, text, code)


def _swept(ledger: PostgresLedger, *, dry_run: bool) -> tuple[Sweep, dict[str, str], int]:
    """Sweep every store; returns what lay there, why a store was not looked at, and the exit code."""
    from airflow_dataml.adapters.delta import delta_store
    from airflow_dataml.core.errors import DataMLError, MissingExtraError
    from airflow_dataml.steps.retain import Sweep, sweep

    found: dict[str, int] = {}
    unswept: dict[str, str] = {}
    code = OK
    for store in (ledger.store, delta_store(ledger)):
        identity = cli_identity(f"sweep.{store.name}")
        try:
            found |= sweep(ledger=ledger, store=store, identity=identity, dry_run=dry_run).strays
        except DataMLError as err:
            # What was collected stays so, whichever other system is away; without the extra nobody expects more.
            unswept[store.name] = str(err)
            code = code if isinstance(err, MissingExtraError) else FAILED
    return Sweep(found), unswept, code


def compact(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Write the small parts of a dataset together."""
    from airflow_dataml.cli.places import place_of_dataset, store_of_dataset
    from airflow_dataml.core.retention import CompactionPolicy
    from airflow_dataml.steps.compact import compact as compact_dataset

    before = ledger.versions.find(args.name)
    version = compact_dataset(
        ledger=ledger,
        store=store_of_dataset(ledger, args.name),
        identity=cli_identity("compact"),
        place=place_of_dataset(ledger, args.name),
        policy=CompactionPolicy(target_rows=args.target_rows),
    )
    was, now = (len(ledger.versions.manifest(v.version_id)) for v in (before, version))
    data = {"version": version.ref, "parts_before": was, "parts": now, "fingerprint": version.fingerprint}
    if version.version_id == before.version_id:
        return Output(data, f"{version.ref} has nothing to compact: {now} parts.")
    return Output(data, f"Compacted {before.ref} into {version.ref}: {now} parts, were {was}; equal content.")


def _datasets(ledger: PostgresLedger) -> Iterable[str]:
    after = ""
    while page := ledger.assets.list(after=after, limit=_PAGE):
        yield from (a["name"] for a in page if a["kind"] in ("dataset", "prediction", "external"))
        after = page[-1]["name"]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


DATASET_COMMANDS = (
    Command(
        "read",
        "Print rows of a version: NAME, NAME@N, NAME@ALIAS, NAME@BRANCH or NAME@TIME",
        read,
        (
            Argument(("ref",), {"metavar": "NAME[@N|@TIME]", "help": "The version; the current one unless given"}),
            Argument(("--limit",), {"type": _count, "default": 20, "metavar": "N", "help": "Rows at most"}),
            Argument(("--csv",), {"action": "store_true", "help": "Print CSV"}),
        ),
    ),
    Command(
        "size",
        "Say what every readable version weighs and who holds it",
        retained,
        (Argument(("name",), {"metavar": "NAME", "help": "Logical name"}),),
    ),
    Command(
        "compact",
        "Write the small parts of a dataset together; the content stays what it was",
        compact,
        (
            Argument(("name",), {"metavar": "NAME", "help": "Logical name"}),
            Argument(
                ("--target-rows",),
                {"type": _count, "default": 1_000_000, "metavar": "N", "help": "A part of so many rows is left alone"},
            ),
        ),
    ),
)  # fmt: skip

GC = Command(
    "gc",
    "Delete rows that no version needs, and what killed tasks left; without a rule only the latter",
    gc,
    (
        Argument(("--asset",), {"metavar": "NAME", "help": "Only this dataset; all of them unless given"}),
        Argument(("--keep-last",), {"type": _count, "metavar": "N", "help": "Keep the newest N versions"}),
        Argument(("--keep-days",), {"type": float, "metavar": "D", "help": "Keep what is younger than D days"}),
        Argument(
            ("--abandon-hours",),
            {"type": float, "default": 48.0, "metavar": "H", "help": "Give up staged batches older than this"},
        ),
        _DRY_RUN,
    ),
)  # fmt: skip

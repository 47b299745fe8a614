"""Small builders that tests of ledger and steps share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming, TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.publish import place_of, publish_part

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version, WriteMode

RIDES = (Column("id", "integer"), Column("kind", "text"), Column("km", "double precision"))


def identity(task: str = "task", run: str = "run", *, partition_key: str | None = None) -> RunIdentity:
    """Who writes: one task of one run."""
    return RunIdentity(task=TaskKey("dag", run, task), partition_key=partition_key)


def declare(ledger: PostgresLedger, name: str = "rides", kind: str = "dataset") -> None:
    """Enter an asset into the catalog."""
    ledger.assets.register(name=name, kind=kind, uri=AssetNaming().uri("dataset", name))


def rides_csv(path: Path, rows: list[tuple[object, ...]]) -> Path:
    """Write a batch file of rides."""
    lines = ["id,kind,km", *(",".join("" if v is None else str(v) for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def stage(
    ledger: PostgresLedger,
    path: Path,
    *,
    run: str = "run",
    mode: WriteMode = "append",
    key: str | None = None,
) -> StagedPart:
    """Stage a batch file of rides."""
    return stage_csv(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage", run, partition_key=key),
        target=Target("rides", mode, key),
        path=path,
        columns=RIDES,
    )


def publish(
    ledger: PostgresLedger,
    staged: StagedPart,
    *,
    run: str = "run",
    require_check: bool = False,
    allow_breaking: bool = False,
) -> Version:
    """Publish a staged batch of rides."""
    return publish_part(
        ledger=ledger,
        store=ledger.store,
        identity=identity("publish", run),
        staged=staged,
        place=place_of(ledger, "rides", "public.rides", Layout()),
        require_check=require_check,
        allow_breaking=allow_breaking,
    )

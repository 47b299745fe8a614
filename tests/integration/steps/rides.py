"""A dataset of rides whose batches come as rows, for tests of versions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import MergeSpec, Rows
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.publish import place_of, publish_part
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version, WriteMode
    from airflow_dataml.core.stores import Place

COLUMNS = (Column("id", "bigint"), Column("kind", "text"), Column("km", "double precision"))


@dataclass
class Rides:
    """One dataset; each verb is one task of a run of its own."""

    ledger: PostgresLedger
    name: str = "rides"
    layout: Layout = field(default_factory=Layout)
    runs: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        declare(self.ledger, self.name)
        self.ledger.assets.set_location(self.name, {"table": f"public.{self.name}"})

    def place(self, branch: str | None = None) -> Place:
        location = f"public.{self.name}"
        if branch is not None:
            location = f"{self.ledger.branches.schema_of(branch)}.{self.name}"
        return place_of(self.ledger, self.name, location, self.layout, branch=branch)

    def stage(
        self,
        rows: Sequence[Sequence[Any]],
        *,
        mode: WriteMode = "append",
        columns: Sequence[Column] = COLUMNS,
        keys: Sequence[str] = (),
        flag: str | None = None,
        key: str | None = None,
        branch: str | None = None,
        run: str | None = None,
    ) -> StagedPart:
        target = Target(
            self.name,
            mode,
            key,
            layout=self.layout,
            merge=MergeSpec(tuple(keys), flag) if mode == "merge" else None,
            location=f"public.{self.name}",
            branch=branch,
        )
        return stage_source(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", run or f"run{next(self.runs)}"),
            target=target,
            source=Rows(tuple(columns), [list(rows)]),
            digest=digest_of(rows=[list(map(str, row)) for row in rows]),
            origin="a list",
        )

    def publish(self, staged: StagedPart, *, run: str | None = None, allow_breaking: bool = False) -> Version:
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", run or f"run{next(self.runs)}"),
            staged=staged,
            place=self.place(staged.branch),
            require_check=False,
            allow_breaking=allow_breaking,
        )

    def write(self, rows: Sequence[Sequence[Any]], *, allow_breaking: bool = False, **how: Any) -> Version:
        return self.publish(self.stage(rows, **how), allow_breaking=allow_breaking)

    def read(self, ref: str | None = None) -> list[tuple[Any, ...]]:
        version = self.ledger.versions.find(ref or self.name)
        rows = self.ledger.store.scan(
            columns=self.ledger.versions.columns(version.version_id),
            parts=self.ledger.versions.manifest(version.version_id),
        )
        return sorted(rows, key=lambda row: tuple(map(str, row)))

    def view(self, relation: str | None = None) -> list[tuple[Any, ...]]:
        rows = self.ledger.connection.rows(f"SELECT * FROM {relation or f'public.{self.name}'}")
        return sorted((tuple(row.values()) for row in rows), key=lambda row: tuple(map(str, row)))

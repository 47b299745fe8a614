"""One dataset in each kind of store, driven through the steps and looked at from outside."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.stores import Change, MergeSpec, Rows
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.publish import place_of, publish_part, switch
from airflow_dataml.testing_rows import canonical
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Part, StagedPart, Version, WriteMode
    from airflow_dataml.core.stores import DatasetStore, Place, Source

COLUMNS = (Column("id", "integer"), Column("kind", "text"), Column("km", "double precision"))
FLAGGED = (*COLUMNS, Column("gone", "boolean"))
BY_ID = MergeSpec(("id",), "gone")
Row = tuple[Any, ...]


def as_set(rows: Iterable[Sequence[Any]]) -> Counter[Any]:
    """Rows without an order, of which NaN equals itself."""
    return Counter(tuple(map(canonical, row)) for row in rows)


@dataclass
class World:
    """A ledger, a store, and a dataset ``rides`` in it."""

    ledger: PostgresLedger
    store: DatasetStore
    dsn: str
    location: str
    layout: Layout = field(default_factory=Layout)
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        declare(self.ledger)

    @property
    def place(self) -> Place:
        """Where the dataset is, as the ledger knows now."""
        return place_of(self.ledger, "rides", self.location, self.layout)

    def stage(
        self,
        rows: Sequence[Row] | Source,
        *,
        mode: WriteMode = "append",
        columns: Sequence[Column] | None = None,
        key: str | None = None,
        merge: MergeSpec | None = None,
        run: str | None = None,
    ) -> StagedPart:
        """Stage a batch; every call is a run of its own unless one is named."""
        merge = BY_ID if mode == "merge" and merge is None else merge
        wanted = tuple(columns or (FLAGGED if merge and merge.delete_flag else COLUMNS))
        run = run or f"run{next(self.numbers)}"
        return stage_source(
            ledger=self.ledger,
            store=self.store,
            identity=identity("stage", run, partition_key=key),
            target=Target("rides", mode, key, self.layout, merge, self.location),
            source=rows if not isinstance(rows, list) else Rows(wanted, [rows]),
            digest=run,
            origin="a test",
        )

    def publish(self, staged: StagedPart, *, allow_breaking: bool = False, run: str | None = None) -> Version:
        """Publish a staged batch."""
        return publish_part(
            ledger=self.ledger,
            store=self.store,
            identity=identity("publish", run or f"run{next(self.numbers)}"),
            staged=staged,
            place=self.place,
            require_check=False,
            allow_breaking=allow_breaking,
        )

    def publish_and_break(self, staged: StagedPart, **given: Any) -> None:
        """Publish, and lose the ledger's transaction after the store has switched."""
        with suppress(ZeroDivisionError), self.ledger.transaction():
            self.publish(staged, **given)
            raise ZeroDivisionError

    def write(self, rows: Sequence[Row] | Source, *, allow_breaking: bool = False, **given: Any) -> Version:
        """Stage and publish."""
        return self.publish(self.stage(rows, **given), allow_breaking=allow_breaking)

    def move(self, mode: Any, parts: Sequence[Part], columns: Sequence[Column], **given: Any) -> Version:
        """Publish a manifest as it is, as rollbacks and compactions do."""
        run = self.ledger.runs.begin(identity(mode, f"run{next(self.numbers)}"), input_digest="")
        with self.ledger.transaction():
            self.ledger.assets.lock("rides")
            return switch(
                self.ledger,
                self.store,
                run,
                place=self.place,
                change=Change(mode, str(run.fact("rides")), **given),
                parent=self.ledger.versions.head("rides"),
                parts=parts,
                columns=columns,
                facts={"mode": mode},
            )

    def roll_back(self, to: Version) -> Version:
        """Make an old version's content current again."""
        versions = self.ledger.versions
        return self.move(
            "rollback", versions.manifest(to.version_id), versions.columns(to.version_id), to=to.facts
        )

    def compact(self) -> Version:
        """Write what is current as one part."""
        head = self.ledger.versions.find("rides")
        parts, columns = self.parts(head), self.ledger.versions.columns(head.version_id)
        run = self.ledger.runs.begin(identity("compact", f"run{next(self.numbers)}"), input_digest="")
        with self.ledger.transaction():
            made = self.store.compact(
                fact=run.fact("rides"), place=self.place, columns=columns, parts=parts, grids={}
            )
            part = self.ledger.versions.add_part(
                run=run, fact=run.fact("rides"), part=made, store=self.store.name
            )
        return self.move("compact", [part], columns)

    def parts(self, version: Version) -> tuple[Part, ...]:
        """The manifest of a version."""
        return self.ledger.versions.manifest(version.version_id)

    def scan(self, version: Version) -> Counter[Any]:
        """The rows of a version, through the store."""
        columns = self.ledger.versions.columns(version.version_id)
        return as_set(self.store.scan(columns=columns, parts=self.parts(version)))

    def seen(self) -> Counter[Any]:
        """The rows somebody sees who knows nothing of us."""
        return as_set(row.values() for row in self.outside())

    def outside(self) -> list[dict[str, Any]]:
        """What is at the place, read without the ledger or the store."""
        raise NotImplementedError

    def nothing_there(self) -> bool:
        """Whether readers find no dataset at the place."""
        raise NotImplementedError

    def occupy(self) -> None:
        """Put something of somebody else's at the place."""
        raise NotImplementedError


class MemoryWorld(World):
    """Rows in this process."""

    def outside(self) -> list[dict[str, Any]]:
        return self.store.read(self.location)

    def nothing_there(self) -> bool:
        return self.location not in self.store.places

    def occupy(self) -> None:
        declare(self.ledger, "others")
        place = place_of(self.ledger, "others", self.location, Layout())
        self.store.switch(place=place, change=Change("replace", "x"), columns=COLUMNS, parts=[])


class PostgresWorld(World):
    """A view, read over a connection of its own."""

    def outside(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(f"SELECT * FROM {Relation.parse(self.location).quoted}").fetchall()

    def nothing_there(self) -> bool:
        found = self.ledger.connection.scalar(
            "SELECT to_regclass(%s)::text", [Relation.parse(self.location).quoted]
        )
        return found is None

    def occupy(self) -> None:
        self.ledger.connection.execute(f"CREATE TABLE {Relation.parse(self.location).quoted} (theirs int)")


class DeltaWorld(World):
    """A Delta table, read with plain deltalake."""

    def outside(self) -> list[dict[str, Any]]:
        from deltalake import DeltaTable

        return DeltaTable(self.location).to_pyarrow_table().to_pylist()

    def nothing_there(self) -> bool:
        from deltalake import DeltaTable

        return not DeltaTable.is_deltatable(self.location)

    def occupy(self) -> None:
        import pyarrow
        from deltalake import write_deltalake

        write_deltalake(self.location, pyarrow.table({"theirs": [1]}))

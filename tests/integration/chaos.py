"""Publishers, readers and a caretaker that run as processes of their own, for ``test_chaos``.

Every batch of the dataset is whole by itself: its amounts add up to nothing and each row says how many
rows the batch has. A batch merged into a group takes the place of the batch that was there, one of a
partition that of the partition's last. Whoever reads can tell a mix of two versions from one.

    python -m tests.integration.chaos publisher|reader|caretaker DSN DIARY NUMBER
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import BackendError, StaleVersionError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.core.runs import RunIdentity, digest_of
from airflow_dataml.core.stores import MergeSpec, Rows
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.retain import collect, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_dataml.core.datasets import Version, WriteMode

NAME, VIEW = "postings", "public.postings"
LAYOUT = Layout(keys=("id",))
COLUMNS = (
    Column("id", "text"),
    Column("batch", "text"),
    Column("size", "integer"),
    Column("amount", "bigint"),
)
FLAGGED = (*COLUMNS, Column("gone", "boolean"))
MODES: tuple[WriteMode, ...] = ("append", "partition", "merge", "append")
PUBLISHERS, BATCHES, GROUPS, GROUP_SIZE = 16, 6, 4, 6
_READ = f"SELECT batch, count(*), sum(amount)::bigint, min(size), max(size) FROM {VIEW} GROUP BY batch"


@dataclass(frozen=True, slots=True)
class Batch:
    """The work of one DAG run; the same every time it is asked for."""

    publisher: int
    turn: int

    @classmethod
    def parse(cls, name: str) -> Batch:
        _, publisher, turn = name.split("-")
        return cls(int(publisher), int(turn))

    @property
    def mode(self) -> WriteMode:
        return MODES[(self.publisher + self.turn) % len(MODES)]

    @property
    def name(self) -> str:
        return f"{self.mode}-{self.publisher}-{self.turn}"

    @property
    def partition(self) -> str | None:
        return f"p{self.publisher}" if self.mode == "partition" else None

    @property
    def place(self) -> str:
        """What a later batch of the same place takes the place of."""
        if self.mode == "append":
            return self.name
        return self.partition or f"group{self.publisher % GROUPS}"

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        dice = random.Random(self.name)  # noqa: S311 - no secret
        size = dice.randint(2, GROUP_SIZE)
        amounts = [dice.randint(-99, 99) for _ in range(size - 1)]
        amounts.append(-sum(amounts))
        if self.mode != "merge":
            return [(f"{self.name}:{i}", self.name, size, amount) for i, amount in enumerate(amounts)]
        kept = [(f"{self.place}:{i}", self.name, size, amount, False) for i, amount in enumerate(amounts)]
        return [*kept, *((f"{self.place}:{i}", None, None, None, True) for i in range(size, GROUP_SIZE))]


class Diary:
    """One line for everything that happened; a line is there or not, whenever the process is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, **what: Any) -> None:
        os.write(self._file, (json.dumps(what | {"at": time.time()}) + "\n").encode())

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def publisher(dsn: str, diary: Diary, number: int) -> None:
    """Publish every batch; the one that was published last before a kill comes again, as a retry."""
    said = Diary.read(diary.path)
    turns = [Batch.parse(line["published"]).turn for line in said if "published" in line]
    for turn in range(max(turns, default=0), BATCHES):
        batch = Batch(number, turn)
        cleared = sum(line.get("cleared") == batch.name for line in said)
        version = _until_published(dsn, diary, batch, cleared)
        diary.write(published=batch.name, version=version.number, part=version.facts["part_id"])


def _until_published(dsn: str, diary: Diary, batch: Batch, cleared: int) -> Version:
    """What Airflow does: repeat what did not answer; run again from the start what found the world moved."""
    for attempt in itertools.count(1):
        try:
            with PostgresLedger.connect(dsn) as ledger:
                return _publish(ledger, batch, attempt, cleared)
        except StaleVersionError:
            cleared += 1
            diary.write(cleared=batch.name)
            time.sleep(random.uniform(0, 0.05 * min(cleared, 10)))  # noqa: S311 - no secret
        except BackendError as err:
            diary.write(retry=batch.name, why=str(err))
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
    raise AssertionError


def _publish(ledger: PostgresLedger, batch: Batch, attempt: int, cleared: int) -> Version:
    def identity(task: str) -> RunIdentity:
        return RunIdentity(
            TaskKey("chaos", batch.name, task),
            try_number=attempt,
            partition_key=batch.partition,
            max_tries=cleared,
        )

    merging = batch.mode == "merge"
    staged = stage_source(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage"),
        target=Target(
            NAME,
            batch.mode,
            batch.partition,
            layout=LAYOUT,
            merge=MergeSpec(("id",), "gone") if merging else None,
            location=VIEW,
        ),
        source=Rows(FLAGGED if merging else COLUMNS, [batch.rows]),
        digest=digest_of(batch=batch.name),
        origin="chaos",
    )
    return publish_part(
        ledger=ledger,
        store=ledger.store,
        identity=identity("publish"),
        staged=staged,
        place=place_of(ledger, NAME, VIEW, LAYOUT),
        require_check=False,
    )


def caretaker(dsn: str, diary: Diary, number: int) -> None:
    """Compact, collect and sweep all the while."""
    del number
    for turn in itertools.count():
        try:
            with PostgresLedger.connect(dsn) as ledger:
                _take_care(ledger, turn)
            diary.write(cared=turn)
        except (StaleVersionError, BackendError) as err:
            diary.write(retry=turn, why=str(err))
        time.sleep(1.0)


def _take_care(ledger: PostgresLedger, turn: int) -> None:
    def identity(task: str) -> RunIdentity:
        return RunIdentity(TaskKey("care", f"{os.getpid()}-{turn}", task))

    if ledger.versions.head(NAME) is None:
        return
    compact(
        ledger=ledger,
        store=ledger.store,
        identity=identity("compact"),
        place=place_of(ledger, NAME, VIEW, LAYOUT),
        policy=CompactionPolicy(target_rows=100, min_parts=8),
    )
    collect(
        ledger=ledger,
        store=ledger.store,
        identity=identity("collect"),
        asset=NAME,
        policy=RetentionPolicy(keep_last=40),
    )
    sweep(ledger=ledger, store=ledger.store, identity=identity("sweep"))


@dataclass
class Eyes:
    """What one reader has seen."""

    appended: set[str] = field(default_factory=set)
    partitions: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def faults(self, rows: Iterable[Sequence[Any]]) -> list[str]:
        """What no version ever looked like."""
        found, places = [], defaultdict(set)
        for name, count, total, least, most in rows:
            if (count, total) != (least, 0) or least != most:
                found.append(f"{name}: {count} rows of {least} to {most}, {total} in sum")
            batch = Batch.parse(name)
            places[batch.place].add(name)
            if batch.mode == "partition" and batch.turn < self.partitions[batch.place]:
                found.append(f"{name} came back")
            if batch.mode == "partition":
                self.partitions[batch.place] = batch.turn
        found += [f"{sorted(names)} at once" for names in places.values() if len(names) > 1]
        appended = {name for names in places.values() for name in names if name.startswith("append")}
        found += [f"{name} is gone" for name in self.appended - appended]
        self.appended |= appended
        return found


def reader(dsn: str, diary: Diary, number: int) -> None:
    """Read all the while; every second reader reads twice in one transaction."""
    eyes = Eyes()
    look: Callable[[psycopg.Connection[Any], Eyes], list[str]] = _twice if number % 2 else _once
    reads = 0
    diary.write(reads=0)
    while True:
        try:
            with psycopg.connect(dsn, connect_timeout=5) as db:
                if number % 2:
                    db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                while True:
                    faults = look(db, eyes)
                    reads += 1
                    if faults or reads % 50 == 0:
                        diary.write(reads=reads, faults=faults)
                    time.sleep(0.02)
        except psycopg.Error as err:
            lost = isinstance(err, psycopg.OperationalError) and not err.sqlstate
            diary.write(error=err.sqlstate or type(err).__name__, lost=lost, why=str(err))
            time.sleep(0.05)


def _once(db: psycopg.Connection[Any], eyes: Eyes) -> list[str]:
    rows = db.execute(_READ).fetchall()
    db.commit()
    return eyes.faults(rows)


def _twice(db: psycopg.Connection[Any], eyes: Eyes) -> list[str]:
    try:
        # The snapshot is older than the look at the view.
        db.execute("SELECT count(*) FROM pg_class").fetchall()
        first, second = (sorted(db.execute(_READ).fetchall()) for _ in range(2))
        db.commit()
    except psycopg.errors.SerializationFailure:
        db.rollback()
        return []
    return eyes.faults(second) + (["two reads of one transaction differ"] if first != second else [])


def main() -> None:
    """Play one part."""
    role, dsn, diary, number = sys.argv[1:]
    roles: dict[str, Callable[[str, Diary, int], None]] = {
        "publisher": publisher,
        "reader": reader,
        "caretaker": caretaker,
    }
    roles[role](dsn, Diary(Path(diary)), int(number))


if __name__ == "__main__":
    main()

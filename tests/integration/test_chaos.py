"""Sixteen publishers, four readers and a caretaker on one dataset, with kills and a crash of the server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.refs import Relation
from dev.embedded import embedded_postgres, ensure_database
from tests.integration.chaos import BATCHES, NAME, PUBLISHERS, VIEW, Batch, Diary, Eyes
from tests.support import declare

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
READERS, DEADLINE_S = 4, 240.0
EVERYTHING = [Batch(p, t) for p in range(PUBLISHERS) for t in range(BATCHES)]
KILLING = len(EVERYTHING) * 3 // 4
# Of the connection, of a server that goes down, of one that comes up.
LOST = ("08", "57P")
_GRACE_S = 1.0


@dataclass
class World:
    """The processes, and what they wrote down."""

    dsn: str
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    down: tuple[float, float] = (0.0, 0.0)

    def start(self, role: str, number: int) -> None:
        name = f"{role}-{number}"
        command = [
            sys.executable, "-W", "error", "-m", "tests.integration.chaos",
            role, self.dsn, str(self.diary(name)), str(number),
        ]  # fmt: skip
        with (self.folder / f"{name}.err").open("ab") as errors:
            self.running[name] = subprocess.Popen(command, cwd=os.getcwd(), stderr=errors)  # noqa: S603 - our own

    def kill_one(self, dice: random.Random) -> None:
        """Kill -9 a publisher that is not done, and start it again."""
        alive = [n for n, p in self.running.items() if n.startswith("publisher") and p.poll() is None]
        if alive:
            name = dice.choice(alive)
            self.end(name)
            self.killed.append(name)
            self.start("publisher", int(name.partition("-")[2]))

    def end(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def busy(self) -> bool:
        """Whether a publisher still works; one that broke is an error."""
        states = [p.poll() for n, p in self.running.items() if n.startswith("publisher")]
        others = [
            n for n, p in self.running.items() if not n.startswith("publisher") and p.poll() is not None
        ]
        assert not any([*others, *states]), self.complaints()
        return None in states

    def complaints(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text()}" for p in sorted(self.folder.glob("*.err")))

    def diary(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def lines(self, role: str) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob(f"{role}-*.jsonl")):
            yield from Diary.read(path)

    def published(self) -> dict[str, dict[str, Any]]:
        """The batches publishers were told are published; the same each time they were told."""
        said: dict[str, dict[str, Any]] = {}
        for line in self.lines("publisher"):
            if "published" in line:
                before = said.setdefault(line["published"], line)
                assert (before["version"], before["part"]) == (line["version"], line["part"])
        return said


def crash(data: Path) -> None:
    """Stop a server as a power cut would, but for the disk."""
    os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)


def prepared(server: str) -> str:
    dsn = ensure_database(server, "chaos")
    with psycopg.connect(dsn, autocommit=True) as admin:
        # Test servers acknowledge before they write; here an acknowledged commit has to be one.
        admin.execute("ALTER DATABASE chaos SET synchronous_commit = on")
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger:
        declare(ledger, NAME)
        ledger.assets.set_location(NAME, {"table": VIEW})
    return dsn


def rage(world: World, dice: random.Random, *, until: int) -> None:
    """Kill publishers at random until so many batches are published."""
    deadline = time.monotonic() + DEADLINE_S
    while world.busy() and len(world.published()) < until:
        assert time.monotonic() < deadline, world.complaints()
        time.sleep(dice.uniform(0.2, 1.0))
        # Whoever is left at the end has to come through.
        if len(world.published()) < KILLING:
            world.kill_one(dice)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """What is left after everything happened; the server is up."""
    dice = random.Random(20131001)  # noqa: S311 - no secret
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name,
        ExitStack() as ends,
    ):
        data = Path(name) / "data"
        first = ends.enter_context(ExitStack())
        world = World(prepared(first.enter_context(embedded_postgres(data))), Path(name))
        ends.callback(lambda: [world.end(n) for n in list(world.running)])
        for number in range(PUBLISHERS):
            world.start("publisher", number)
        while world.busy() and not world.published():
            time.sleep(0.1)
        for role, count in (("reader", READERS), ("caretaker", 1)):
            for number in range(count):
                world.start(role, number)
        rage(world, dice, until=len(EVERYTHING) // 3)
        went = time.time()
        crash(data)
        first.close()
        ends.enter_context(embedded_postgres(data))
        world.down = (went, time.time())
        rage(world, dice, until=len(EVERYTHING))
        while world.busy():
            time.sleep(0.1)
        for left in list(world.running):
            world.end(left)
        yield world


@pytest.fixture
def ledger(world: World) -> Iterator[PostgresLedger]:
    with PostgresLedger.connect(world.dsn) as opened:
        yield opened


def test_it_was_as_bad_as_it_should_be(world: World) -> None:
    assert len(world.killed) >= 10
    assert any("retry" in line for line in world.lines("publisher"))
    assert any("cleared" in line for line in world.lines("publisher"))
    assert sum("cared" in line for line in world.lines("caretaker")) >= 3


def test_everything_acknowledged_is_there_once(world: World, ledger: PostgresLedger) -> None:
    rows = ledger.connection.rows(
        """SELECT r.run_id, v.number, v.facts FROM dataml.version v JOIN dataml.run r USING (run_key)
           WHERE r.dag_id = 'chaos' AND r.task_id = 'publish'"""
    )
    said = world.published()
    assert sorted(row["run_id"] for row in rows) == sorted(batch.name for batch in EVERYTHING)
    assert {row["run_id"]: (row["number"], row["facts"]["part_id"]) for row in rows} == {
        name: (line["version"], line["part"]) for name, line in said.items()
    }


def test_numbers_have_no_gap(ledger: PostgresLedger) -> None:
    numbers = [
        r["number"] for r in ledger.connection.rows("SELECT number FROM dataml.version ORDER BY number")
    ]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= len(EVERYTHING)


def test_no_reader_saw_a_mix_or_an_error(world: World) -> None:
    faults = [fault for line in world.lines("reader") for fault in line.get("faults", ())]
    assert faults == []
    began, ended = world.down
    errors = [
        line
        for line in world.lines("reader")
        if "error" in line
        and not (began <= line["at"] <= ended + _GRACE_S and (line["lost"] or line["error"].startswith(LOST)))
    ]
    assert errors == []
    for number in range(READERS):
        reads = [line["reads"] for line in Diary.read(world.diary(f"reader-{number}")) if "reads" in line]
        assert max(reads) >= 50


def test_readers_see_the_last_of_every_place(world: World, ledger: PostgresLedger) -> None:
    last: dict[str, str] = {}
    for name, _ in sorted(world.published().items(), key=lambda item: item[1]["version"]):
        last[Batch.parse(name).place] = name
    found = ledger.connection.rows(
        f"SELECT batch, count(*), sum(amount)::bigint AS total, min(size), max(size) FROM {VIEW} GROUP BY batch"
    )
    assert Eyes().faults(tuple(row.values()) for row in found) == []
    assert sorted(row["batch"] for row in found) == sorted(last.values())


def test_the_fingerprint_is_that_of_the_rows(ledger: PostgresLedger) -> None:
    assert ledger.warehouse.fingerprint(Relation.parse(VIEW)).text == ledger.versions.find(NAME).fingerprint


def test_the_audit_chain_holds(ledger: PostgresLedger) -> None:
    count, fault = ledger.audit.verify()
    assert fault is None
    moves = ledger.connection.scalar(
        "SELECT count(*) FROM dataml.audit WHERE action IN ('publish', 'roll back')"
    )
    assert moves == ledger.connection.scalar("SELECT count(*) FROM dataml.version")
    assert count >= moves


def test_nothing_is_left_after_gc(world: World, ledger: PostgresLedger) -> None:
    command = [sys.executable, "-m", "airflow_dataml.cli.main", "gc", "--abandon-hours", "0"]
    environment = os.environ | {"DATAML_LEDGER_DSN": world.dsn}
    subprocess.run([*command], check=True, env=environment, stdout=subprocess.PIPE)  # noqa: S603 - our own
    assert tables(ledger) == parts(ledger, "p.state = 'live'")
    in_versions = "EXISTS (SELECT 1 FROM dataml.version_part vp WHERE vp.part_id = p.part_id)"
    assert tables(ledger) == parts(ledger, f"p.state = 'live' AND {in_versions}")
    subprocess.run([*command, "--keep-last", "1"], check=True, env=environment, stdout=subprocess.PIPE)  # noqa: S603
    now = ledger.versions.find(NAME)
    assert tables(ledger) == {part.locator for part in ledger.versions.manifest(now.version_id)}
    assert ledger.connection.scalar(f"SELECT count(*) FROM {VIEW}") == now.rows


def tables(ledger: PostgresLedger) -> set[str]:
    rows = ledger.connection.rows(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace AND relkind IN ('r', 'v')"
    )
    return {str(Relation("dataml_data", row["name"])) for row in rows}


def parts(ledger: PostgresLedger, which: str) -> set[str]:
    return {
        row["locator"] for row in ledger.connection.rows(f"SELECT locator FROM dataml.part p WHERE {which}")
    }

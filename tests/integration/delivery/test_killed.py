"""Drainers and workers killed by SIGKILL at any moment: everything arrives, nothing is registered twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.spool import EventSpool
from airflow_dataml.core.recorded import record
from dev.readme import ROOT
from tests.integration.delivery.receivers import identity, in_order, receiver, refused_port, runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.delivery.receivers import Receiver


def environment(dsn: str, spool: Path, backends: dict[str, str]) -> dict[str, str]:
    config = {
        name: {"type": "http", "url": url, "timeout": 2, "batch": "auto" if name == "other" else False}
        for name, url in backends.items()
    }
    return os.environ | {
        "DATAML_LEDGER_DSN": dsn,
        "AIRFLOW__DATAML__SPOOL_DIR": str(spool),
        "AIRFLOW__DATAML__LINEAGE_BACKENDS": json.dumps(config),
        "PYTHONPATH": str(ROOT),
    }


def drainer(env: dict[str, str], *how: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "airflow_dataml.cli.main", "drain", *how]
    told = subprocess.DEVNULL if "--json" in how else subprocess.STDOUT
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=told)  # noqa: S603 - our own code


def until(said: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Wait for what a process does; looked at every few milliseconds, for it tells nobody."""
    deadline = time.monotonic() + seconds
    while not said():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate()[0].decode())
        time.sleep(0.005)


def killed_three_times(env: dict[str, str], marquez: Receiver, step: int) -> int:
    """Start a drainer and kill it, thrice, each time in the middle of a batch; return how often it was running."""
    killed = 0
    for _ in range(3):
        mark = len(marquez.events) + step
        process = drainer(env, "--loop", "--pause", "0.05")
        until(lambda mark=mark: len(marquez.events) >= mark, process)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    return killed


def emptied(env: dict[str, str]) -> dict[str, Any]:
    process = drainer(env, "--once", "--json")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out.decode()
    return json.loads(out)  # type: ignore[no-any-return]


def facts(dsn: str) -> dict[str, int]:
    with PostgresLedger.connect(dsn) as ledger:
        return ledger.connection.one(
            """SELECT (SELECT count(*) FROM dataml.lineage_event) AS events,
                      (SELECT count(*) FROM dataml.lineage_delivery WHERE state = 'delivered') AS delivered,
                      (SELECT count(*) FROM dataml.lineage_delivery WHERE state <> 'delivered') AS open"""
        )


def test_a_drainer_killed_three_times_delivers_everything(ledger_dsn: str, tmp_path: Path) -> None:
    events = runs(550)
    spool = EventSpool(tmp_path / "spool")
    with PostgresLedger.connect(ledger_dsn) as ledger:
        ledger.events.add([record(one, source="operator") for one in events[:1000]])
    for one in events[1000:]:
        spool.put(record(one, source="transport"))
    with receiver() as marquez:
        env = environment(ledger_dsn, spool.folder, {"marquez": marquez.url})
        assert killed_three_times(env, marquez, 230) == 3
        emptied(env)
        counts = marquez.counts()
        assert set(counts) == {identity(one) for one in events}
        assert in_order(marquez.ids())
        # At least once: no kill repeats more than the one batch that was claimed.
        assert len(marquez.events) - len(counts) <= 3 * 100
    assert facts(ledger_dsn) == {"events": 1100, "delivered": 1100, "open": 0}
    assert spool.is_empty()


_WORKER = """
import os, signal, sys
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from airflow_dataml import emission
from tests.integration.delivery.receivers import run_event
first, last, kill = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "kill"
client = OpenLineageClient(config={"transport": {"type": "airflow_dataml.transport.OutboxTransport"}})
if kill:
    insert = emission._insert
    def insert_and_die(*arguments):
        insert(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    emission._insert = insert_and_die
for number in range(first, last):
    for state in ("START", "COMPLETE"):
        plain = run_event(number, state)
        client.emit(RunEvent(eventType=RunState(state), eventTime=plain["eventTime"], run=Run(plain["run"]["runId"]),
                             job=Job("test", f"job{number}"), producer="https://example.com/test",
                             inputs=[InputDataset("file", f"/data/{number - 1}")] if number else [],
                             outputs=[OutputDataset("file", f"/data/{number}")]))
"""


def worker(env: dict[str, str], first: int, last: int, *, kill: bool = False) -> int:
    command = [sys.executable, "-c", _WORKER, str(first), str(last), "kill" if kill else "live"]
    return subprocess.run(command, env=env, cwd=ROOT, check=False, capture_output=True).returncode  # noqa: S603 - our own code


@pytest.mark.slow
def test_a_thousand_tasks_with_every_backend_dead(ledger_dsn: str, tmp_path: Path) -> None:
    """A day on which everything breaks: backends and ledger away, a worker and three drainers killed."""
    spool = EventSpool(tmp_path / "spool")
    with refused_port() as port:
        gone = f"http://127.0.0.1:{port}"
        env = environment(ledger_dsn, spool.folder, {"marquez": gone, "other": gone})
        assert worker(env, 0, 400) == 0
        # The ledger is away for three hundred tasks.
        assert worker(env | {"DATAML_LEDGER_DSN": f"postgresql://u@127.0.0.1:{port}/x"}, 400, 700) == 0
        assert spool.waiting() == 600
        # A worker is killed after its commit; its task is run again.
        spool.note_up()
        assert worker(env, 700, 701, kill=True) == -signal.SIGKILL
        assert worker(env, 700, 1000) == 0
        told = emptied(env)
        assert set(told["unreachable"]) == {"marquez", "other"}
    with PostgresLedger.connect(ledger_dsn) as ledger:
        ledger.connection.execute("UPDATE dataml.lineage_backend SET retry_at = NULL, failures = 0")
        assert {one["pending"] for one in ledger.delivery.backends()} == {2000}
    with receiver() as marquez, receiver(batch=True) as other:
        env = environment(ledger_dsn, spool.folder, {"marquez": marquez.url, "other": other.url})
        assert killed_three_times(env, marquez, 300) == 3
        emptied(env)
        whole = {identity(one) for one in runs(1000)}
        for backend in (marquez, other):
            assert set(backend.counts()) == whole
            assert in_order(backend.ids())
    assert facts(ledger_dsn) == {"events": 2000, "delivered": 4000, "open": 0}
    assert_whole_graph(ledger_dsn, 1000)


def assert_whole_graph(dsn: str, count: int) -> None:
    """Each task read what the one before wrote: every run, asset, version and edge is there, and once."""
    with PostgresLedger.connect(dsn) as ledger:
        rows = ledger.connection.rows
        told = rows("SELECT task_id, ol_state FROM dataml.run ORDER BY run_key")
        assert sorted((row["task_id"], row["ol_state"]) for row in told) == sorted(
            (f"job{n}", "COMPLETE") for n in range(count)
        )
        found = rows("SELECT name FROM dataml.asset")
        assert sorted(row["name"] for row in found) == sorted(f"file//data/{n}" for n in range(count))
        versions = rows(
            """SELECT a.name, v.number, v.origin, r.task_id FROM dataml.version v
               JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)"""
        )
        assert sorted(tuple(row.values()) for row in versions) == sorted(
            (f"file//data/{n}", 1, "observed", f"job{n}") for n in range(count)
        )
        edges = rows(
            """SELECT s.name AS src, d.name AS dst, r.task_id FROM dataml.edge e
               JOIN dataml.version sv ON sv.version_id = e.src_id JOIN dataml.asset s ON s.asset_id = sv.asset_id
               JOIN dataml.version dv ON dv.version_id = e.dst_id JOIN dataml.asset d ON d.asset_id = dv.asset_id
               JOIN dataml.run r ON r.run_key = e.run_key"""
        )
        flows = [(f"file//data/{n - 1}", f"file//data/{n}", f"job{n}") for n in range(1, count)]
        assert sorted(tuple(row.values()) for row in edges) == sorted(flows)
        named = rows(
            """SELECT s.name AS src, d.name AS dst, j.name, e.runs FROM dataml.asset_edge e
               JOIN dataml.asset s ON s.asset_id = e.src JOIN dataml.asset d ON d.asset_id = e.dst
               JOIN dataml.job j USING (job_id)"""
        )
        assert sorted(tuple(row.values()) for row in named) == sorted((*flow, 1) for flow in flows)


def test_an_interrupted_loop_ends_by_itself(ledger_dsn: str, tmp_path: Path) -> None:
    with receiver() as marquez:
        env = environment(ledger_dsn, tmp_path / "spool", {"marquez": marquez.url})
        with PostgresLedger.connect(ledger_dsn) as ledger:
            ledger.events.add([record(one, source="operator") for one in runs(3)])
        process = drainer(env, "--loop", "--pause", "0.05", "--json")
        until(lambda: len(marquez.events) == 6, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["delivered"] == {"marquez": 6}


def test_the_loop_outlives_a_ledger_that_goes_away(
    postgres_server: str, ledger_dsn: str, tmp_path: Path
) -> None:
    with receiver() as marquez:
        env = environment(ledger_dsn, tmp_path / "spool", {"marquez": marquez.url})
        process = drainer(env, "--loop", "--pause", "0.05")
        try:
            for turn in range(2):
                with PostgresLedger.connect(ledger_dsn) as ledger:
                    ledger.events.add([record(one, source="operator") for one in runs(2, first=2 * turn)])
                until(lambda turn=turn: len(marquez.counts()) == 4 * (turn + 1), process)  # type: ignore[misc]
                with psycopg.connect(postgres_server, autocommit=True) as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                        [conninfo_to_dict(ledger_dsn)["dbname"]],
                    )
        finally:
            process.kill()
            process.communicate()

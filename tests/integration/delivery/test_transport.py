"""The transport: into the ledger, else into the spool, and soon back at work."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from openlineage.client import OpenLineageClient  # noqa: TID253 - what the client does is what is tested
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState  # noqa: TID253 - what the client does is what is tested
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml import emission
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.spool import EventSpool
from airflow_dataml.core.errors import LedgerError, SpecError
from airflow_dataml.core.recorded import record
from airflow_dataml.hooks.lineage import LineageHook
from airflow_dataml.transport import OutboxConfig, OutboxTransport
from tests.integration.delivery.receivers import receiver, refused_port, run_event, runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Each test finds out by itself where the ledger is."""
    emission.known.addresses.clear()
    emission.known.task = None
    yield
    emission.known.addresses.clear()
    emission.known.task = None


@pytest.fixture
def spool(tmp_path: Path) -> EventSpool:
    return EventSpool(tmp_path / "spool")


@pytest.fixture
def reachable(ledger_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    info = conninfo_to_dict(ledger_dsn)
    fields = {"conn_type": "dataml", "host": info["host"], "login": info["user"], "schema": info["dbname"]}
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", json.dumps(fields))
    return ledger_dsn


def down(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", f"postgres://u:s3cret@127.0.0.1:{port}/ledger")


def client(spool: EventSpool, **how: Any) -> OpenLineageClient:
    ours = {"type": "airflow_dataml.transport.OutboxTransport", "spool_dir": str(spool.folder)} | how
    return OpenLineageClient(config={"transport": ours})


def event(number: int = 0, state: RunState = RunState.START) -> RunEvent:
    plain = run_event(number, state.value)
    return RunEvent(
        eventType=state,
        eventTime=plain["eventTime"],
        run=Run(plain["run"]["runId"]),
        job=Job("test", f"job{number}"),
        producer="https://example.com/test",
    )


def kept(dsn: str) -> list[dict[str, Any]]:
    with PostgresLedger.connect(dsn) as ledger:
        return ledger.connection.rows("SELECT * FROM dataml.lineage_event ORDER BY event_id")


def test_an_event_is_in_the_ledger_when_emit_returns(reachable: str, spool: EventSpool) -> None:
    client(spool).emit(event())
    (row,) = kept(reachable)
    assert (row["source"], row["event_type"], row["state"]) == ("transport", "START", "new")
    assert row["payload"]["job"] == {"namespace": "test", "name": "job0", "facets": {}}
    assert row["ordering_key"] == f"run:{row['payload']['run']['runId']}"
    assert spool.is_empty()


def test_it_works_inside_a_composite(reachable: str, spool: EventSpool) -> None:
    ours = {"type": "airflow_dataml.transport.OutboxTransport", "spool_dir": str(spool.folder)}
    with receiver() as marquez:
        both = {"dataml": ours, "http": {"type": "http", "url": marquez.url}}
        OpenLineageClient(config={"transport": {"type": "composite", "transports": both}}).emit(event())
        assert len(marquez.events) == 1
    assert len(kept(reachable)) == 1


def test_a_mistyped_option_is_refused() -> None:
    with pytest.raises(ValueError, match="does not know 'spooldir'"):
        OutboxConfig.from_dict({"type": "x", "spooldir": "/tmp"})  # noqa: S108


def test_the_same_event_twice_is_kept_once(reachable: str, spool: EventSpool) -> None:
    ours = client(spool)
    for _ in range(2):
        ours.emit(event())
    assert len(kept(reachable)) == 1


def test_the_ledger_by_its_own_variable(
    ledger_dsn: str, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAML_LEDGER_DSN", ledger_dsn)
    client(spool).emit(event())
    assert len(kept(ledger_dsn)) == 1


def test_another_connection_by_configuration(
    ledger_dsn: str, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = conninfo_to_dict(ledger_dsn)
    fields = {"conn_type": "postgres", "host": info["host"], "login": info["user"], "schema": info["dbname"]}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(fields))
    client(spool, conn_id="other").emit(event())
    assert len(kept(ledger_dsn)) == 1


def test_a_dead_ledger_costs_one_try_and_nothing_is_lost(
    reachable: str, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = os.environ["AIRFLOW_CONN_DATAML_DEFAULT"]
    with refused_port() as port:
        down(monkeypatch, port)
        ours = client(spool)
        for number in range(26):
            ours.emit(event(number))
    assert spool.waiting() == 26
    assert spool.is_down()
    assert kept(reachable) == []

    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", alive)
    emission.known.addresses.clear()
    spool.note_up()
    client(spool).emit(event(26))
    assert spool.is_empty()
    rows = kept(reachable)
    assert [row["payload"]["job"]["name"] for row in rows] == [f"job{n}" for n in range(27)], "oldest first"


def test_a_ledger_that_hangs_is_left_after_seconds(
    spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        down(monkeypatch, mute.getsockname()[1])
        ours = client(spool)
        began = time.monotonic()
        ours.emit(event(0))
        first = time.monotonic() - began
        ours.emit(event(1))
        assert time.monotonic() - began - first < 1, "it is not asked again at once"
    assert first < 6
    assert spool.waiting() == 2


def test_a_locked_table_does_not_hold_an_event(reachable: str, spool: EventSpool) -> None:
    with PostgresLedger.connect(reachable) as ledger, ledger.transaction():
        ledger.connection.execute("LOCK TABLE dataml.lineage_event IN ACCESS EXCLUSIVE MODE")
        client(spool).emit(event())
        assert spool.waiting() == 1


def test_an_unmigrated_ledger_is_as_good_as_none(
    postgres_dsn: str, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAML_LEDGER_DSN", postgres_dsn)
    client(spool).emit(event())
    assert (spool.waiting(), spool.refused()) == (1, 0)


def test_without_any_connection_events_wait(spool: EventSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DATAML_DEFAULT", raising=False)
    client(spool).emit(event())
    assert spool.waiting() == 1


def test_when_the_disk_is_full_too_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = EventSpool(tmp_path / "spool", min_free_bytes=1 << 60)
    with refused_port() as port:
        down(monkeypatch, port)
        with pytest.raises(LedgerError, match=r"is LOST.*bytes are free.*spool_dir"):
            emission.keep([record(run_event(1, "START"), source="transport")], conn_id=None, spool=full)


def test_no_secret_is_told(spool: EventSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda entry: lines.append(entry.getMessage())  # type: ignore[method-assign]
    emission.log.addHandler(handler)
    try:
        with refused_port() as port:
            down(monkeypatch, port)
            client(spool).emit(event())
    finally:
        emission.log.removeHandler(handler)
    assert "goes to the spool" in lines[0]
    told = [*lines, repr(emission.known), repr(OutboxTransport(OutboxConfig()))]
    assert not any("s3cret" in text for text in told)


def test_what_postgres_cannot_hold_is_kept_without_it(reachable: str, spool: EventSpool) -> None:
    odd = run_event(0, "START")
    odd["job"]["facets"] = {"sql": {"query": "select '\x00\ud800'", "mean": float("nan")}}
    emission.keep([record(odd, source="transport")], conn_id=None, spool=spool)
    (row,) = kept(reachable)
    assert row["payload"]["job"]["facets"]["sql"] == {"query": "select '\ufffd\ufffd'", "mean": None}


def test_an_event_the_ledger_refuses_is_set_aside_and_holds_up_no_other(
    reachable: str, spool: EventSpool
) -> None:
    good, bad = (record(run_event(n, "START"), source="transport") for n in (1, 2))
    path = spool.put(bad)
    path.write_text(path.read_text().replace('"transport"', '"nobody"'))
    spool.put(good)
    with PostgresLedger.connect(reachable) as ledger:
        assert spool.drain(ledger.events.add) == 1
    assert (spool.waiting(), spool.refused()) == (0, 1)
    assert len(kept(reachable)) == 1


def test_what_a_process_wrote_before_it_was_killed_is_taken_back(reachable: str, spool: EventSpool) -> None:
    whole = spool.put(record(run_event(1, "START"), source="transport"))
    aside = spool.folder / f"{whole.name}.tmp"
    whole.rename(aside)
    (spool.folder / "half.json.tmp").write_text('{"event_key": ')
    for path in spool.folder.glob("*.tmp"):
        os.utime(path, (1, 1))
    spool.put(record(run_event(2, "START"), source="transport"))
    with PostgresLedger.connect(reachable) as ledger:
        assert spool.drain(ledger.events.add) == 2
    assert not list(spool.folder.glob("*.tmp"))


def test_two_processes_do_not_drain_one_spool_at_once(reachable: str, spool: EventSpool) -> None:
    spool.put(record(run_event(1, "START"), source="transport"))
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        inside.set()
        go_on.wait(10)

    thread = threading.Thread(target=spool.drain, args=(slow,))
    thread.start()
    assert inside.wait(10)
    with PostgresLedger.connect(reachable) as ledger:
        assert spool.drain(ledger.events.add) == 0
    go_on.set()
    thread.join()
    assert spool.is_empty()


def test_a_worker_killed_after_its_commit_registers_once(reachable: str, spool: EventSpool) -> None:
    """Killed between the ledger's commit and the removal of the file, at the worst place."""
    events = [record(one, source="transport") for one in runs(5)]
    for one in events:
        spool.put(one)
    child = os.fork()
    if child == 0:
        with PostgresLedger.connect(reachable) as ledger:

            def write(batch: Any) -> None:
                ledger.events.add(batch)
                os.kill(os.getpid(), signal.SIGKILL)

            spool.drain(write)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert (spool.waiting(), len(kept(reachable))) == (10, 10)
    with PostgresLedger.connect(reachable) as ledger:
        spool.drain(ledger.events.add)
    assert (spool.waiting(), len(kept(reachable))) == (0, 10)


def test_the_task_is_known_by_the_event_and_by_its_process(reachable: str, spool: EventSpool) -> None:
    class Ti:
        dag_id, run_id, task_id, map_index, try_number, id = "d", "r", "t", 3, 2, "0-1-2"

    emission.note_task(Ti)
    plain, said, other, of_run = (run_event(n, "START") for n in range(4))
    facet = {"dag": {"dag_id": "d"}, "dagRun": {"run_id": "r"}, "task": {"task_id": "t"}}
    said["run"]["facets"] = {"airflow": facet | {"taskInstance": {"try_number": 2, "map_index": 3}}}
    other["run"]["facets"] = {
        "airflow": facet | {"task": {"task_id": "u"}, "taskInstance": {"try_number": 1}}
    }
    of_run["run"]["facets"] = {"airflowDagRun": {"dag": {"dag_id": "d"}, "dagRun": {"run_id": "r"}}}
    ours = OutboxTransport(OutboxConfig(spool_dir=str(spool.folder)))
    for one in (plain, said, other, of_run):
        ours.emit(one)  # type: ignore[arg-type]  # the client's serializer takes plain objects too
    whole = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 3, "try_number": 2, "ti_id": "0-1-2"}
    expected = [
        whole,
        whole,
        {"dag_id": "d", "run_id": "r", "task_id": "u", "map_index": -1, "try_number": 1},
        None,
    ]
    assert [row["task"] for row in kept(reachable)] == expected


def test_the_task_is_known_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DAG_ID": "d", "DAG_RUN_ID": "r", "TASK_ID": "t", "TRY_NUMBER": "2"}.items():
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    assert emission.task_known() == {
        "dag_id": "d",
        "run_id": "r",
        "task_id": "t",
        "try_number": 2,
        "map_index": -1,
    }


def test_events_by_hand_are_kept_like_the_others(
    reachable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATAML__SPOOL_DIR", str(tmp_path / "spool"))
    told = LineageHook().emit(runs(2))
    assert told["kept"] == "ledger"
    assert told["events"] == 4
    assert [row["source"] for row in kept(reachable)] == ["operator"] * 4
    assert all(row["task"] is None for row in kept(reachable))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "give one event"),
        ("{}", "give one event"),
        ([run_event(0, "START"), {"eventTime": "never"}], "event 1 of 2"),
    ],
    ids=["none", "text", "one is wrong"],
)
def test_events_by_hand_are_read_first(reachable: str, events: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        LineageHook().emit(events)
    assert kept(reachable) == []


def waiting_sessions(dsn: str) -> int:
    with PostgresLedger.connect(dsn) as ledger:
        return int(
            ledger.connection.scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'airflow-dataml lineage'"
            )
        )


def test_what_is_not_waited_for_any_more_leaves_the_ledger(reachable: str, spool: EventSpool) -> None:
    with PostgresLedger.connect(reachable) as ledger, ledger.transaction():
        ledger.connection.execute("LOCK TABLE dataml.lineage_event IN ACCESS EXCLUSIVE MODE")
        client(spool).emit(event())
        deadline = time.monotonic() + 20
        while waiting_sessions(reachable) and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        assert waiting_sessions(reachable) == 0, "the lock is still held, and nobody queues for it"
    assert not [one for one in threading.enumerate() if one.name == "dataml-emit"]


def test_a_child_of_a_long_task_believes_what_its_parent_found(
    ledger_dsn: str, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from setproctitle import getproctitle, setproctitle

    monkeypatch.delenv("AIRFLOW_CONN_DATAML_DEFAULT", raising=False)
    emission.known.addresses["dataml_default"] = ({"dsn": ledger_dsn}, time.monotonic() - 1)
    title = getproctitle()
    setproctitle(f"{title} - OpenLineage - child")
    try:
        client(spool).emit(event())
    finally:
        setproctitle(title)
    assert (len(kept(ledger_dsn)), spool.waiting()) == (1, 0)


def test_what_a_killed_process_left_is_taken_back_though_nothing_else_waits(
    reachable: str, spool: EventSpool
) -> None:
    whole = spool.put(record(run_event(1, "START"), source="transport"))
    aside = spool.folder / f"{whole.name}.tmp"
    whole.rename(aside)
    os.utime(aside, (1, 1))
    with PostgresLedger.connect(reachable) as ledger:
        assert spool.drain(ledger.events.add) == 1


def test_a_file_that_cannot_be_read_holds_up_no_other(reachable: str, spool: EventSpool) -> None:
    unreadable = spool.put(record(run_event(1, "START"), source="transport"))
    unreadable.unlink()
    unreadable.mkdir()
    spool.put(record(run_event(2, "START"), source="transport"))
    with PostgresLedger.connect(reachable) as ledger:
        assert spool.drain(ledger.events.add) == 1
    assert spool.waiting() == 1, "it stays where it is"


def test_a_clock_that_was_set_back_does_not_keep_the_ledger_unasked(spool: EventSpool) -> None:
    spool.note_down()
    assert spool.is_down()
    later = time.time() + 3600
    os.utime(spool.folder / "down", (later, later))
    assert not spool.is_down()

"""Operators, trigger and commands on lineage events, over connections as Airflow has them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml import emission
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.cli.main import main
from airflow_dataml.core.errors import GateError, LedgerError, SpecError
from airflow_dataml.operators.lineage import LineageDrainOperator, LineageEmitOperator
from airflow_dataml.triggers.drain import LineageDrainTrigger
from tests.integration.delivery.receivers import receiver, refused_port, run_event, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTEXT: Any = {}


@pytest.fixture
def world(
    ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Connections and configuration of a deployment; called with its backends, gives the ledger's DSN."""
    info = conninfo_to_dict(ledger_dsn)
    fields = {"conn_type": "dataml", "host": info["host"], "login": info["user"], "schema": info["dbname"]}
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", json.dumps(fields))
    monkeypatch.setenv("AIRFLOW__DATAML__SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.delenv("DATAML_LEDGER_DSN", raising=False)

    def make(backends: dict[str, Any]) -> str:
        monkeypatch.setenv("AIRFLOW__DATAML__LINEAGE_BACKENDS", json.dumps(backends))
        return ledger_dsn

    emission.known.addresses.clear()
    yield make
    emission.known.addresses.clear()


def http(url: str) -> dict[str, Any]:
    return {"type": "http", "url": url, "timeout": 1}


def emit(events: Any) -> Any:
    return LineageEmitOperator(task_id="tell", events=events).execute(CONTEXT)


def drain(**how: Any) -> Any:
    return LineageDrainOperator(task_id="drain", **how).execute(CONTEXT)


def test_what_is_told_is_drained(world: Callable[..., str]) -> None:
    with receiver() as marquez:
        dsn = world({"marquez": http(marquez.url)})
        assert emit(runs(3)) == {"events": 6, "kept": "ledger", "problems": []}
        assert emit(run_event(0, "START"))["events"] == 1
        done = drain()
        assert done["delivered"] == {"marquez": 6}
        assert done["projected"] == 6
        assert len(marquez.events) == 6
    with PostgresLedger.connect(dsn) as ledger:
        assert ledger.connection.scalar("SELECT count(*) FROM dataml.asset WHERE source = 'observed'") == 3


def test_what_is_no_event_fails_the_task(world: Callable[..., str]) -> None:
    world({})
    with pytest.raises(SpecError, match="event 0 of 1 cannot be read"):
        emit({"hello": 1})


def test_a_dead_backend_fails_no_task(world: Callable[..., str]) -> None:
    with refused_port() as port:
        world({"gone": http(f"http://127.0.0.1:{port}")})
        emit(runs(1))
        assert "Connection" in drain()["unreachable"]["gone"]


def test_dead_letters_fail_the_task_when_asked(world: Callable[..., str]) -> None:
    with receiver(poison=frozenset({"job0"})) as marquez:
        world({"marquez": http(marquez.url)})
        emit(runs(1))
        with pytest.raises(GateError, match="2 by marquez"):
            drain(on_dead="fail")


def test_a_backend_by_its_connection(world: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as marquez:
        conn = {
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": marquez.port,
            "password": "t0ken",
            "extra": {"endpoint": "v2/lineage"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_MARQUEZ", json.dumps(conn))
        dsn = world({"marquez": {"conn_id": "marquez"}})
        emit(runs(1))
        assert drain()["delivered"] == {"marquez": 2}
        assert marquez.headers[-1]["Authorization"] == "Bearer t0ken"
    with PostgresLedger.connect(dsn) as ledger:
        (backend,) = ledger.delivery.backends()
    assert backend["target"] == f"http://127.0.0.1:{marquez.port}/v2/lineage"
    assert "t0ken" not in str(backend)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"a": {"type": "noop"}}, "does not say whether an event arrived"),
        ({"a": {"url": "http://x"}}, "names no 'type'"),
        ({"a": {"type": "http", "url": "http://x", "batch": "no"}}, "has batch='no'"),
        ({"a": {"type": "http", "url": "http://x", "concurrency": 0}}, "has concurrency=0"),
        ({"a": {"type": "file"}}, "does not understand its configuration"),
        ({"a": {"type": "http", "conn_id": "nowhere"}}, "'nowhere' of lineage backend 'a' is not defined"),
    ],
    ids=["noop", "no type", "batch", "concurrency", "transport", "connection"],
)
def test_a_wrong_configuration_is_told(world: Callable[..., str], config: dict[str, Any], words: str) -> None:
    world(config)
    with pytest.raises(SpecError, match=words):
        drain()


def test_it_drains_in_the_triggerer(world: Callable[..., str]) -> None:
    with receiver() as marquez:
        world({"marquez": http(marquez.url)})
        emit(runs(3))
        operator = LineageDrainOperator(task_id="drain", deferrable=True, seconds=30)
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(CONTEXT)
        path, arguments = deferred.value.trigger.serialize()
        assert path == "airflow_dataml.triggers.drain.LineageDrainTrigger"
        assert arguments["until_empty"] is True
        trigger = LineageDrainTrigger(**arguments | {"poll_interval": 0.01})
        (event,) = asyncio.run(events_of(trigger, 1))
        assert operator.resume(CONTEXT, event)["delivered"] == {"marquez": 6}


@pytest.mark.parametrize(
    ("event", "error"),
    [({"status": "unanswered", "message": "x"}, LedgerError), ({"status": "error", "message": "x"}, SpecError), (None, SpecError)],
    ids=["ledger", "mistake", "nothing"],
)  # fmt: skip
def test_the_triggerer_s_word_is_checked(event: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        LineageDrainOperator(task_id="drain").resume(CONTEXT, event)


async def events_of(trigger: LineageDrainTrigger, count: int) -> list[Any]:
    found = []
    stream = trigger.run()
    async for event in stream:
        found.append(event.payload)
        if len(found) == count:
            break
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    return found


def test_a_watcher_fires_on_dead_letters_alone(world: Callable[..., str]) -> None:
    with receiver(poison=frozenset({"job1"})) as marquez:
        dsn = world({"marquez": http(marquez.url)})
        emit(runs(2))
        (event,) = asyncio.run(asyncio.wait_for(events_of(LineageDrainTrigger(poll_interval=0.02), 1), 30))
        with PostgresLedger.connect(dsn) as ledger:
            dead = [letter["event_id"] for letter in ledger.delivery.dead()]
        assert set(event["dead"]) <= set(dead)
        assert event["backend"] == "marquez"
        assert event["count"] in (1, 2)


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = main([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_commands(world: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    with receiver(poison=frozenset({"job1"})) as marquez:
        dsn = world({"marquez": http(marquez.url)})
        emit(runs(3))
        code, done = told(capsys, "drain", "--once")
        assert (code, done["delivered"]["marquez"], len(done["dead"]["marquez"])) == (1, 4, 2)
        code, state = told(capsys, "delivery", "backends")
        assert (code, state["backends"][0]["dead"], state["unfanned"]) == (1, 2, 0)
        _, letters = told(capsys, "delivery", "dead", "--backend", "marquez")
        assert [letter["job_name"] for letter in letters] == ["job1", "job1"]
        marquez.poison = frozenset()
        assert told(capsys, "delivery", "pause", "marquez")[0] == 0
        assert (
            told(capsys, "delivery", "replay", "marquez", "--event", str(letters[0]["event_id"]))[1]["events"]
            == 1
        )
        assert told(capsys, "drain")[1]["delivered"] == {"marquez": 0}
        assert told(capsys, "delivery", "resume", "marquez")[0] == 0
        assert told(capsys, "delivery", "replay", "marquez")[1]["events"] == 1
        assert told(capsys, "drain")[1]["delivered"] == {"marquez": 2}
        assert told(capsys, "delivery", "backends")[0] == 0
        assert told(capsys, "delivery", "replay", "marquez", "--since", "2020-01-01")[1]["events"] == 6
        told(capsys, "drain")
        assert set(marquez.counts().values()) == {2}
        assert told(capsys, "delivery", "purge", "--days", "0")[1] == {"purged": 6}
    with PostgresLedger.connect(dsn) as ledger:
        assert ledger.audit.verify()[1] is None
        actions = ledger.connection.rows(
            "SELECT action FROM dataml.audit WHERE action LIKE 'delivery.%' ORDER BY 1"
        )
        assert {row["action"] for row in actions} == {
            "delivery.replay",
            "delivery.paused",
            "delivery.active",
            "delivery.purge",
        }
    assert main(["delivery", "replay", "nobody"]) == 1
    assert "Known: marquez" in capsys.readouterr().err


def test_the_commands_in_words(world: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    with refused_port() as port:
        world({"gone": http(f"http://u:s3cret@127.0.0.1:{port}")})
        emit(runs(1))
        assert main(["drain"]) == 0
        assert main(["delivery", "backends"]) == 0
    text = capsys.readouterr().out
    assert "gone takes nothing now" in text
    assert f"http://127.0.0.1:{port}/api/v1/lineage" in text
    assert "s3cret" not in text


def test_the_spool_is_drained_by_command(
    world: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_dataml.adapters.spool import EventSpool
    from airflow_dataml.core.recorded import record

    world({})
    spool = EventSpool(tmp_path / "elsewhere")
    for one in runs(2):
        spool.put(record(one, source="transport"))
    code, done = told(capsys, "drain", "--spool", str(spool.folder))
    assert (code, done["spooled"], spool.waiting()) == (0, 4, 0)


def test_a_drain_that_is_called_off_lets_the_triggerer_end(world: Callable[..., str]) -> None:
    async def called_off(arrived: Callable[[], int]) -> None:
        trigger = LineageDrainTrigger(until_empty=True, poll_interval=20)
        task = asyncio.create_task(events_of(trigger, 1))
        while arrived() < 6:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with receiver() as marquez:
        world({"marquez": http(marquez.url)})
        emit(runs(3))
        began = time.monotonic()
        # It returns when the loop's own threads have ended.
        asyncio.run(called_off(lambda: len(marquez.events)))
        assert time.monotonic() - began < 15

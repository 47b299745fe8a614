"""The drainer against backends that behave, and those that do not."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.openlineage import open_backends
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.spool import EventSpool
from airflow_dataml.core.delivery import parse_backends
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.recorded import record
from airflow_dataml.draining import projection
from airflow_dataml.steps.drain import Drainer
from tests.integration.delivery.receivers import identity, in_order, receiver, refused_port, run_event, runs

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.drained import Drained


def keep(dsn: str, events: list[dict[str, Any]], *, source: str = "operator") -> int:
    with PostgresLedger.connect(dsn) as ledger:
        return ledger.events.add([record(event, source=source) for event in events])


def make(dsn: str, backends: dict[str, Any], **how: Any) -> Drainer:
    return Drainer(
        open_ledger=lambda: PostgresLedger.connect(dsn),
        backends=open_backends(parse_backends(json.dumps(backends))),
        **how,
    )


def drain(dsn: str, backends: dict[str, Any], **how: Any) -> Drained:
    work = make(dsn, backends, **how)
    try:
        return work.round()
    finally:
        work.close()


def http(url: str, **how: Any) -> dict[str, Any]:
    return {"type": "http", "url": url, "timeout": 1.0} | how


def lag(dsn: str) -> dict[str, dict[str, Any]]:
    with PostgresLedger.connect(dsn) as ledger:
        return {backend["name"]: backend for backend in ledger.delivery.backends()}


def soon(dsn: str) -> None:
    """Let everything that was put off be due."""
    with PostgresLedger.connect(dsn) as ledger:
        ledger.connection.execute("UPDATE dataml.lineage_backend SET retry_at = NULL")
        ledger.connection.execute("UPDATE dataml.lineage_delivery SET next_at = now()")


@pytest.mark.parametrize("batch", [True, False], ids=["batch offered", "one by one"])
def test_every_event_arrives_once_and_in_order(ledger_dsn: str, batch: bool) -> None:
    keep(ledger_dsn, runs(150))
    with receiver(batch=batch) as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert done.delivered == {"marquez": 300}
    assert set(marquez.counts().values()) == {1}
    assert in_order(marquez.ids())
    assert marquez.requests == (3 if batch else 301)
    again = drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert (again.delivered, again.fanned) == ({"marquez": 0}, 0)


def test_what_is_kept_arrives_as_it_came(ledger_dsn: str) -> None:
    event = run_event(1, "START")
    event["run"]["facets"] = {"ours": {"_producer": "x", "_schemaURL": "y", "odd": [1, {"a": "ü"}]}}
    keep(ledger_dsn, [event])
    with receiver() as marquez:
        drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert marquez.events == [event]


def test_the_same_event_twice_is_one(ledger_dsn: str) -> None:
    assert keep(ledger_dsn, runs(2)) == 4
    assert keep(ledger_dsn, runs(3)) == 2


def test_a_dead_backend_slows_no_other(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(20))
    with receiver() as good, receiver(answer=0) as hung, refused_port() as port:
        done = drain(
            ledger_dsn,
            {"good": http(good.url), "hung": http(hung.url), "gone": http(f"http://127.0.0.1:{port}")},
        )
        assert len(good.events) == 40
        assert hung.requests <= 4
    assert done.delivered == {"good": 40, "hung": 0, "gone": 0}
    assert "Timeout" in done.unreachable["hung"]
    assert "Connection" in done.unreachable["gone"]
    state = lag(ledger_dsn)
    assert (state["gone"]["pending"], state["gone"]["failures"], state["good"]["pending"]) == (40, 1, 0)
    assert state["gone"]["retry_at"] is not None


def test_a_dead_backend_has_everything_when_it_is_back(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(20))
    with receiver(answer=503) as marquez:
        for _ in range(3):
            drain(ledger_dsn, {"marquez": http(marquez.url)})
            soon(ledger_dsn)
        assert lag(ledger_dsn)["marquez"]["failures"] == 3
        marquez.answer = 200
        done = drain(ledger_dsn, {"marquez": http(marquez.url)})
        assert done.delivered == {"marquez": 40}
        assert in_order(marquez.ids())
    assert lag(ledger_dsn)["marquez"]["failures"] == 0


def test_back_off_grows_and_is_kept(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(1))
    with refused_port() as port:
        target = {"gone": http(f"http://127.0.0.1:{port}")}
        assert "gone" in drain(ledger_dsn, target).unreachable
        assert drain(ledger_dsn, target).unreachable == {}, "it is not asked before its time"
    assert lag(ledger_dsn)["gone"]["failures"] == 1


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_is_refused_is_a_dead_letter_with_the_reason(ledger_dsn: str, status: int) -> None:
    keep(ledger_dsn, runs(3))
    with receiver(poison=frozenset({"job1"}), poison_status=status) as marquez:
        target = {"marquez": http(marquez.url)}
        done = drain(ledger_dsn, target)
        assert (done.delivered["marquez"], len(done.dead["marquez"])) == (4, 2)
        with PostgresLedger.connect(ledger_dsn) as ledger:
            letters = ledger.delivery.dead()
            assert {letter["job_name"] for letter in letters} == {"job1"}
            assert all(
                f"HTTP {status}" in letter["last_error"] and "poison" in letter["last_error"]
                for letter in letters
            )
            marquez.poison = frozenset()
            assert ledger.delivery.replay("marquez", event_id=letters[0]["event_id"]) == 1
        assert drain(ledger_dsn, target).delivered == {"marquez": 1}
        with PostgresLedger.connect(ledger_dsn) as ledger:
            assert ledger.delivery.replay("marquez") == 1
        drain(ledger_dsn, target)
        assert set(marquez.counts().values()) == {1}
        assert len(marquez.events) == 6


def test_a_batch_tells_item_by_item_what_was_refused(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(3))
    with receiver(batch=True, poison=frozenset({"job1"})) as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert (done.delivered["marquez"], len(done.dead["marquez"])) == (4, 2)


def test_an_end_waits_for_a_start_that_was_put_off(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(3))
    with receiver(poison=frozenset({"job1"}), poison_status=500) as marquez:
        target = {"marquez": http(marquez.url)}
        done = drain(ledger_dsn, target)
        assert (done.delivered["marquez"], done.retried["marquez"], done.dead) == (4, 1, {})
        marquez.poison = frozenset()
        soon(ledger_dsn)
        drain(ledger_dsn, target)
        assert in_order(marquez.ids())
        assert len(marquez.events) == 6


def test_faults_only_kill_where_others_are_taken(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(1))
    with receiver(poison=frozenset({"job0"}), poison_status=500) as marquez:
        target = {"marquez": http(marquez.url)}
        for _ in range(13):
            drain(ledger_dsn, target)
            soon(ledger_dsn)
        assert lag(ledger_dsn)["marquez"]["dead"] == 0, "nothing was taken: it may be the backend"
        keep(ledger_dsn, runs(1, first=1))
        for _ in range(2):
            drain(ledger_dsn, target)
            soon(ledger_dsn)
    assert lag(ledger_dsn)["marquez"]["dead"] > 0


def test_a_backend_that_answers_everything_with_a_fault_is_left_alone(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(50))
    with receiver(answer=500) as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url, batch=False)})
    assert "HTTP 500" in done.unreachable["marquez"]
    assert marquez.requests <= 16


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_closed_door_kills_no_event(ledger_dsn: str, status: int) -> None:
    keep(ledger_dsn, runs(5))
    with receiver(answer=status) as marquez:
        target = {"marquez": http(marquez.url)}
        done = drain(ledger_dsn, target)
        assert done.dead == {}
        assert f"HTTP {status}" in done.unreachable["marquez"]
        marquez.answer = 200
        soon(ledger_dsn)
        assert drain(ledger_dsn, target).delivered == {"marquez": 10}


def test_a_slow_backend_is_used_side_by_side(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(16))
    with receiver(slow_s=0.05) as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url, batch=False, concurrency=8)})
    assert done.delivered == {"marquez": 32}
    assert in_order(marquez.ids())


def test_drainers_work_together(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(200))
    with receiver() as marquez:
        target = {"marquez": http(marquez.url, batch=False)}
        threads = [threading.Thread(target=drain, args=(ledger_dsn, target)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drain(ledger_dsn, target)
    assert len(marquez.events) == 400
    assert set(marquez.counts().values()) == {1}
    assert in_order(marquez.ids())


def test_an_end_that_came_before_its_start_waits_a_little(ledger_dsn: str) -> None:
    start, end = runs(1)
    keep(ledger_dsn, [end], source="transport")
    with receiver() as marquez:
        target = {"marquez": http(marquez.url)}
        assert drain(ledger_dsn, target).delivered == {"marquez": 0}
        keep(ledger_dsn, [start], source="transport")
        assert drain(ledger_dsn, target).delivered == {"marquez": 1}
        soon(ledger_dsn)
        drain(ledger_dsn, target)
    assert marquez.ids() == [identity(start), identity(end)]


def test_a_late_start_overtakes_its_end(ledger_dsn: str) -> None:
    start, end = runs(1)
    keep(ledger_dsn, [end])
    keep(ledger_dsn, [start])
    with receiver() as marquez:
        drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert marquez.ids() == [identity(start), identity(end)]


def test_the_loop_drains_until_it_is_stopped(ledger_dsn: str, tmp_path: Path) -> None:
    spool = EventSpool(tmp_path / "spool")
    stop, told = threading.Event(), threading.Event()
    projected: list[int] = []

    def project(_: Any) -> int:
        projected.append(1)
        return 0

    with receiver() as marquez, refused_port() as port:
        target = {"marquez": http(marquez.url), "gone": http(f"http://127.0.0.1:{port}")}
        work = make(ledger_dsn, target, spool=spool, project=project)

        def on_news(news: Drained) -> None:
            if len(marquez.events) == 20 and "gone" in news.unreachable | seen:
                told.set()
            seen.update(news.unreachable)

        seen: dict[str, str] = {}
        thread = threading.Thread(target=work.run, args=(stop,), kwargs={"pause": 0.02, "on_news": on_news})
        thread.start()
        for event in runs(10):
            spool.put(record(event, source="transport"))
        assert told.wait(20)
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
        work.close()
    assert spool.is_empty()
    assert projected
    assert in_order(marquez.ids())


def test_credentials_reach_the_backend_and_stay_out_of_the_ledger(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(1))
    with receiver() as marquez:
        url = marquez.url.replace("http://", "http://user:s3cret@")
        auth = {"type": "api_key", "apiKey": "t0ken"}
        specs = parse_backends(json.dumps({"marquez": http(url, auth=auth)}))
        assert "t0ken" not in repr(specs)
        assert "t0ken" not in repr(open_backends(specs))
        drain(ledger_dsn, {"marquez": http(url, auth=auth)})
        assert marquez.headers[-1]["Authorization"] in ("Bearer t0ken", "Basic dXNlcjpzM2NyZXQ=")
    assert lag(ledger_dsn)["marquez"]["target"] == f"{marquez.url}/api/v1/lineage"
    with PostgresLedger.connect(ledger_dsn) as ledger:
        rows = ledger.connection.rows("SELECT b::text AS text FROM dataml.lineage_backend b")
    assert all("s3cret" not in row["text"] and "t0ken" not in row["text"] for row in rows)


def test_a_file_and_a_foreign_transport_take_events(ledger_dsn: str, tmp_path: Path) -> None:
    keep(ledger_dsn, runs(3))
    path = tmp_path / "events.jsonl"
    done = drain(
        ledger_dsn,
        {
            "file": {"type": "file", "log_file_path": str(path), "append": True},
            "console": {"type": "console"},
            "mine": {"type": "tests.integration.delivery.foreign.Remembering"},
        },
    )
    assert done.delivered == {"file": 6, "console": 6, "mine": 6}
    assert [identity(json.loads(line)) for line in path.read_text().splitlines()] == [
        identity(e) for e in runs(3)
    ]
    from tests.integration.delivery.foreign import Remembering

    assert [event.run.runId for event in Remembering.seen[-6:]] == [
        event["run"]["runId"] for event in runs(3)
    ]


def test_a_backend_no_longer_configured_is_set_aside(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(1))
    with receiver() as marquez, refused_port() as port:
        both = {"marquez": http(marquez.url), "gone": http(f"http://127.0.0.1:{port}")}
        drain(ledger_dsn, both)
        drain(ledger_dsn, {"marquez": both["marquez"]})
        assert lag(ledger_dsn)["gone"]["state"] == "removed"
        drain(ledger_dsn, {})
        assert lag(ledger_dsn)["marquez"]["state"] == "active", (
            "a drainer without configuration knows nothing"
        )
        drain(ledger_dsn, both)
        assert lag(ledger_dsn)["gone"]["state"] == "active"


def test_purge_deletes_what_everybody_has(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(3))
    with receiver(poison=frozenset({"job1"})) as marquez:
        drain(ledger_dsn, {"marquez": http(marquez.url)})
    with PostgresLedger.connect(ledger_dsn) as ledger:
        assert ledger.delivery.purge(days=0) == 0, "the graph does not have them yet"
        ledger.connection.execute("UPDATE dataml.lineage_event SET state = 'stored'")
        assert ledger.delivery.purge(days=0) == 4
        assert len(ledger.delivery.dead()) == 2


def test_a_new_backend_is_given_the_past_on_request(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(2))
    with receiver() as first, receiver() as second:
        drain(ledger_dsn, {"first": http(first.url)})
        both = {"first": http(first.url), "second": http(second.url)}
        assert drain(ledger_dsn, both).delivered["second"] == 0
        with PostgresLedger.connect(ledger_dsn) as ledger:
            assert ledger.delivery.backfill("second", since="2020-01-01T00:00:00Z") == 4
        drain(ledger_dsn, both)
        assert (len(first.events), len(second.events)) == (4, 4)


@pytest.mark.parametrize(
    "said",
    [
        {"status": "partial_success", "summary": {"received": 2, "successful": 1, "failed": 1}},
        {"status": "partial_success", "failed_events": 1},
        {"status": "partial_success", "summary": {"failed": 1}, "failed_events": ["job1"]},
    ],
    ids=["a number alone", "no list", "no place"],
)
def test_an_answer_that_does_not_say_which_were_refused_loses_nothing(
    ledger_dsn: str, said: dict[str, Any]
) -> None:
    keep(ledger_dsn, [run_event(number, "START") for number in (0, 1)])
    with receiver(batch=True, batch_says=said, poison=frozenset({"job1"})) as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url)})
    assert (done.delivered["marquez"], len(done.dead["marquez"])) == (1, 1)


def test_an_event_of_a_job_with_any_name_holds_up_no_other(ledger_dsn: str) -> None:
    odd = run_event(0, "START") | {"run": {"runId": "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))}}
    keep(ledger_dsn, [odd, *runs(1, first=1)])
    with receiver() as marquez:
        assert drain(ledger_dsn, {"marquez": http(marquez.url)}).delivered == {"marquez": 3}


def test_what_postgres_has_no_room_for_is_refused_and_not_asked_for_again(
    ledger_dsn: str, tmp_path: Path
) -> None:
    spool = EventSpool(tmp_path / "spool")
    wrong = record(run_event(1, "START"), source="transport")
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))
    spool.put(replace(wrong, ordering_key=long))
    spool.put(record(run_event(2, "START"), source="transport"))
    with PostgresLedger.connect(ledger_dsn) as ledger:
        assert spool.drain(ledger.events.add) == 1
    assert (spool.waiting(), spool.refused()) == (0, 1)


def test_a_graph_that_cannot_be_written_holds_up_no_delivery(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(2))

    def project(_: Any) -> int:
        msg = "not understood"
        raise SpecError(msg)

    with receiver() as marquez:
        with pytest.raises(SpecError, match="not understood"):
            drain(ledger_dsn, {"marquez": http(marquez.url)}, project=project)
        assert len(marquez.events) == 4


def test_a_batch_of_refused_events_is_not_the_end_of_what_waits(ledger_dsn: str) -> None:
    wrong = [run_event(number, "START") | {"eventTime": "yesterday"} for number in range(2)]
    keep(ledger_dsn, [*wrong, *runs(1, first=2)])
    drain(ledger_dsn, {}, project=projection(batch=2))
    with PostgresLedger.connect(ledger_dsn) as ledger:
        states = ledger.connection.rows("SELECT state FROM dataml.lineage_event ORDER BY event_id")
    assert [row["state"] for row in states] == ["refused", "refused", "stored", "stored"]


class SpoolOfSomebodyElse:
    """A spool this user may not read."""

    def drain(self, write: Any, *, limit: int = 500, rounds: int = 1) -> int:
        raise PermissionError(13, "Permission denied")


def test_a_spool_that_cannot_be_read_holds_up_no_delivery(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(2))
    with receiver() as marquez:
        done = drain(ledger_dsn, {"marquez": http(marquez.url)}, spool=SpoolOfSomebodyElse())
    assert done.delivered == {"marquez": 4}


def test_a_drain_until_empty_ends_when_told(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(2))
    stop = threading.Event()
    with receiver() as marquez:
        work = make(ledger_dsn, {"marquez": http(marquez.url)})
        threading.Timer(0.5, stop.set).start()
        began = time.monotonic()
        done = work.until_empty(seconds=3600, pause=600, stop=stop)
        work.close()
    assert done.delivered == {"marquez": 4}
    assert time.monotonic() - began < 60


def test_a_batch_that_is_too_much_goes_one_by_one(ledger_dsn: str) -> None:
    keep(ledger_dsn, runs(2))
    with receiver(batch=True) as marquez:
        work = make(ledger_dsn, {"marquez": http(marquez.url)})
        assert work.round().delivered == {"marquez": 4}
        marquez.batch_hangs = True
        keep(ledger_dsn, runs(3, first=2))
        done = work.round()
        work.close()
    assert (done.delivered["marquez"], done.unreachable) == (6, {})


@pytest.mark.parametrize("concurrency", [4, 1], ids=["side by side", "one at a time"])
def test_an_event_a_backend_chokes_on_keeps_no_other_from_it(ledger_dsn: str, concurrency: int) -> None:
    keep(ledger_dsn, runs(3))
    with receiver(poison=frozenset({"job0"}), poison_status=0) as marquez:
        target = {"marquez": http(marquez.url, batch=False, concurrency=concurrency, timeout=0.5)}
        for _ in range(2):
            drain(ledger_dsn, target)
            with PostgresLedger.connect(ledger_dsn) as ledger:
                # It is time to ask the backend again, and nobody waited for longer.
                ledger.connection.execute(
                    "UPDATE dataml.lineage_delivery d SET next_at = next_at - (b.retry_at - now()) "
                    "FROM dataml.lineage_backend b WHERE b.retry_at IS NOT NULL AND d.state = 'pending'"
                )
                ledger.connection.execute("UPDATE dataml.lineage_backend SET retry_at = NULL")
    assert {event["job"]["name"] for event in marquez.events} == {"job1", "job2"}

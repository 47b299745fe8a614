"""The triggers: when they fire, in which order, and what a restart of the triggerer changes."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_dataml.assets import dataset
from airflow_dataml.core.errors import SpecError
from airflow_dataml.triggers.datasets import DatasetVersionEventTrigger, DatasetVersionTrigger
from tests.integration.triggers.proxy import proxied
from tests.integration.waiting_facts import Facts, connection_uri, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def trigger(poll_interval=60.0, conn_id="dataml_default", **said) -> DatasetVersionTrigger:
    return DatasetVersionTrigger(dataset="rides", dataml_conn_id=conn_id, poll_interval=poll_interval, **said)


async def first(waiting: Any) -> dict[str, Any]:
    async for event in waiting.run():
        return event.payload
    return {}


async def fires_after(facts: Facts, deed, **said) -> tuple[dict[str, Any], float]:
    """Let a trigger wait, do something, and return the event and the seconds until it came."""
    waiting = asyncio.create_task(first(trigger(**said)))
    await listening(facts)
    assert not waiting.done()
    began = time.monotonic()
    await asyncio.to_thread(deed)
    event = await asyncio.wait_for(waiting, 10)
    return event, time.monotonic() - began


async def listening(facts: Facts) -> None:
    """Wait until both connections stand and rest."""
    query = """SELECT count(*) FILTER (WHERE query LIKE 'LISTEN %%') = 1
                  AND count(*) FILTER (WHERE query LIKE '%%pg_notify%%' OR query LIKE '%%walk%%') = 1
                  AND bool_and(state = 'idle')
               FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%%triggerer'"""
    await until(lambda: facts.run(query))
    await asyncio.sleep(0.05)


class TestVersionTrigger:
    def test_what_is_there_is_found_at_once(self, facts: Facts):
        facts.version(key="2026-01", rows=7)
        event = asyncio.run(first(trigger(partition_key="2026-01")))
        assert event == {
            "status": "found",
            "dataset": "rides",
            "version": 1,
            "rows": 7,
            "partition_key": "2026-01",
            "fingerprint": "pg1-fact-1",
        }

    def test_a_publication_wakes_it_within_a_second(self, facts: Facts):
        event, seconds = asyncio.run(fires_after(facts, lambda: facts.version(key="2026-01")))
        assert event["version"] == 1
        assert seconds < 1

    def test_a_verdict_wakes_it_within_a_second(self, facts: Facts):
        made = facts.version()
        facts.check(made, "fail")
        event, seconds = asyncio.run(
            fires_after(facts, lambda: facts.check(made, "warn"), min_verdict="warn")
        )
        assert event["version"] == 1
        assert seconds < 1

    def test_it_waits_for_a_newer_one(self, facts: Facts):
        facts.version()
        event, _ = asyncio.run(fires_after(facts, facts.version, newer_than="rides@1"))
        assert event["version"] == 2

    def test_it_waits_for_a_fresh_one(self, facts: Facts):
        facts.version()
        facts.run("UPDATE dataml.version SET created_at = now() - interval '2 hours'")
        event, _ = asyncio.run(fires_after(facts, facts.version, max_age=3600))
        assert event["version"] == 2

    def test_a_branch_and_a_rolled_back_version_are_not_what_readers_see(self, facts: Facts):
        base = facts.version(key="2026-01")
        facts.version(key="2026-02")
        facts.point("current", base)
        facts.version(key="2026-02", alias="trial", parent=base)
        said = {"partition_key": "2026-02"}
        event, _ = asyncio.run(fires_after(facts, lambda: facts.version(key="2026-02"), **said))
        assert event["version"] == 4
        assert asyncio.run(first(trigger(alias="trial", **said)))["version"] == 3
        assert asyncio.run(first(trigger(alias=None, newer_than=3, **said)))["version"] == 4

    def test_an_older_batch_is_found_behind_newer_ones(self, facts: Facts):
        for month in range(1, 6):
            facts.version(key=f"2026-0{month}")
        assert asyncio.run(first(trigger(partition_key="2026-02")))["version"] == 2

    def test_the_same_content_has_the_same_verdict(self, facts: Facts):
        """Compaction makes a version of the same rows; nobody checks those twice."""
        made = facts.version()
        facts.check(made, "pass")
        facts.version()
        facts.run(
            "INSERT INTO dataml.schema_blob VALUES ('s', '[]');"
            "UPDATE dataml.version SET fingerprint = 'pg1-same', schema_hash = 's'"
        )
        assert asyncio.run(first(trigger(min_verdict="pass")))["version"] == 2

    def test_it_asks_more_often_where_nothing_is_delivered(self, facts: Facts, monkeypatch):
        async def scene(folder):
            async with proxied(facts.dsn, folder, deaf=True) as dsn:
                monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", connection_uri(dsn))
                waiting = asyncio.create_task(first(trigger(poll_interval=0.1)))
                await until(lambda: facts.connections() == 2)
                facts.version()
                return await asyncio.wait_for(waiting, 5)

        with tempfile.TemporaryDirectory(prefix="dataml-") as folder:
            assert asyncio.run(scene(Path(folder)))["version"] == 1

    def test_it_says_what_is_missing_once(self, facts: Facts, capfd):
        made = facts.version()

        def deed():
            facts.check(made, "fail")
            facts.check(made, "pass")

        asyncio.run(fires_after(facts, deed, min_verdict="pass"))
        said = capfd.readouterr().out
        assert said.count("the newest is rides@1 and it was not checked, awaited is at least pass") == 1

    def test_a_connection_that_is_not_there_ends_the_wait(self):
        event = asyncio.run(first(trigger(conn_id="absent")))
        assert event["status"] == "error"
        assert "'absent' is not defined" in event["message"]

    def test_a_ledger_that_was_never_migrated_ends_the_wait(self, postgres_dsn, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", connection_uri(postgres_dsn))
        event = asyncio.run(first(trigger()))
        assert event["status"] == "error"
        assert "run `airflow dataml migrate`" in event["message"]

    def test_it_survives_the_way_through_the_database(self):
        before = trigger(partition_key="2026-01", newer_than="2026-08-01", max_age=60)
        path, arguments = before.serialize()
        assert path == "airflow_dataml.triggers.datasets.DatasetVersionTrigger"
        assert DatasetVersionTrigger(**arguments).serialize() == before.serialize()

    def test_a_wrong_argument_is_an_error_the_triggerer_survives(self):
        with pytest.raises(SpecError, match="min_verdict='good'") as caught:
            trigger(min_verdict="good")
        assert isinstance(caught.value, TypeError)


class Store:
    """Stands for the state store of the one watched asset."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.kept: dict[str, Any] = {}
        self.refusals = refusals

    def __getitem__(self, ref: Any) -> Store:
        raise KeyError(ref)

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the API server is being restarted"
            raise ConnectionError(msg)
        self.kept[key] = value

    @property
    def mark(self) -> Any:
        return next(iter(self.kept.values()), None)


_IDS = itertools.count(1)


@asynccontextmanager
async def triggerer(
    watching: BaseEventTrigger, store: Any, *, stores_events: bool = True
) -> AsyncIterator[list[int]]:
    """Run an event trigger the way Airflow's triggerer does; yields the versions it announced."""
    manager = SharedStreamManager(log=_Log())
    watching.trigger_id, watching.asset_state_store = next(_IDS), store
    key = watching.shared_stream_key()
    said: list[int] = []

    async def run() -> None:
        stream = manager.subscribe(trigger_id=watching.trigger_id, trigger=watching, key=key)
        try:
            async for event in watching.filter_shared_stream(stream):
                seq = manager.bind_pending_event(trigger_id=watching.trigger_id, key=key)
                said.append(event.payload.get("version") or event.payload["number"])
                if stores_events:
                    asyncio.get_running_loop().call_later(0.01, manager.confirm_persisted, [seq])
        finally:
            await manager.unsubscribe(watching.trigger_id, key)

    task = asyncio.create_task(run())
    yield said
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await manager.stop_all()


class _Log:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def watch(**said: Any) -> DatasetVersionEventTrigger:
    return DatasetVersionEventTrigger(dataset="rides", **said)


class TestEventTrigger:
    def test_each_version_is_announced_once_in_order_whatever_restarts(self, facts: Facts):
        async def scene():
            store = Store()
            facts.version()  # was there before anybody watched
            async with triggerer(watch(), store) as said:
                await until(lambda: store.mark == 1)
                await listening(facts)
                began = time.monotonic()
                facts.version()
                await until(lambda: said == [2])
                assert time.monotonic() - began < 1
                facts.version()
                await until(lambda: store.mark == 3)
            for _ in range(3):
                facts.version()  # while the triggerer was down
            async with triggerer(watch(), store) as said:
                await until(lambda: store.mark == 6)
                facts.kill()
                facts.version()
                await until(lambda: store.mark == 7)
                assert said == [4, 5, 6, 7]
            await until(lambda: facts.connections() == 0)

        asyncio.run(scene())

    def test_what_airflow_did_not_store_is_announced_again(self, facts: Facts):
        async def scene():
            store = Store()
            async with triggerer(watch(newer_than=0), store, stores_events=False) as said:
                facts.version()
                await until(lambda: said == [1])
            assert store.mark == 0
            async with triggerer(watch(newer_than=0), store) as said:
                await until(lambda: store.mark == 1)
                assert said == [1]

        asyncio.run(scene())

    def test_an_api_that_is_away_for_a_moment_costs_nothing(self, facts: Facts):
        async def scene():
            store = Store(refusals=1)
            async with triggerer(watch(newer_than=0), store) as said:
                facts.version()
                await until(lambda: store.mark == 1)
                assert said == [1]

        asyncio.run(scene())

    def test_a_backlog_comes_in_pages_and_in_order(self, facts: Facts):
        facts.version()
        facts.run(
            """WITH made AS (
                 INSERT INTO dataml.version (asset_id, number, parent_id, run_key, fact_key)
                 SELECT v.asset_id, n, v.version_id + n - 2, v.run_key, 'more-' || n
                 FROM dataml.version v, generate_series(2, 250) n ORDER BY n RETURNING version_id)
               UPDATE dataml.alias SET version_id = (SELECT max(version_id) FROM made) RETURNING 1"""
        )

        async def scene():
            store = Store()
            async with triggerer(watch(newer_than=0), store) as said:
                await until(lambda: store.mark == 250)
                assert said == list(range(1, 251))

        asyncio.run(scene())

    def test_only_what_passed_is_announced(self, facts: Facts):
        async def scene():
            store = Store()
            async with triggerer(watch(newer_than=0, min_verdict="pass"), store) as said:
                refused, passed = facts.version(), facts.version()
                facts.check(refused, "fail")
                facts.check(passed, "pass")
                await until(lambda: said == [2])
                late = facts.version()
                await listening(facts)
                facts.check(late, "pass")
                await until(lambda: said == [2, 3])

        asyncio.run(scene())

    def test_one_batch_can_be_watched(self, facts: Facts):
        async def scene():
            async with triggerer(watch(newer_than=0, partition_key="b"), Store()) as said:
                for key in ("a", "b", "c", "b"):
                    facts.version(key=key)
                await until(lambda: said == [2, 4])

        asyncio.run(scene())

    def test_another_ledger_is_noticed(self, facts: Facts, caplog):
        async def scene():
            store = Store()
            async with triggerer(watch(), store):
                await until(lambda: store.mark == 0)
            [key] = store.kept
            store.kept[key] = 40
            async with triggerer(watch(), store) as said:
                await until(lambda: store.mark == 0)
                facts.version()
                await until(lambda: said == [1])

        asyncio.run(scene())
        assert "The ledger has no rides@40" in caplog.text

    @pytest.mark.parametrize("kept", ["seventeen", True, {"version": 3}], ids=repr)
    def test_a_watermark_nobody_can_read_is_as_none(self, facts: Facts, kept):
        async def scene():
            store = Store()
            facts.version()
            async with triggerer(watch(), store):
                await until(lambda: store.mark == 1)
            [key] = store.kept
            store.kept[key] = kept
            async with triggerer(watch(), store):
                await until(lambda: store.mark == 1 and store.mark is not True)

        asyncio.run(scene())

    def test_no_mistake_ends_it(self, facts: Facts, monkeypatch, caplog):
        monkeypatch.delenv("AIRFLOW_CONN_DATAML_DEFAULT")

        async def scene():
            async with triggerer(watch(newer_than=0, poll_interval=0.05), Store()) as said:
                await until(lambda: "'dataml_default' is not defined" in caplog.text)
                monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", connection_uri(facts.dsn))
                facts.version()
                await until(lambda: said == [1])

        asyncio.run(scene())

    def test_several_assets_have_no_store_in_common(self, facts: Facts):
        class Stores(Store):
            async def aget(self, key: str, default: Any = None) -> Any:
                msg = "Task has 2 concrete inlets and outlets"
                raise ValueError(msg)

        async def scene():
            async with triggerer(watch(newer_than=0), Stores()) as said:
                facts.version()
                await until(lambda: said == [1])

        asyncio.run(scene())

    def test_it_runs_where_there_is_no_shared_stream(self, facts: Facts):
        async def scene():
            facts.version()
            watching, store = watch(newer_than=0), Store()
            watching.asset_state_store = store
            assert watching.shared_stream_key() is None
            event = await first(watching)
            await until(lambda: facts.connections() == 0)
            return event

        assert asyncio.run(scene())["version"] == 1

    def test_it_goes_into_a_watcher(self):
        rides = dataset("rides")
        watching = DatasetVersionEventTrigger(dataset=rides)
        asset = Asset(name="rides", uri=rides.uri, watchers=[AssetWatcher(name="ledger", trigger=watching)])
        assert asset.watchers[0].trigger is watching
        path, arguments = watching.serialize()
        again = DatasetVersionEventTrigger(**arguments)
        assert again.serialize() == (path, arguments)
        assert BaseEventTrigger.hash(path, arguments) == BaseEventTrigger.hash(*again.serialize())

    def test_a_wrong_argument_fails_the_dag_file(self):
        with pytest.raises(SpecError, match="waiting for 'rides': min_verdict='good' is not usable"):
            watch(min_verdict="good")

"""The bell: what it delivers, what it survives, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import make_conninfo

from airflow_dataml.adapters.postgres.arrivals import newest
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.listening import Bell
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.arrivals import Awaited
from airflow_dataml.core.errors import ConnectionSpecError, LedgerError, LedgerVersionError, SpecError
from airflow_dataml.triggers.listening import hearing
from dev.embedded import embedded_postgres
from tests.integration.triggers.proxy import proxied
from tests.integration.waiting_facts import Facts, connection_uri, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RIDES = Awaited(asset="rides")


@asynccontextmanager
async def bell(dsn, **said) -> AsyncIterator[Bell]:
    async def where() -> str:
        return dsn

    opened = Bell(where, **said)
    try:
        yield opened
    finally:
        opened.stop()


def hear(conn_id="dataml_default", asset="rides", poll_interval=60.0):
    return hearing(conn_id=conn_id, asset=asset, poll_interval=poll_interval)


class TestBell:
    def test_a_commit_rings_whoever_waits_for_that_asset(self, facts: Facts):
        async def scene():
            async with bell(facts.dsn) as opened:
                with opened.waiting("rides") as rides, opened.waiting("tables") as tables:
                    await until(lambda: opened.listening)
                    rides.clear()
                    tables.clear()
                    facts.version()
                    await asyncio.wait_for(rides.wait(), 1)
                    assert not tables.is_set()

        asyncio.run(scene())

    @pytest.mark.parametrize("payload", ["", "{", "[]", '{"asset": 3}', "ü"], ids=repr)
    def test_a_call_nobody_understands_rings_everybody(self, facts: Facts, payload):
        async def scene():
            async with bell(facts.dsn) as opened:
                with opened.waiting("rides") as rung:
                    await until(lambda: opened.listening)
                    rung.clear()
                    facts.run("SELECT pg_notify('dataml_report', %s)", payload)
                    await asyncio.wait_for(rung.wait(), 1)

        asyncio.run(scene())

    def test_a_cancelled_question_disturbs_no_other(self, facts: Facts):
        async def scene():
            async with bell(facts.dsn) as opened:
                slow = asyncio.create_task(opened.rows("SELECT pg_sleep(0.3)"))
                other = asyncio.create_task(opened.rows("SELECT 1 AS one"))
                await until(lambda: facts.connections() > 0)
                slow.cancel()
                assert await other == [{"one": 1}]

        asyncio.run(scene())

    def test_what_the_database_does_not_understand_fails_alone(self, facts: Facts):
        async def scene():
            async with bell(facts.dsn) as opened:
                with pytest.raises(SpecError, match="does not understand"):
                    await opened.rows("SELEC 1")
                with pytest.raises(LedgerVersionError, match="run `airflow dataml migrate`"):
                    await opened.rows("SELECT 1 FROM dataml.absent")
                assert await opened.rows("SELECT 1 AS one") == [{"one": 1}]

        asyncio.run(scene())

    def test_a_wrong_database_is_a_mistake_until_it_was_right_once(self, facts: Facts):
        place = {"dsn": make_conninfo(facts.dsn, dbname="absent")}

        async def where() -> str:
            return place["dsn"]

        async def scene():
            opened = Bell(where)
            with pytest.raises(ConnectionSpecError, match="does not exist"):
                await opened.rows("SELECT 1")
            place["dsn"] = facts.dsn
            await opened.rows("SELECT 1")
            place["dsn"] = make_conninfo(facts.dsn, dbname="absent")
            facts.kill()
            with pytest.raises(LedgerError, match="does not exist"):
                await opened.rows("SELECT 1")
            opened.stop()

        asyncio.run(scene())

    @pytest.mark.parametrize("deaf", [True, False], ids=["deaf", "hearing"])
    def test_it_finds_out_whether_it_can_hear(self, facts: Facts, deaf):
        async def scene(folder):
            async with (
                proxied(facts.dsn, folder, deaf=deaf) as dsn,
                bell(dsn, probe_s=0.2, deaf_s=0.2) as opened,
            ):
                with opened.waiting("rides") as rung:
                    await asyncio.wait_for(rung.wait(), 5)
                    assert opened.listening is not deaf
                    rung.clear()
                    if deaf:  # it tries again, and says so to whoever waits
                        await asyncio.wait_for(rung.wait(), 5)

        with tempfile.TemporaryDirectory(prefix="dataml-") as folder:
            asyncio.run(scene(Path(folder)))


class TestSharing:
    def test_two_connections_however_many_wait_and_none_afterwards(self, facts: Facts):
        async def wait(found):
            async with hear() as waiter:
                found.append(await waiter.look(newest(RIDES)))
                await waiter.rest()
                await asyncio.Event().wait()

        async def scene():
            found = []
            waiting = [asyncio.create_task(wait(found)) for _ in range(200)]
            await until(lambda: len(found) == 200)
            assert 1 <= facts.connections() <= 2
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await until(lambda: facts.connections() == 0)

        asyncio.run(scene())

    def test_a_loop_that_ends_leaves_nothing(self, facts: Facts):
        async def scene():
            async with hear() as waiter:
                await waiter.look(newest(RIDES))

        for _ in range(3):
            asyncio.run(scene())
        asyncio.run(until(lambda: facts.connections() == 0))

    def test_a_loop_that_ends_while_it_connects_leaves_nothing_either(self, facts: Facts):
        async def scene(seconds):
            async with hear():
                await asyncio.sleep(seconds)

        gc.collect()
        gc.disable()  # else it might close what was forgotten, or might not
        try:
            for step in range(30):
                asyncio.run(scene(step / 2_000))
            asyncio.run(until(lambda: facts.connections() == 0))
        finally:
            gc.enable()

    def test_two_loops_have_two_pairs(self, facts: Facts):
        found = {}
        ready = threading.Barrier(3, timeout=20)

        def loop(name):
            async def scene():
                async with hear() as waiter:
                    await until(lambda: waiter.interval == 60.0)  # it listens
                    await asyncio.to_thread(ready.wait)
                    while (arrival := await waiter.look(newest(RIDES))) is None:
                        await waiter.rest()
                    found[name] = arrival.ref

            asyncio.run(scene())

        threads = [threading.Thread(target=loop, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        ready.wait()
        assert facts.connections() == 4
        facts.version()
        for thread in threads:
            thread.join(5)
        assert found == {"a": "rides@1", "b": "rides@1"}

    def test_it_rests_briefly_while_nobody_answers_and_longer_each_time(self, facts: Facts, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", connection_uri("host=/nowhere user=u dbname=d"))

        async def scene():
            intervals = []
            async with hear("elsewhere", poll_interval=3) as waiter:
                for _ in range(3):
                    with pytest.raises(LedgerError, match="did not answer"):
                        await waiter.look(newest(RIDES))
                    intervals.append(waiter.interval)
            return intervals

        assert asyncio.run(scene()) == [1.0, 2.0, 3.0]


class TestOutages:
    def test_killed_backends_are_replaced_and_nothing_is_missed(self, facts: Facts):
        async def scene():
            async with hear() as waiter:
                await until(lambda: waiter.interval == 60.0)
                await waiter.look(newest(RIDES))
                for number in (1, 2, 3):
                    assert facts.kill() == 2
                    facts.version()
                    async with asyncio.timeout(5):
                        while (found := await waiter.look(newest(RIDES))) is None or found.number < number:
                            await waiter.rest()
                    await until(lambda: waiter.interval == 60.0)
                assert facts.connections() <= 2

        asyncio.run(scene())

    @pytest.mark.slow
    def test_a_server_that_restarts_is_found_again(self, monkeypatch):
        async def scene(data):
            with embedded_postgres(data) as dsn:
                with Connection(dsn) as connection:
                    migrate(connection)
                monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", connection_uri(dsn))
                facts = Facts(dsn)
                waiting = hear()
                waiter = await waiting.__aenter__()
                await until(lambda: waiter.interval == 60.0)
                assert await waiter.look(newest(RIDES)) is None
            with pytest.raises(LedgerError):
                await waiter.look(newest(RIDES))
            with embedded_postgres(data):
                facts.version()
                async with asyncio.timeout(30):
                    found = None
                    while found is None:
                        await waiter.rest()
                        found = await waiter.look(newest(RIDES))
                assert found.ref == "rides@1"
                await until(lambda: waiter.interval == 60.0, seconds=30)
                await waiting.__aexit__(None, None, None)
                await until(lambda: facts.connections() == 0)

        with tempfile.TemporaryDirectory(prefix="dataml-pg-", ignore_cleanup_errors=True) as folder:
            asyncio.run(scene(Path(folder) / "data"))

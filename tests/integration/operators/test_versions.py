"""Rollback and snapshot as Airflow runs them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.assets import external
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.operators.datasets import DatasetPublishOperator, DatasetStageOperator
from airflow_dataml.operators.versions import DatasetRollbackOperator, DatasetSnapshotOperator
from tests.integration.operators.harness import RIDES, batch, context, run
from tests.integration.operators.world import World, snapshot
from tests.killing import killed_after

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = external("orders", table="public.orders", keys=["id"], owner="shop")


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return filled(make_world())


def filled(world: World) -> World:
    """Two published months of rides, and a table of somebody else's."""
    for month in (1, 2):
        key = f"2026-{month:02d}"
        path = batch(world.folder / f"{key}.csv", month=month, rows=50)
        stage = DatasetStageOperator(
            task_id="stage", dataset=RIDES, path=str(path), contract=str(world.folder / "rides.yml")
        )
        staged = run(stage, run_id=key, partition_key=key)
        publish = DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged, require_check=False)
        run(publish, run_id=key, partition_key=key)
    with psycopg.connect(world.dsn, autocommit=True) as admin:
        admin.execute(
            "CREATE TABLE public.orders (id bigint, paid numeric(8,2), at timestamptz, tags text[], more jsonb, raw bytea)"
        )
        admin.execute(
            """INSERT INTO public.orders SELECT n, n * 1.5, '2026-01-01T00:00Z'::timestamptz + n * interval '1 hour',
               ARRAY['a', n::text], jsonb_build_object('n', n), decode('00ff', 'hex') FROM generate_series(1, 25) n"""
        )
    return world


def rollback(**said: Any) -> DatasetRollbackOperator:
    return DatasetRollbackOperator(task_id="back", dataset=RIDES, **({"reason": "it was wrong"} | said))


def snap(**said: Any) -> DatasetSnapshotOperator:
    return DatasetSnapshotOperator(task_id="snap", dataset=ORDERS, freshness_column="at", **said)


def test_the_event_and_the_link_carry_the_version_readers_see(world: World) -> None:
    told = context("back")
    found = rollback().execute(told)
    assert (found["version"], found["left"], found["rows"]) == ("rides@1", "rides@2", 50)
    assert told["outlet_events"].extras["rides"]["dataml"]["version"] == "rides@1"
    assert told["ti"].pushed["dataml_link"] == "asset/rides?version=1"
    with world.ledger() as ledger:
        assert ledger.connection.scalar("SELECT count(*) FROM public.rides") == 50


def test_a_version_by_number(world: World) -> None:
    assert run(rollback(to="rides@1"))["version"] == "rides@1"
    assert run(rollback(to="rides@2"), run_id="r2")["left"] == "rides@1"
    assert run(rollback(to="rides@2"), run_id="r3")["left"] is None


def test_a_changed_table_is_an_event_and_an_unchanged_one_is_skipped(world: World) -> None:
    told = context("snap", run_id="r1")
    found = snap().execute(told)
    assert (found["version"], found["new"], found["rows"]) == ("orders@1", True, 25)
    assert found["freshness"].startswith("2026-01-02T01:00:00")
    assert told["outlet_events"].extras["orders"]["dataml"]["version"] == "orders@1"
    with pytest.raises(AirflowSkipException, match=r"public\.orders is what orders@1 says"):
        run(snap(), run_id="r2")
    assert run(snap(skip_unchanged=False), run_id="r3")["new"] is False
    assert run(snap(always=True), run_id="r4")["version"] == "orders@2"


def shop(world: World, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    """A connection to the same server, as if it were another."""
    info = conninfo_to_dict(world.dsn)
    said = {
        "conn_type": "postgres",
        "host": info["host"],
        "login": info["user"],
        "schema": info["dbname"],
        "extra": extra,
    }
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(said))


def test_another_system_is_streamed_and_says_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world, monkeypatch)
    typed = {"tags": "text[]", "paid": "numeric(8,2)"}
    far = run(snap(conn_id="shop", columns=typed, copy=True), run_id="far")
    with pytest.raises(AirflowSkipException):
        run(snap(), run_id="near")
    with world.ledger() as ledger:
        (part,) = ledger.versions.manifest(ledger.versions.find("orders").version_id)
        left = ledger.connection.scalar(
            f"SELECT count(*) FROM (SELECT id, paid, at, tags, more, raw FROM {part.locator} EXCEPT SELECT id, paid, at, tags, more, raw FROM public.orders) t"
        )
    assert (far["version"], left) == ("orders@1", 0)


def test_a_query_of_another_system(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world, monkeypatch)
    found = run(snap(conn_id="shop", sql="SELECT id, at FROM public.orders WHERE id < 5"))
    assert (found["rows"], found["freshness"][:10]) == (4, "2026-01-01")


def test_a_value_that_does_not_fit_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world, monkeypatch)
    with pytest.raises(GateError, match="invalid input syntax"):
        run(snap(conn_id="shop", columns={"more": "bigint"}))
    with world.ledger() as ledger:
        assert ledger.versions.list("orders") == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"dataset": RIDES}, "asset 'rides' is not an external table: declare it with external"),
        ({"sql": "SELECT 1"}, "has sql or columns and no conn_id"),
        ({"columns": {"id": "text"}}, "has sql or columns and no conn_id"),
    ],
    ids=["a dataset of ours", "sql", "columns"],
)
def test_what_cannot_be_observed_is_refused(world: World, said: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(DatasetSnapshotOperator(task_id="snap", **({"dataset": ORDERS} | said)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [rollback, lambda: snap(copy=True), snap], ids=["rollback", "copy", "snapshot"]
)
def test_killed_at_any_statement_it_ends_as_an_undisturbed_one(
    make_world: Callable[[], World], make: Callable[[], Any]
) -> None:
    calm = filled(make_world())
    result = run(make())
    expected = snapshot(calm)
    rough = filled(make_world())
    points = itertools.takewhile(
        lambda point: killed_after(point, lambda: run(make(), try_number=2)), itertools.count(0, 3)
    )
    assert len(list(points)) > 5
    assert run(make(), try_number=3) == result
    assert snapshot(rough) == expected

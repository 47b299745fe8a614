"""What happens between two looks at the ledger: a batch while strays are listed, a dataset on a branch from nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.core.layout import Layout
from airflow_dataml.steps.branches import create_branch, merge_branch
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.retain import sweep
from tests.integration.steps.rides import COLUMNS, Rides
from tests.support import identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    return Rides(ledger)


def test_a_batch_staged_while_strays_are_listed_is_none(rides: Rides) -> None:
    store = rides.ledger.store

    class Late:
        """A store on which somebody stages after the ledger was asked what it knows."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def strays(self, known: Any) -> dict[str, int]:
            rides.write([(1, "bike", 1.0)])
            return store.strays(known)

    found = sweep(ledger=rides.ledger, store=Late(), identity=identity("sweep"))  # type: ignore[arg-type]
    assert found.strays == {}
    assert rides.view() == [(1, "bike", 1.0)]


def test_a_branch_from_before_the_first_version_begins_from_nothing(rides: Rides) -> None:
    ledger, store = rides.ledger, rides.ledger.store
    create_branch(ledger=ledger, store=store, identity=identity("create"), name="early", assets=["rides"])
    rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bus", 2.0)], branch="early")
    assert rides.view("branch_early.rides") == [(2, "bus", 2.0)]
    merge_branch(ledger=ledger, store=store, identity=identity("merge"), name="early")
    assert rides.view() == [(1, "bike", 1.0), (2, "bus", 2.0)]


def test_a_column_that_a_file_leaves_out_gets_its_default(ledger: PostgresLedger, tmp_path: Path) -> None:
    rides = Rides(ledger, layout=Layout(defaults={"kind": "'bike'"}))
    path = tmp_path / "a.csv"
    path.write_text("id,km\n1,1.5\n")
    staged = stage_csv(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage"),
        target=Target("rides", "append", layout=rides.layout, location="public.rides"),
        path=path,
        columns=COLUMNS,
    )
    rides.publish(staged)
    assert rides.view() == [(1, "bike", 1.5)]


def test_readers_of_a_view_above_live_through_a_change_of_schema(rides: Rides, ledger_dsn: str) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.ledger.connection.execute("CREATE VIEW public.above AS SELECT id FROM public.rides")
    rides.ledger.connection.execute("CREATE VIEW public.top AS SELECT id FROM public.above")
    done, errors = threading.Event(), []

    def read(view: str) -> None:
        with psycopg.connect(ledger_dsn, autocommit=True) as db:
            while not done.is_set():
                try:
                    assert db.execute(f"SELECT count(*), pg_sleep(0.005) FROM {view}").fetchone()
                except psycopg.Error as err:
                    errors.append(str(err))

    readers = [threading.Thread(target=read, args=(view,)) for view in ("above", "top", "rides") * 2]
    for reader in readers:
        reader.start()
    for number in range(30):
        # A column comes and goes, so that the view is made anew each time.
        row, columns = (number, "bike", 1.0), COLUMNS
        if number % 2:
            row, columns = row[:2], columns[:2]
        rides.write([row], columns=columns, mode="replace", allow_breaking=True)
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert rides.ledger.connection.scalar("SELECT count(*) FROM public.top") == 1

"""What happens between two looks at the ledger: a batch while strays are listed, a dataset on a branch from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

"""Diffs that a task keeps, and those it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.core.errors import GateError, PolicyError, SpecError
from airflow_dataml.core.retention import RetentionPolicy
from airflow_dataml.operators.diffs import DatasetDiffOperator
from airflow_dataml.steps.branches import create_branch
from airflow_dataml.steps.retain import collect
from tests.integration.operators.harness import RIDES, context, run
from tests.integration.steps.rides import Rides
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    world = make_world()
    with world.ledger() as ledger:
        rides = Rides(ledger)
        rides.write([(n, "bike", 1.0) for n in range(10)])
        rides.write([(0, "tram", 2.0)], mode="merge", keys=["id"])
    return world


def diff(**said: Any) -> DatasetDiffOperator:
    return DatasetDiffOperator(task_id="diff", dataset=RIDES, **({"keys": ["id"]} | said))


def test_the_diff_is_kept_and_counts_are_handed_on(world: World) -> None:
    found = run(diff(samples=2, mask=["kind"]))
    assert json.loads(json.dumps(found)) == found
    assert {k: found[k] for k in ("old", "new", "verdict", "same", "inserted", "updated", "deleted")} == {
        "old": "rides@1", "new": "rides@2", "verdict": "pass", "same": False, "inserted": 0, "updated": 1, "deleted": 0,
    }  # fmt: skip
    with world.ledger() as ledger:
        stored = DatasetReading(ledger.connection).stored_diff("rides", "rides@1", "rides@2")
    assert stored is not None
    assert stored["report_id"] == found["report"]
    assert "tram" not in json.dumps(stored["body"])


def test_a_retry_adopts_what_its_earlier_try_kept(world: World) -> None:
    assert run(diff(), try_number=1) == run(diff(), try_number=2)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"fail_on": {"max_changed_fraction": 0.05}}, "1 rows changed of 10, which is more than 0.05"),
        ({"fail_on": {"forbid_deletes": True}, "keys": ()}, "1 rows are deleted"),
    ],
    ids=["too many changes", "a deletion"],
)
def test_what_may_not_differ_is_refused_and_kept(world: World, said: dict[str, Any], message: str) -> None:
    with pytest.raises(GateError, match=rf"rides@1 and rides@2 differ in what may not: {message}") as refused:
        run(diff(**said))
    with world.ledger() as ledger:
        report = ledger.reports.latest(asset="rides", kind="diff")
    assert report is not None
    assert (report.verdict, report.body["reasons"]) == ("fail", refused.value.report["reasons"])


def test_rows_that_are_gone_do_not_pass_a_gate(world: World) -> None:
    with world.ledger() as ledger:
        policy = RetentionPolicy(keep_last=1)
        collect(ledger=ledger, store=ledger.store, identity=identity("gc"), asset="rides", policy=policy)
    assert run(diff(), run_id="free")["verdict"] == "pass"
    with pytest.raises(
        GateError, match="rows were not compared: rides@1 is known, and its rows were dropped"
    ):
        run(diff(fail_on={"forbid_deletes": True}), run_id="gated")


def test_the_first_version_has_nothing_to_be_compared_with(world: World) -> None:
    with pytest.raises(AirflowSkipException, match="rides@1 is the first version"):
        run(diff(new="1"))


def test_previous_is_what_led_there_on_a_branch_too(world: World) -> None:
    with world.ledger() as ledger:
        create_branch(ledger=ledger, store=ledger.store, identity=identity("create"), name="dev-x")
        Rides(ledger).write([(11, "bus", 1.0)], branch="dev-x", run="branch")
    there = context("diff", run_id="branch")
    there["dag_run"].conf = {"dataml_branch": "dev-x"}
    found = diff().execute(there)
    assert (found["old"], found["new"], found["inserted"]) == ("rides@2", "rides@3", 1)
    assert run(diff())["new"] == "rides@2"


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"old": "features@1"}, SpecError, "'features@1' is not one of 'rides'"),
        ({"fail_on": {"max_changed": 1}}, PolicyError, "max_changed"),
    ],
    ids=["another dataset", "an unknown rule"],
)
def test_what_is_written_wrong_is_refused(
    world: World, said: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(diff(**said))

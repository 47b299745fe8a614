"""A proposed change of a dataset, held against a really trained champion, as a task does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import GateError, PolicyError, SpecError
from airflow_dataml.operators.impact import ImpactCheckOperator
from tests.integration.operators.harness import run
from tests.integration.operators.telling import tell
from tests.integration.operators.world import RIDES
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration


def _check(**arguments: Any) -> ImpactCheckOperator:
    return ImpactCheckOperator(task_id="impact", dataset=RIDES, **arguments)


@pytest.mark.slow
def test_a_column_that_the_champion_needs_may_not_go(make_world: Callable[[], World]) -> None:
    world = make_world()
    for steps in (world.ingest(1), world.ingest(2), world.train("2026-02")):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    told = tell(_check(drop=["km"]))
    assert (problems(told.start), problems(told.end)) == ([], [])
    assert isinstance(told.error, GateError)
    assert "km is gone: ride_late@1 without km" in str(told.error)
    assert "models/ride_late" in {name for _, name in told.names("inputs")}
    with world.ledger() as ledger:
        [model] = ledger.reports.latest(asset="rides", kind="impact").body["models"]
    assert (model["method"], model["verdict"]) == ("replayed", "fail")
    assert model["growth"]["low"] > 0.05
    allowed = run(_check(drop=["km"], policy={"tolerance": 9.0}), run_id="borne")
    assert (allowed["verdict"], allowed["models"]) == ("pass", ["ride_late@1"])
    unused = run(_check(drop=["id"]), run_id="unused")
    assert (unused["verdict"], unused["models"]) == ("pass", [])
    with world.ledger() as ledger:
        ledger.connection.execute("UPDATE dataml.column_map SET method = 'table' WHERE method = 'analyzer'")
    with pytest.raises(GateError, match="ride_late@1 is made from it in a way of which no columns are known"):
        run(_check(drop=["id"]), run_id="unseen")


def test_one_change_is_looked_at(make_world: Callable[[], World]) -> None:
    make_world()
    with pytest.raises(SpecError, match="give either"):
        run(_check())
    with pytest.raises(SpecError, match="give either"):
        run(_check(drop=["km"], branch="dev"))
    with pytest.raises(PolicyError, match="tolerance"):
        run(_check(drop=["km"], policy={"tolerance": -1}))

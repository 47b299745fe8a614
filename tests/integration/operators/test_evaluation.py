"""Measuring a really trained model by gates, slices, groups and looks, as tasks do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from tests.integration.operators.harness import DEMAND, run
from tests.integration.operators.telling import tell
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration

POLICY: dict[str, Any] = {
    "min_rows": 300,
    "looks": 30,
    "gates": [
        {"metric": "roc_auc_score", "threshold": 0.7},
        {"metric": "log_loss", "min_relative_change": 0.05},
        {"metric": "latency_p95", "threshold": 10_000},
    ],
    "slices": [{"column": "kind", "margin": 0.1}, {"column": "km", "edges": [10.0], "margin": 2.0}],
    "fairness": [{"column": "kind", "rate": "accuracy", "max_difference": 0.5, "small": "say"}],
}


def bring(world: World, month: int) -> None:
    for operator, key in world.ingest(month):
        world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)


@pytest.mark.slow
def test_a_trained_model_is_measured_by_every_rule_and_looked_at_again(
    make_world: Callable[[], World],
) -> None:
    world = make_world()
    for month in (1, 2):
        bring(world, month)
    tasks = world.train("2026-02")
    for operator, key in tasks:
        if operator.task_id == "evaluate":
            break
        world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    ref = str(world.results["train", "2026-02"]["version"])
    told = tell(ModelEvaluateOperator(task_id="look", challenger=ref, policy=POLICY))
    assert told.error is None
    assert (problems(told.start), problems(told.end)) == ([], [])
    tests = told.end["run"]["facets"]["test"]["tests"]
    names = [test["name"] for test in tests]
    assert names[:4] == ["challenger against baseline", "roc_auc", "log_loss relative change", "latency_p95"]
    assert {"kind=bike", "kind=car", "kind=tram", "km=below 10", "km=10 and more"} <= set(names)
    # Half a month is too little for a slice, and a month and a half is enough.
    assert told.result["verdict"] == "unknown", told.result["summary"]
    assert "in 1 look:" in told.result["summary"]
    assert "loss less 1.1 times the opponent's" in told.result["summary"]
    bring(world, 3)
    again = run(ModelEvaluateOperator(task_id="look", challenger=ref, policy=POLICY), run_id="day 2")
    assert (again["verdict"], "in 2 looks" in again["summary"]) == ("pass", True), again["summary"]
    with world.ledger() as ledger:
        bodies = [ledger.reports.get(one["report"]).body for one in (told.result, again)]
    totals = [body["look"]["total"]["n"] for body in bodies]
    assert totals[1] == totals[0] + bodies[1]["rows"]
    calibration = bodies[1]["challenger"]["metrics"]["expected_calibration_error"]
    assert calibration["low"] <= calibration["estimate"] <= calibration["high"]


def test_a_gate_that_asks_nothing_is_pointed_at(make_world: Callable[[], World]) -> None:
    make_world()
    operator = ModelEvaluateOperator(
        task_id="look", challenger=f"{DEMAND.name}@1", policy={"gates": [{"metric": "roc_auc"}]}
    )
    with pytest.raises(PolicyError, match="the gate on 'roc_auc' asks nothing"):
        run(operator)

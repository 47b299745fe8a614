"""What concerns models, in a run on a branch: it would be everybody's, so it is refused or left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.errors import SpecError
from airflow_dataml.operators.branches import BranchDropOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.operators.retraining import RetrainDecideOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from tests.integration.operators.harness import DEMAND, FEATURES, context, run
from tests.integration.operators.world import WINDOW, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.operators.base import DataMLOperator
    from tests.integration.operators.world import World


def on_a_branch(operator: DataMLOperator) -> object:
    there = context(operator.task_id)
    there["dag_run"].conf = {"dataml_branch": "dev-x"}
    return operator.execute(there)


@pytest.mark.parametrize(
    ("operator", "error", "message"),
    [
        (
            TrainingPlanOperator(
                task_id="plan", model=DEMAND, dataset=FEATURES, target="late", window=WINDOW
            ),
            AirflowSkipException,
            "No training of 'ride_late' on branch 'dev-x': models have no branches",
        ),
        (
            ModelTrainOperator(task_id="train", model=DEMAND, plan={}, spec="none.yml"),
            SpecError,
            "a version of 'ride_late' would be everybody's",
        ),
        (
            ModelPromoteOperator(task_id="promote", model=DEMAND, evaluation=1),
            SpecError,
            "the champion of 'ride_late' would be everybody's",
        ),
        (
            RetrainDecideOperator(task_id="decide", model=DEMAND, monitor=1),
            AirflowSkipException,
            "No decision for 'ride_late' on branch 'dev-x'",
        ),
    ],
    ids=["plan", "train", "promote", "decide"],
)
def test_a_run_on_a_branch_moves_no_model(
    make_world: Callable[[], World], operator: DataMLOperator, error: type[Exception], message: str
) -> None:
    world = make_world()
    before = snapshot(world)
    with pytest.raises(error, match=message):
        on_a_branch(operator)
    assert snapshot(world) == before


def test_there_being_no_branch_to_drop_is_no_error_and_leaves_no_trace(
    make_world: Callable[[], World],
) -> None:
    world = make_world()
    before = snapshot(world)
    assert run(BranchDropOperator(task_id="drop", branch="dev-x")) == {"branch": "dev-x", "dropped": False}
    assert snapshot(world) == before

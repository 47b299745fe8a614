"""What a monitor tells OpenLineage of the findings that it could not have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.assets import dataset, model
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from tests.integration.operators.telling import tell
from tests.integration.steps.test_models import GOOD
from tests.integration.steps.test_observe import Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

KEY = "2026-03"


def said_of(make_world: Callable[[], World], *, labelled: float, **policy: Any) -> dict[str, str]:
    """The status of every finding of a monitor over a scored month."""
    world = make_world()
    with world.ledger() as ledger:
        watched = Watched(ledger, world.folder, GOOD)
        watched.first_champion()
        watched.ingest(3, labelled=labelled)
        watched.score(KEY)
    told = tell(
        ModelMonitorOperator(
            task_id="monitor",
            model=model("ride_late"),
            predictions=dataset("ride_scores", kind="prediction"),
            key_columns=["id"],
            partition_key=KEY,
            policy=policy,
        )
    )
    return {one["name"]: one["status"] for one in told.end["run"]["facets"]["test"]["tests"]}


@pytest.mark.parametrize(
    ("labelled", "policy", "status"),
    [
        (1.0, {}, {"decay": "pass", "prediction_drift": "pass", "input_drift": "pass"}),
        (0.0, {}, {"decay": "skip", "prediction_drift": "pass", "input_drift": "pass"}),
        (1.0, {"min_rows": 5000}, {"decay": "skip", "prediction_drift": "skip", "input_drift": "skip"}),
        (
            1.0,
            {"reference": "previous"},
            {"decay": "skip", "prediction_drift": "skip", "input_drift": "skip"},
        ),
    ],
    ids=["all of them", "without labels", "too few rows", "nothing to compare with"],
)
def test_what_could_not_be_found_is_not_told_as_passed(
    make_world: Callable[[], World], labelled: float, policy: dict[str, Any], status: dict[str, str]
) -> None:
    assert said_of(make_world, labelled=labelled, **policy) == status

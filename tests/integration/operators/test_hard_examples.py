"""A champion that teaches the next model, as tasks do it: hard examples, its scores, its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.assets import dataset
from airflow_dataml.core.errors import PolicyError
from airflow_dataml.operators.datasets import DatasetPublishOperator
from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from airflow_dataml.operators.hard_examples import HardExamplesOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from tests.integration.operators.harness import DEMAND, FEATURES, PREDICTIONS, SPEC, run
from tests.integration.operators.telling import tell
from tests.integration.operators.world import WINDOW
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration
HARD = dataset("ride_hard")
KEY = "2026-02"
TAUGHT = """
warm_start: champion
distill: {teacher: champion, weight: 0.3}
hard_examples: {dataset: ride_hard, weight: 2}
"""


def gathering(**options: Any) -> HardExamplesOperator:
    return HardExamplesOperator(
        task_id="gather", dataset=HARD, model=DEMAND, predictions=PREDICTIONS, key_columns=["id"], **options
    )


@pytest.mark.slow
def test_the_next_model_is_taught_by_the_champion(make_world: Callable[[], World]) -> None:
    world = make_world()
    for steps in (world.ingest(1), world.ingest(2), world.train(KEY)):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    scoring, key = next(iter(world.watch(KEY)))
    run(scoring, run_id=key, partition_key=key)

    told = tell(gathering(policy={"loss_quantile": 0.9}))
    assert (told.error, problems(told.start), problems(told.end)) == (None, [], [])
    read = {name.rpartition(".")[2] for _, name in told.names("inputs")}
    assert read >= {"ride_predictions", "ride_features"}, read
    assert told.names("inputs", at="start") <= told.names("inputs")
    kept = run(DatasetPublishOperator(task_id="keep", dataset=HARD, staged=told.result, require_check=False))
    assert (kept["version"], kept["rows"] > 50) == ("ride_hard@1", True)

    plan = run(
        TrainingPlanOperator(
            task_id="plan", model=DEMAND, dataset=FEATURES, target="late", window=WINDOW, because="a test"
        )
    )
    spec = world.folder / "taught.yml"
    spec.write_text(SPEC + TAUGHT)
    trained = run(ModelTrainOperator(task_id="train", model=DEMAND, plan=plan, spec=str(spec)))
    again = run(ModelTrainOperator(task_id="train", model=DEMAND, plan=plan, spec=str(spec)), try_number=2)
    assert again == trained
    with world.ledger() as ledger:
        version = ledger.versions.find(trained["version"])
        assert version.facts["guidance"] == {
            "warm_start": "ride_late@1",
            "teacher": "ride_late@1",
            "hard_examples": "ride_hard@1",
        }
        graph = ledger.lineage.walk(f"version:{version.version_id}", direction="upstream", depth=2)
        kinds = {kind for _, target, kind in graph.edges if target == f"version:{version.version_id}"}
        assert kinds >= {"trained_on", "warm_started", "taught", "weighted"}
        labels = {node.label for node in graph.nodes}
        assert {"ride_hard@1", "ride_predictions@1", "ride_features@2", "ride_late@1"} <= labels
    found = run(
        ModelEvaluateOperator(task_id="judge", challenger=trained["version"], policy={"min_rows": 300})
    )
    with world.ledger() as ledger:
        body = ledger.reports.get(found["report"]).body
    assert (body["champion_ref"], body["challenger_ref"]) == ("ride_late@1", "ride_late@2")


def test_without_a_champion_it_skips_and_says_so(make_world: Callable[[], World]) -> None:
    make_world()
    with pytest.raises(
        AirflowSkipException, match="No hard examples of 'ride_late': model 'ride_late' has no"
    ):
        run(gathering())


def test_a_policy_that_asks_for_everything_is_refused(make_world: Callable[[], World]) -> None:
    make_world()
    with pytest.raises(PolicyError, match="loss_quantile"):
        run(gathering(policy={"loss_quantile": 0}))

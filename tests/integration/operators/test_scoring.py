"""The scoring operator on a model that was really trained: the same scores as from a file, rules and explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.errors import SpecError
from airflow_dataml.operators.scoring import ModelScoreOperator
from tests.integration.operators.harness import DEMAND, FEATURES, PREDICTIONS, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.operators.world import World

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KEY = "2026-02"


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A world with ``ride_late@1``, champion."""
    world = make_world()
    for steps in (world.ingest(1), world.ingest(2), world.train(KEY)):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    return world


def test_rules_from_a_file_and_explanations_and_the_scores_of_the_files_model(
    world: World, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "humility:\n- {name: new kind, feature: kind, action: abstain}\n- {name: any, band: [0, 1]}\n"
    )
    operator = ModelScoreOperator(
        task_id="score",
        model=DEMAND,
        dataset=FEATURES,
        predictions=PREDICTIONS,
        key_columns=["id"],
        humility=str(rules),
        explain_extremes=3,
    )
    told = run(operator, run_id=KEY, partition_key=KEY)
    [model] = {path.parent for path in (world.folder / "artifacts").rglob("model.onnx")}
    with world.ledger() as ledger:
        version = ledger.versions.find(told["version"])
        report = ledger.reports.latest(asset=PREDICTIONS.name, kind="scoring", version_id=version.version_id)
        rows = ledger.connection.rows(
            "SELECT id, km, kind, score, action, model_score FROM public.ride_predictions "
            "JOIN public.ride_features USING (id) ORDER BY id"
        )
    expected = OnnxScorer.load(model).score({name: [row[name] for row in rows] for name in ("km", "kind")})
    assert [row["score"] for row in rows] == expected.tolist()
    assert {row["action"] for row in rows} == {"note"}
    assert report is not None
    assert [one["rows"] for one in report.body["humility"]] == [0, len(rows)]
    explained = report.body["predictions_explained"]
    assert [one["end"] for one in explained] == ["high"] * 3 + ["low"] * 3
    by_id = {str(row["id"]): row["model_score"] for row in rows}
    assert all(by_id[one["key"]["id"]] == one["score"] for one in explained)
    assert explained[0]["score"] == max(by_id.values())
    assert {f["feature"] for f in explained[0]["features"]} == {"km", "kind"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"humility": [{"name": "x"}]}, "either a feature or a band"),
        ({"humility": [{"name": "x", "band": [0, 1], "action": "override"}]}, "needs a value"),
        ({"humility": [{"name": "x", "band": [0.6, 0.4]}]}, "which no score lies in"),
        ({"humility": "/nowhere.yaml"}, "cannot be read"),
        ({"humility": [{"name": "x", "band": [0, 1]}, {"name": "x", "band": [0, 1]}]}, "names of their own"),
    ],
    ids=["no condition", "no value", "upside down", "no file", "one name"],
)
def test_a_rule_that_says_nothing_is_refused(
    make_world: Callable[[], World], options: dict[str, object], words: str
) -> None:
    make_world()
    operator = ModelScoreOperator(
        task_id="score", model=DEMAND, dataset=FEATURES, predictions=PREDICTIONS, key_columns=["id"], **options
    )  # fmt: skip
    with pytest.raises(SpecError, match=words):
        run(operator, partition_key=KEY)

"""The story of one prediction: which values, checks, model, training and approvals are behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.graph_names import NameGraph
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.steps.lineage_explain import explain
from tests.integration.steps.test_models import GOOD, POOR, Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration


@pytest.fixture
def deployment(ledger: PostgresLedger, tmp_path: Path) -> Deployment:
    made = Deployment(ledger, tmp_path, POOR, GOOD)
    made.first_champion()
    made.score("2026-01")
    return made


def story(deployment: Deployment, ref: str, **keys: Any) -> dict[str, Any]:
    ledger = deployment.ledger
    decisions = NameGraph(ledger.connection).decisions
    return explain(ledger=ledger, warehouse=ledger.warehouse, decisions=decisions, ref=ref, keys=keys)


def test_one_prediction(deployment: Deployment) -> None:
    told = story(deployment, "ride_scores", id=10_007)
    assert (told["prediction"]["id"], told["prediction"]["version"]) == (10_007, "ride_scores@1")
    assert 0 <= told["prediction"]["score"] <= 1
    assert told["features"]["version"] == "rides@2"
    line = deployment.folder.joinpath("2026-01.csv").read_text().splitlines()[8].split(",")
    assert (line[0], told["features"]["values"]["km"]) == ("10007", pytest.approx(float(line[2])))
    assert (told["model"]["version"], told["model"]["aliases"]) == ("ride_late@1", ["champion"])
    assert told["model"]["trained_on"] == ["rides@2"]
    assert {one["kind"] for one in told["reports"]} == {"training", "evaluation", "decision"}
    assert told["approvals"]


def test_a_row_of_an_older_batch_is_told_by_the_models_that_made_it(deployment: Deployment) -> None:
    second, evaluation = deployment.challenge()
    deployment.promote("second", evaluation)
    deployment.score("2026-02")
    old, new = (story(deployment, "ride_scores", id=i) for i in (10_007, 20_007))
    assert (old["prediction"]["version"], old["model"]["version"]) == ("ride_scores@1", "ride_late@1")
    assert (new["prediction"]["version"], new["model"]["version"]) == ("ride_scores@2", second.ref)


def test_a_whole_batch_and_a_model(deployment: Deployment) -> None:
    told = story(deployment, "ride_scores")
    assert told["features"]["version"] == "rides@2"
    assert [(one["role"], one["version"]) for one in told["models"]] == [("champion", "ride_late@1")]
    assert story(deployment, "ride_late@1")["model"]["target"] == "late"


def test_what_is_not_there_is_said(deployment: Deployment) -> None:
    with pytest.raises(NotFoundError, match="has no prediction with id=7"):
        story(deployment, "ride_scores", id=7)
    with pytest.raises(NotFoundError, match="column of ride_scores@1"):
        story(deployment, "ride_scores", ride=7)
    with pytest.raises(SpecError, match="rides@2 is a dataset"):
        story(deployment, "rides")

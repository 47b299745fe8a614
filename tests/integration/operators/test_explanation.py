"""Explaining a really trained model and writing its card, as tasks do."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import PolicyError, SpecError
from airflow_dataml.operators.card import ModelCardOperator
from airflow_dataml.operators.explanation import ModelExplainOperator
from tests.integration.operators.harness import context, run
from tests.integration.operators.telling import tell
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration


def trained(world: World) -> str:
    """Bring two months in and train; returns the version."""
    for steps in (world.ingest(1), world.ingest(2), world.train("2026-02")):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    return str(world.results["train", "2026-02"]["version"])


@pytest.mark.slow
def test_a_trained_model_is_explained_and_described(make_world: Callable[[], World]) -> None:
    world = make_world()
    ref = trained(world)
    explain: dict[str, Any] = {"version": ref, "repeats": 5, "slices": ["kind"], "extremes": 4}
    told = tell(ModelExplainOperator(task_id="explain", **explain))
    assert told.error is None
    assert (problems(told.start), problems(told.end)) == ([], [])
    # Long rides are late; which kind they were, the harness draws by chance.
    assert told.result["shares"]["km"] > 0.9
    with world.ledger() as ledger:
        body = ledger.reports.get(told.result["report"]).body
    assert body["features"][0]["importance"]["low"] > 0
    assert {one["value"] for one in body["slices"]} == {"bike", "car", "tram"}
    assert sum(one["rows"] for one in body["slices"]) == body["rows"]
    assert all(one["features"][0]["feature"] == "km" for one in body["predictions"])
    again = run(ModelExplainOperator(task_id="explain", **explain), try_number=2)
    assert again["report"] == told.result["report"]
    described(world, ref)


def described(world: World, ref: str) -> None:
    """Its card holds the explanation, in each language, and the file is what was kept."""
    for form in ("markdown", "html", "json"):
        path = world.folder / "cards" / f"card.{form}"
        write = ModelCardOperator(task_id=f"card_{form}", version=ref, format=form, path=str(path))
        told = tell(write)
        assert (told.error, problems(told.start), problems(told.end)) == (None, [], [])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == told.result["digest"]
        assert (told.result["verdict"], told.result["missing"]) == ("fail", ["description"])
        path.unlink()
        assert run(write, try_number=2)["report"] == told.result["report"]
        assert path.exists()
    data = json.loads((world.folder / "cards" / "card.json").read_text())
    [explained] = [one for one in data["sections"] if one["title"] == "Explanation"]
    assert explained["blocks"][2]["rows"][0][0] == "km"
    assert "<h2>Explanation</h2>" in (world.folder / "cards" / "card.html").read_text()


def on_a_branch(task_id: str) -> dict[str, Any]:
    said = context(task_id)
    said["dag_run"].conf = {"dataml_branch": "dev"}
    return said


def test_on_a_branch_both_are_refused() -> None:
    with pytest.raises(SpecError, match="an explanation of 'ride_late' would be everybody's"):
        ModelExplainOperator(task_id="e", version="ride_late@1").execute(on_a_branch("e"))
    with pytest.raises(SpecError, match="the card of 'ride_late' would be everybody's"):
        ModelCardOperator(task_id="c", version="ride_late@1").execute(on_a_branch("c"))


def test_what_was_written_wrongly_is_refused_before_any_work() -> None:
    with pytest.raises(PolicyError, match="repeats"):
        run(ModelExplainOperator(task_id="e", version="ride_late@1", repeats=1))
    with pytest.raises(PolicyError, match="critical"):
        run(ModelCardOperator(task_id="c", version="ride_late@1", controls={"critical": ["luck"]}))
    with pytest.raises(
        SpecError, match="format 'pdf' of a card is not known: give one of markdown, html, json"
    ):
        ModelCardOperator(task_id="c", version="ride_late@1", format="pdf")  # type: ignore[arg-type]

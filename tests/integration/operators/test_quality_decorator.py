"""``@task.quality_check``: the function decides on the contract when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task

from airflow_dataml.core.errors import QualityGateError, SpecError
from tests.integration.operators.harness import RIDES, context, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """January as readers see it."""
    made = make_world()
    for operator, key in made.ingest(1):
        made.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    return made


def operator(answer: Any, **said: Any) -> Any:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @task.quality_check(**({"dataset": RIDES} | said))
        def rides_hold(least: int) -> Any:
            return answer(least) if callable(answer) else answer

        return rides_hold(5).operator


def test_a_function_gives_the_path(world: World) -> None:
    found = operator(str(world.folder / "rides.yml")).execute(context("rides_hold"))
    assert (found["version"], found["verdict"]) == ("rides@1", "pass")


def test_a_function_gives_the_text_and_its_arguments_count(world: World) -> None:
    text = (world.folder / "rides.yml").read_text()

    def answer(least: int) -> str:
        return text.replace("must_be_greater_than: 10", f"must_be_less_than: {least}")

    with pytest.raises(QualityGateError, match="expected < 5"):
        operator(answer).execute(context("rides_hold"))


def test_a_function_decides_more_than_the_contract(world: World) -> None:
    text = (world.folder / "rides.yml").read_text().replace("must_be_greater_than: 10", "must_be: '${var.n}'")
    said = {
        "contract": text + "variables: {n: {type: number}}\n",
        "variables": {"n": "1500"},
        "version": "rides@1",
    }
    assert operator(said).execute(context("rides_hold"))["verdict"] == "pass"


def test_a_staged_batch_is_checked_as_by_the_operator(world: World) -> None:
    staged = world.results["stage", "2026-01"]
    checked = operator(str(world.folder / "rides.yml"), staged=staged, scope="batch")
    assert checked.execute(context("rides_hold"))["verdict"] == "pass"


@pytest.mark.parametrize("answer", [None, "", 3, {}, {"contract": ""}], ids=repr)
def test_anything_but_a_contract_is_refused(world: World, answer: Any) -> None:
    with pytest.raises(SpecError, match="expects a contract's path or text"):
        operator(answer).execute(context("rides_hold"))


def test_a_word_it_does_not_know_gets_a_hint(world: World) -> None:
    with pytest.raises(SpecError, match=r"'variable' does not exist. Did you mean 'variables'"):
        operator({"contract": "rides.yml", "variable": {}}).execute(context("rides_hold"))

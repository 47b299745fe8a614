"""``@task.model_monitor``: the function decides how a batch is watched when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task

from airflow_dataml.assets import dataset, model
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.monitoring import MonitorPolicy
from tests.integration.operators.harness import context
from tests.integration.steps.test_models import GOOD, Deployment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

KEY = "2026-03"


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """March, scored by a champion."""
    made = make_world()
    with made.ledger() as ledger:
        deployment = Deployment(ledger, made.folder, GOOD)
        deployment.first_champion()
        deployment.ingest(3)
        deployment.score(KEY)
    return made


def operator(answer: Any, **said: Any) -> Any:
    given = {
        "model": model("ride_late"),
        "predictions": dataset("ride_scores", kind="prediction"),
        "key_columns": ["id"],
        "partition_key": KEY,
    }
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @task.model_monitor(**(given | said))
        def watch(rows: int) -> Any:
            return answer(rows) if callable(answer) else answer

        return watch(700).operator


def test_a_function_gives_the_policy(world: World) -> None:
    found = operator(lambda rows: {"min_rows": rows, "alarm_budget": 90}).execute(context("watch"))
    assert found["verdict"] == "pass"
    with world.ledger() as ledger:
        body = ledger.reports.get(found["report"]).body
    assert body["policy"]["min_rows"] == 700
    assert body["over_time"]["budget"] == 90


@pytest.mark.parametrize("answer", [None, MonitorPolicy(min_rows=10**6)], ids=["the task's own", "a policy"])
def test_a_function_may_leave_it_to_the_task(world: World, answer: Any) -> None:
    found = operator(answer, policy={"min_rows": 10**6}).execute(context("watch"))
    assert found["verdict"] == "unknown"


def test_anything_but_a_policy_is_refused(world: World) -> None:
    with pytest.raises(SpecError, match="expects a MonitorPolicy, a mapping of its fields"):
        operator(3).execute(context("watch"))


def test_a_word_it_does_not_know_gets_a_hint(world: World) -> None:
    with pytest.raises(SpecError, match=r"'min_row' does not exist. Did you mean 'min_rows'"):
        operator({"min_row": 3}).execute(context("watch"))

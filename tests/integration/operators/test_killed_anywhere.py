"""Kill -9 of any task at any statement, then retry: the same ledger as an undisturbed run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.operators.quality import QualityCheckOperator
from tests.integration.operators.harness import run
from tests.integration.operators.world import World, snapshot
from tests.killing import killed_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.operators.base import DataMLOperator

# One kill in each stretch of a task's database statements; the longest task sends about fifty.
_STRETCHES = (range(4), range(4, 12), range(12, 30), range(30, 50))


def story(world: World) -> Iterator[tuple[DataMLOperator, str]]:
    """Every operator of the package, in the order a deployment would run them."""
    yield from world.ingest(1)
    yield from world.ingest(2)
    yield from world.look("2026-02")
    yield from world.train("2026-02")
    yield from world.ingest(3, shift=6.0)
    yield from world.watch("2026-03")
    yield from world.train("2026-03")


def finish(world: World, operator: DataMLOperator, key: str, *, try_number: int = 1) -> None:
    """Run a task to its end and keep what it returns."""
    try:
        world.results[operator.task_id, key] = run(
            operator, run_id=key, partition_key=key, try_number=try_number
        )
    except AirflowSkipException:
        world.results[operator.task_id, key] = None


def disturbed(world: World, operator: DataMLOperator, key: str, points: list[int]) -> int:
    """Kill a task at each point in turn, then let it finish; returns how often it was killed."""
    killed = 0
    for index, point in enumerate(points):

        def attempt(try_number: int = index + 1) -> Any:
            return run(operator, run_id=key, partition_key=key, try_number=try_number)

        killed += killed_after(point, attempt)
    finish(world, operator, key, try_number=len(points) + 1)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2026])
def test_a_story_killed_at_random_ends_as_an_undisturbed_one(
    make_world: Callable[[], World], seed: int
) -> None:
    calm = make_world()
    for operator, key in story(calm):
        finish(calm, operator, key)
    expected = snapshot(calm)

    rough, draw, killed = make_world(), random.Random(seed), {}  # noqa: S311 - where to kill
    for operator, key in story(rough):
        points = [draw.choice(stretch) for stretch in _STRETCHES]
        name = type(operator).__name__
        killed[name] = killed.get(name, 0) + disturbed(rough, operator, key, points)

    assert snapshot(rough) == expected
    assert min(killed.values()) > 0, f"some operator was never killed: {killed}"


def checks(world: World) -> Iterator[tuple[DataMLOperator, str]]:
    """A batch, a version and a table are verified; quick, because nothing is trained."""
    yield from world.ingest(1)
    yield from world.look("2026-01")


def test_a_check_killed_at_any_statement_leaves_one_report(make_world: Callable[[], World]) -> None:
    calm = make_world()
    for operator, key in checks(calm):
        finish(calm, operator, key)
    expected = snapshot(calm)

    rough, killed = make_world(), {}
    for operator, key in checks(rough):
        points = list(range(0, 36, 4)) if isinstance(operator, QualityCheckOperator) else []
        killed[operator.task_id] = disturbed(rough, operator, key, points)

    assert snapshot(rough) == expected
    assert {name for name, count in killed.items() if count > 2} == {"audit", "look", "look_at_table"}

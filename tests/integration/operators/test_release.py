"""The operators that switch what readers see, killed anywhere too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import ApprovalDeniedError, SpecError
from airflow_dataml.operators.release import ModelRollbackOperator, ReleaseOperator
from tests.integration.operators.harness import DEMAND, RIDES, context, run
from tests.killing import killed_after
from tests.releasing import register_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration
NAME = DEMAND.name


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """Readers see the second version of ``rides`` and of a model."""
    world = make_world()
    for month in (1, 2):
        for operator, key in world.ingest(month, rows=50):
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    with world.ledger() as ledger:
        register_versions(ledger, NAME, 2)
    return world


def _context(task_id: str) -> Any:
    return context(task_id)


def standing(world: World) -> tuple[str, str, int]:
    with world.ledger() as ledger:
        head, champion = ledger.versions.head("rides"), ledger.versions.alias(NAME, "champion")
        rows = ledger.connection.scalar("SELECT count(*) FROM public.rides")
    assert head is not None
    assert champion is not None
    return head.ref, champion.ref, rows


def releasing(**said: Any) -> ReleaseOperator:
    given: dict[str, Any] = {
        "datasets": {RIDES: "rides@1"},
        "models": {DEMAND: {"version": f"{NAME}@1"}},
        "reason": "why",
    }
    return ReleaseOperator(task_id="release", **(given | said))


def test_a_release_moves_all_and_announces_what_moved(world: World) -> None:
    operator, said = releasing(), _context("release")
    found = operator.execute(said)
    assert standing(world) == ("rides@1", f"{NAME}@1", 50)
    assert [entry["version"] for entry in found["entries"]] == [f"{NAME}@1", "rides@1"]
    events = said["outlet_events"]
    assert events.extras["rides"]["dataml"]["version"] == "rides@1"
    assert [(name, extra["dataml"]["version"]) for name, extra in events.added] == [(NAME, f"{NAME}@1")]
    assert run(releasing(), try_number=2) == found


def test_what_does_not_move_has_no_event(world: World) -> None:
    operator, said = releasing(datasets={RIDES: "rides@2"}), _context("release")
    operator.execute(said)
    assert standing(world) == ("rides@2", f"{NAME}@1", 100)
    assert said["outlet_events"].extras == {}
    assert RIDES not in operator.outlets


def test_without_the_approval_nothing_moves(world: World) -> None:
    with pytest.raises(ApprovalDeniedError, match="nobody was asked"):
        run(releasing(approval={"required": 1}))
    assert standing(world) == ("rides@2", f"{NAME}@2", 100)


def test_a_version_is_asked_for_by_name(world: World) -> None:
    with pytest.raises(SpecError, match="a version of 'rides' was expected"):
        run(releasing(datasets={RIDES: 1}))


def test_a_model_is_rolled_back_once_whatever_is_retried(world: World) -> None:
    operator, said = (
        ModelRollbackOperator(task_id="back", model=DEMAND, to=f"{NAME}@1", reason="worse"),
        _context("back"),
    )
    found = operator.execute(said)
    assert (found["version"], found["left"]) == (f"{NAME}@1", f"{NAME}@2")
    assert [(name, extra["dataml"]["version"]) for name, extra in said["outlet_events"].added] == [
        (NAME, f"{NAME}@1")
    ]
    assert run(operator, try_number=2) == found
    assert (
        run(ModelRollbackOperator(task_id="forth", model=DEMAND, reason="not worse"))["version"]
        == f"{NAME}@2"
    )


@pytest.mark.parametrize("point", range(1, 60, 12))
def test_a_killed_release_leaves_all_or_nothing(world: World, point: int) -> None:
    killed_after(point, lambda: run(releasing()))
    assert standing(world) in {("rides@2", f"{NAME}@2", 100), ("rides@1", f"{NAME}@1", 50)}
    run(releasing(), try_number=2)
    assert standing(world) == ("rides@1", f"{NAME}@1", 50)
    with world.ledger() as ledger:
        assert ledger.connection.scalar("SELECT count(*) FROM dataml.audit WHERE action = 'release'") == 2

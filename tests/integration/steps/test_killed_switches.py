"""``kill -9`` while a champion or a release is switched: one decision, one move of each alias, and no reader sees a mix."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.holding import hold_views
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.release import DatasetTarget, ReleaseRequest
from airflow_dataml.steps.promote import promote_model
from airflow_dataml.steps.release import release
from tests.integration.steps.test_models import GOOD, POOR, Deployment
from tests.integration.steps.test_release import CAR, Reader, World, in_one_statement
from tests.killing import killed_after
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

# What a decision wrote, whichever try of its task it was.
_WROTE = {
    "decisions": "SELECT a.name, count(*) FROM dataml.report r JOIN dataml.asset a USING (asset_id) "
    "WHERE r.kind = 'decision' GROUP BY 1 ORDER BY 1",
    "moves": "SELECT a.name, h.name AS alias, count(*) FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id) "
    "GROUP BY 1, 2 ORDER BY 1, 2",
    "versions": "SELECT a.name, count(*) FROM dataml.version v JOIN dataml.asset a USING (asset_id) GROUP BY 1 ORDER BY 1",
    "audit": "SELECT action, count(*) FROM dataml.audit GROUP BY 1 ORDER BY 1",
    "told": "SELECT payload ->> 'alias' AS alias, count(*) FROM dataml.outbox GROUP BY 1 ORDER BY 1",
}
_STANDING = """
SELECT (SELECT v.number FROM dataml.alias l JOIN dataml.version v USING (version_id) WHERE l.name = 'champion'),
       (SELECT v.number FROM dataml.alias l JOIN dataml.version v USING (version_id) WHERE l.name = 'previous'),
       (SELECT count(*) FROM dataml.report WHERE kind = 'decision'),
       (SELECT count(*) FROM dataml.audit WHERE action = 'promote')
"""


def wrote(ledger: PostgresLedger) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: [tuple(row.values()) for row in ledger.connection.rows(sql)] for name, sql in _WROTE.items()
    }


def grown(
    before: dict[str, list[tuple[Any, ...]]], after: dict[str, list[tuple[Any, ...]]]
) -> dict[str, Any]:
    """What was written in between, by what and of what."""
    found: dict[str, Any] = {}
    for name, rows in after.items():
        held = {row[:-1]: row[-1] for row in before[name]}
        found[name] = {
            "/".join(row[:-1]): row[-1] - held.get(row[:-1], 0)
            for row in rows
            if row[-1] > held.get(row[:-1], 0)
        }
    return found


def read_by(dsn: str, look: Callable[[psycopg.Connection[Any]], tuple[Any, ...]]) -> Reader:
    reader = Reader(dsn, look)
    reader.start()
    return reader


def stopped(reader: Reader) -> set[tuple[Any, ...]]:
    reader.stop.set()
    reader.join()
    assert reader.error is None
    return set(reader.seen)


def points(seed: int) -> Iterator[int]:
    """Statements to die at, each later than the one before by chance."""
    draw, point = random.Random(seed), 0  # noqa: S311 - where to kill
    while True:
        yield point
        point += draw.randint(1, 4)


def killed_on_the_way(seed: int, work: Callable[[], Any]) -> int:
    """Kill work at later and later statements until it reaches its end; returns how often it was killed."""
    for killed, point in enumerate(points(seed)):
        if not killed_after(point, work):
            return killed
    raise AssertionError


@pytest.mark.parametrize("seed", [1, 2])
def test_a_promotion_is_one_decision_and_one_move_of_each_alias(
    ledger: PostgresLedger, postgres_dsn: str, tmp_path: Path, seed: int
) -> None:
    deployment = Deployment(ledger, tmp_path, POOR, GOOD)
    deployment.first_champion()
    version, evaluation = deployment.challenge()
    before = wrote(ledger)

    def work() -> Any:
        with PostgresLedger.connect(postgres_dsn) as other:
            return promote_model(
                ledger=other,
                identity=identity("promote", "second"),
                model="ride_late",
                evaluation=evaluation.report_id,
            )

    reader = read_by(postgres_dsn, lambda connection: connection.execute(_STANDING).fetchone() or ())
    assert killed_on_the_way(seed, work) > 5
    again = work()
    assert stopped(reader) <= {(1, None, 1, 1), (2, 1, 2, 2)}
    assert again.body["version"] == version.ref
    assert grown(before, wrote(ledger)) == {
        "decisions": {"ride_late": 1},
        "moves": {f"ride_late/{alias}": 1 for alias in ("candidate", "champion", "previous")},
        "versions": {},
        "audit": {"promote": 1},
        "told": dict.fromkeys(("candidate", "challenger", "champion", "previous"), 1),
    }
    assert ledger.audit.verify()[1] is None


@pytest.mark.parametrize("seed", [1, 2])
def test_a_release_of_a_staged_batch_and_a_model_is_never_mixed(
    ledger: PostgresLedger, postgres_dsn: str, seed: int
) -> None:
    world = World(ledger)
    staged = world.rides.stage([CAR])
    wanted = ReleaseRequest(
        datasets=(
            DatasetTarget(world.rides.place(), staged),
            DatasetTarget(world.hires.place(), "hires@1"),
        ),
        models={"demand": "demand@1"},
        reason="they belong together",
        require_check=False,
    )
    before = wrote(ledger)

    def work() -> Any:
        with PostgresLedger.connect(postgres_dsn) as other:
            return release(
                ledger=other,
                store=other.store,
                identity=identity("release", "r1"),
                wanted=wanted,
                hold=lambda places: hold_views(other.connection, places),
            )

    reader = read_by(postgres_dsn, in_one_statement)
    assert killed_on_the_way(seed, work) > 10
    first, again = work(), work()
    assert stopped(reader) <= {(2, 2, 2), (3, 1, 1)}
    assert first.to_dict() == again.to_dict()
    assert [version.ref for version in again.versions] == ["demand@1", "hires@1", "rides@3"]
    assert grown(before, wrote(ledger)) == {
        "decisions": {"demand": 1, "hires": 1, "rides": 1},
        "moves": {"demand/champion": 1, "demand/previous": 1, "hires/current": 1, "rides/current": 1},
        "versions": {"rides": 1},
        "audit": {"publish": 1, "release": 3},
        "told": {"champion": 1, "previous": 1},
    }
    assert world.rides.view() == world.rides.read("rides@3")
    assert ledger.audit.verify()[1] is None

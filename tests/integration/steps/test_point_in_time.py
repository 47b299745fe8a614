"""Point-in-time joins on PostgreSQL, against a search of every row by every row."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import NotFoundError, SpecError, VersionNotFoundError
from airflow_dataml.core.point_in_time import PointInTimeJoin
from airflow_dataml.steps.ingest import Target
from airflow_dataml.steps.point_in_time import stage_point_in_time
from tests.integration.steps.rides import Rides
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart

RIDES = (Column("id", "bigint"), Column("zone", "text"), Column("at", "timestamptz"))
FARES = (Column("zone", "text"), Column("since", "timestamptz"), Column("fare", "double precision"))
START = datetime(2026, 3, 1, tzinfo=UTC)


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


@dataclass
class World:
    """Rides, fares by zone and time, and what is made of both."""

    ledger: PostgresLedger
    count: int = 0
    fares: Rides = field(init=False)
    rides: Rides = field(init=False)

    def __post_init__(self) -> None:
        self.fares, self.rides = Rides(self.ledger, "fares"), Rides(self.ledger, "rides")
        declare(self.ledger, "priced")
        self.ledger.assets.set_location("priced", {"table": "public.priced"})

    def ride(self, rows: Sequence[Any], **how: Any) -> None:
        self.rides.write(rows, columns=RIDES, **how)

    def fare(self, rows: Sequence[Any], **how: Any) -> None:
        self.fares.write(rows, columns=FARES, **how)

    def stage(self, *, run: str | None = None, known_at: datetime | None = None, **join: Any) -> StagedPart:
        self.count += 1
        described = {"dataset": "fares", "keys": ["zone"], "time_column": "since", "columns": ["fare"]}
        return stage_point_in_time(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("join", run or f"join{self.count}"),
            target=Target("priced", "append", location="public.priced"),
            spine="rides",
            time_column="at",
            joins=[PointInTimeJoin.model_validate(described | join)],
            known_at=known_at.isoformat() if known_at else None,
        )

    def joined(self, **how: Any) -> dict[int, float | None]:
        table = self.stage(**how).relation
        rows = self.ledger.connection.rows(f"SELECT id, fare FROM {table} ORDER BY id")
        return {row["id"]: row["fare"] for row in rows}


@pytest.fixture
def world(ledger: PostgresLedger) -> World:
    return World(ledger)


def test_the_newest_that_is_not_later_is_taken(world: World) -> None:
    world.fare([("a", hour(1), 1.0), ("a", hour(3), 3.0), ("b", hour(2), 2.0), (None, hour(0), 9.0)])
    world.ride(
        [(1, "a", hour(0)), (2, "a", hour(1)), (3, "a", hour(2)), (4, "a", hour(9)), (5, "b", hour(9)), (6, None, hour(9))]
    )  # fmt: skip
    assert world.joined() == {1: None, 2: 1.0, 3: 1.0, 4: 3.0, 5: 2.0, 6: None}


def test_what_is_too_old_adds_nothing(world: World) -> None:
    world.fare([("a", hour(1), 1.0)])
    world.ride([(1, "a", hour(1.5)), (2, "a", hour(2)), (3, "a", hour(3))])
    assert world.joined(max_age=3600) == {1: 1.0, 2: None, 3: None}


def test_keys_may_have_other_names_and_columns_a_prefix(world: World) -> None:
    fares = (Column("area", "text"), *FARES[1:])
    world.fares.write([("a", hour(1), 1.0)], columns=fares)
    world.ride([(1, "a", hour(2))])
    staged = world.stage(keys={"zone": "area"}, prefix="zone_")
    [row] = world.ledger.connection.rows(f"SELECT * FROM {staged.relation}")
    assert row == {"id": 1, "zone": "a", "at": hour(2), "zone_fare": 1.0}


def test_of_equal_times_it_is_always_the_same(world: World) -> None:
    world.fare([("a", hour(1), 2.0), ("a", hour(1), 1.0)])
    world.ride([(1, "a", hour(1))])
    assert world.joined() == {1: 2.0}


def test_a_correction_changes_nothing_of_what_was_known_before(world: World) -> None:
    world.fare([("a", hour(1), 1.0)], mode="partition", key="march")
    world.ride([(1, "a", hour(2))])
    then = world.ledger.connection.scalar("SELECT now()")
    before = world.joined(known_at=then)
    world.fare([("a", hour(1), 100.0)], mode="partition", key="march")
    assert (before, world.joined(known_at=then), world.joined()) == ({1: 1.0}, {1: 1.0}, {1: 100.0})


def test_a_row_knows_what_readers_could_see_at_its_time(world: World) -> None:
    world.fare([("a", hour(1), 1.0)], mode="partition", key="march")
    world.fare([("a", hour(1), 2.0)], mode="partition", key="march")
    world.fare([("b", hour(1), 3.0)], mode="replace")
    version = world.ledger.versions.find("fares")
    first, second, third = (
        moment for _, moment in world.ledger.versions.seen("fares", until=version.version_id)
    )
    world.ride([(1, "a", first - timedelta(hours=1)), (2, "a", first), (3, "a", second), (4, "a", third)])
    assert world.joined(known="then") == {1: None, 2: 1.0, 3: 2.0, 4: None}
    assert world.joined(known="finally") == {1: None, 2: None, 3: None, 4: None}


@pytest.mark.parametrize("seed", range(6), ids=str)
def test_it_is_what_a_search_of_every_row_finds(world: World, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a game of chance
    batches: list[tuple[str, list[tuple[str, datetime, float]]]] = []
    for _ in range(5):
        key = draw.choice("xyz")
        rows = [
            (draw.choice("abc"), hour(draw.randint(-9, 9)), draw.random()) for _ in range(draw.randint(1, 12))
        ]
        world.fare(rows, mode="partition", key=key)
        batches.append((key, rows))
    version = world.ledger.versions.find("fares")
    seen = [moment for _, moment in world.ledger.versions.seen("fares", until=version.version_id)]
    moments = [one + timedelta(microseconds=shift) for one in seen for shift in (-1, 0)] + [hour(0), hour(-5)]
    rides = [(number, draw.choice("abc"), draw.choice(moments)) for number in range(40)]
    world.ride(rides)

    def search(*, then: bool) -> dict[int, float | None]:
        found = {}
        for number, zone, at in rides:
            state: dict[str, list[tuple[tuple[datetime, datetime, float], str]]] = {}
            for (key, rows), moment in zip(batches, seen, strict=True):
                if not then or moment <= at:
                    state[key] = [
                        ((since, moment if then else START, fare), area) for area, since, fare in rows
                    ]
            there = [one for rows in state.values() for one, area in rows if area == zone and one[0] <= at]
            found[number] = max(there)[2] if there else None
        return found

    assert world.joined(known="then") == search(then=True)
    assert world.joined(known="finally") == search(then=False)


def test_every_version_it_read_is_its_lineage(world: World) -> None:
    world.fare([("a", hour(1), 1.0)], mode="partition", key="march")
    world.fare([("a", hour(1), 2.0)], mode="partition", key="march")
    world.ride([(1, "a", hour(2))])
    staged = world.stage(known="then")
    refs = {world.ledger.versions.by_id(one).ref for one in staged.inputs}
    assert refs == {"rides@1", "fares@1", "fares@2"}


def test_a_retry_finds_what_was_staged(world: World) -> None:
    world.fare([("a", hour(1), 1.0)])
    world.ride([(1, "a", hour(2))])
    assert world.stage(run="r") == world.stage(run="r")


@pytest.mark.parametrize(
    ("join", "error", "message"),
    [
        ({"columns": ["fares"]}, NotFoundError, "column of fares 'fares' does not exist. Did you mean 'fare'"),
        ({"keys": ["zones"]}, NotFoundError, "column of the rows 'zones' does not exist. Did you mean 'zone'"),
        ({"columns": ["zone"]}, SpecError, "adds a column 'zone', which the rows themselves have: give the join a prefix"),
        ({"dataset": "fares@9"}, VersionNotFoundError, "fares@9"),
    ],
    ids=["column", "key", "name taken", "version"],
)  # fmt: skip
def test_what_cannot_be_joined_is_refused_first(
    world: World, join: dict[str, Any], error: type[Exception], message: str
) -> None:
    world.fare([("a", hour(1), 1.0)])
    world.ride([(1, "a", hour(2))])
    with pytest.raises(error, match=message):
        world.stage(**join)
    assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.part") == 2


def test_names_that_need_quotes_are_quoted(world: World) -> None:
    fares = (
        Column('zo"ne', "text"),
        Column("Since", "timestamptz"),
        Column("100% fare; --", "double precision"),
    )
    world.fares.write([("a", hour(1), 1.0)], columns=fares)
    world.ride([(1, "a", hour(2))])
    staged = world.stage(
        keys={"zone": 'zo"ne'}, time_column="Since", columns=["100% fare; --"], known="then", dataset="fares"
    )
    [row] = world.ledger.connection.rows(f"SELECT * FROM {staged.relation}")
    assert row["100% fare; --"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ["a", "a"]}, "listed more than once"),
        ({"max_age": 0}, "greater than 0"),
        ({"known": "always"}, "'finally' or 'then'"),
        ({"keys": []}, "at least 1 item"),
    ],
    ids=["twice", "age", "known", "no key"],
)
def test_a_join_that_says_nothing_sensible_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PointInTimeJoin.model_validate(
            {"dataset": "fares", "keys": ["zone"], "time_column": "since", "columns": ["fare"]} | fields
        )

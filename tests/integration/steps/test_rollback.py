"""Rollbacks in a real ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.errors import SpecError, VersionNotFoundError
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.steps.branches import create_branch
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.retain import collect
from airflow_dataml.steps.rollback import RolledBack, roll_back
from tests.integration.steps.rides import Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

BIKE, BUS, CAR = (1, "bike", 1.0), (2, "bus", 2.0), (3, "car", 3.0)


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    """Three versions, each with one ride more."""
    made = Rides(ledger)
    for row in (BIKE, BUS, CAR):
        made.write([row])
    return made


def back(
    rides: Rides,
    to: str = "previous",
    *,
    run: str | None = None,
    reason: str = "it was wrong",
    branch: str | None = None,
) -> RolledBack:
    return roll_back(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("back", run or f"run{next(rides.runs)}"),
        place=rides.place(branch),
        to=to,
        reason=reason,
    )


def history(rides: Rides, alias: str = "current") -> list[int]:
    rows = rides.ledger.connection.rows(
        """SELECT v.number FROM dataml.alias_history h JOIN dataml.version v ON v.version_id = h.to_version
           WHERE h.name = %s ORDER BY h.entry_id""",
        [alias],
    )
    return [row["number"] for row in rows]


def test_readers_see_the_version_again(rides: Rides) -> None:
    found = back(rides, "rides@1")
    assert (found.version.ref, found.left) == ("rides@1", "rides@3")
    assert rides.view() == [BIKE]
    assert rides.ledger.versions.find("rides").ref == "rides@1"
    assert rides.read("rides@3") == [BIKE, BUS, CAR]
    assert history(rides) == [1, 2, 3, 1]


def test_it_is_a_decision_with_a_reason(rides: Rides) -> None:
    back(rides, reason="km was in miles")
    report = rides.ledger.reports.latest(asset="rides", kind="decision")
    assert report is not None
    assert (report.body["action"], report.body["reasons"]) == ("roll_back", ["km was in miles"])
    entry = rides.ledger.connection.one("SELECT * FROM dataml.audit ORDER BY seq DESC LIMIT 1")
    assert (entry["action"], entry["subject"]) == ("roll back", "rides@2")
    assert (entry["detail"]["left"], entry["detail"]["reason"]) == ("rides@3", "km was in miles")
    assert rides.ledger.audit.verify()[1] is None


def test_previous_twice_goes_back_twice_and_a_publication_goes_on_from_there(rides: Rides) -> None:
    assert [back(rides).version.number, back(rides).version.number] == [2, 1]
    assert rides.write([CAR]).number == 4
    assert rides.view() == [BIKE, CAR]
    assert back(rides).version.number == 1


def test_a_retry_of_previous_does_not_go_back_once_more(rides: Rides) -> None:
    first, again = back(rides, run="same"), back(rides, run="same")
    assert (first.version.ref, first.left) == (again.version.ref, again.left) == ("rides@2", "rides@3")
    assert history(rides) == [1, 2, 3, 2]
    assert len(rides.ledger.reports.list(asset="rides")) == 1


def test_a_retry_does_not_undo_what_came_after(rides: Rides) -> None:
    back(rides, run="same")
    rides.write([CAR])
    assert back(rides, run="same").version.ref == "rides@2"
    assert rides.ledger.versions.find("rides").ref == "rides@4"


def test_a_rollback_can_be_taken_back(rides: Rides) -> None:
    back(rides, "rides@1")
    assert back(rides, "rides@3").left == "rides@1"
    assert rides.view() == [BIKE, BUS, CAR]


def test_the_current_version_is_left_where_it_is(rides: Rides) -> None:
    found = back(rides, "rides@3")
    assert (found.version.ref, found.left) == ("rides@3", None)
    assert history(rides) == [1, 2, 3]
    assert rides.ledger.reports.list(asset="rides") == []


def test_by_time(rides: Rides) -> None:
    second = rides.ledger.versions.find("rides@2")
    moved = rides.ledger.connection.scalar(
        "SELECT moved_at FROM dataml.alias_history WHERE to_version = %s", [second.version_id]
    )
    assert back(rides, f"rides@{moved.isoformat()}").version.ref == "rides@2"


def test_equal_content_is_passed_over(rides: Rides) -> None:
    compacted = compact(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("compact"),
        place=rides.place(),
        policy=CompactionPolicy(),
    )
    assert compacted.ref == "rides@4"
    assert back(rides).version.ref == "rides@2"


@pytest.mark.parametrize("reason", ["", "  "], ids=["none", "blank"])
def test_a_reason_is_asked_for(rides: Rides, reason: str) -> None:
    with pytest.raises(SpecError, match="needs a reason"):
        back(rides, reason=reason)


def test_another_dataset_is_refused(rides: Rides) -> None:
    Rides(rides.ledger, "others").write([BIKE])
    with pytest.raises(SpecError, match=r"'rides' cannot be rolled back to 'others@1': write rides@<number>"):
        back(rides, "others@1")


def test_nothing_before_the_first(ledger: PostgresLedger) -> None:
    rides = Rides(ledger)
    rides.write([BIKE])
    with pytest.raises(VersionNotFoundError, match="shows rides@1, and nothing else led to it"):
        back(rides)


def test_collected_rows_are_said_to_be_gone_and_since_when(rides: Rides) -> None:
    rides.write([CAR], mode="replace")
    collect(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("collect"),
        asset="rides",
        policy=RetentionPolicy(keep_last=1),
    )
    with pytest.raises(
        VersionNotFoundError, match=r"rides@3 is known, and its rows were collected by retention on 20\d\d-"
    ):
        back(rides)
    assert rides.view() == [CAR]
    assert history(rides) == [1, 2, 3, 4]


def test_a_branch_goes_back_alone(rides: Rides) -> None:
    create_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("create"), name="dev-x")
    for row in ((4, "x", 4.0), (5, "y", 5.0)):
        rides.write([row], branch="dev-x")
    with pytest.raises(SpecError, match=r"rides@5 was never what readers of public\.rides saw"):
        back(rides, "rides@5")
    assert back(rides, branch="dev-x").version.ref == "rides@4"
    schema = rides.ledger.branches.schema_of("dev-x")
    assert len(rides.view(f'"{schema}".rides')) == 4
    assert back(rides, branch="dev-x").version.ref == "rides@3"
    assert rides.ledger.versions.find("rides").ref == "rides@3"
    assert not rides.ledger.branches.get("dev-x").changed

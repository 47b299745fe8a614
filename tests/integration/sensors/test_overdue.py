"""The batch that never came: the sensor, its trigger and the incident, on the real ledger."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.errors import AssetNotFoundError, GateError, PolicyError, SpecError
from airflow_dataml.sensors.overdue import DatasetOverdueSensor
from airflow_dataml.triggers.overdue import DatasetOverdueTrigger
from tests.integration.operators.harness import context

if TYPE_CHECKING:
    from tests.integration.waiting_facts import Facts

# Every 15 minutes, some seconds late; the last as long ago as a test says.
GAP = timedelta(minutes=15)
QUICK = {"season": "none", "min_history": 10}


def published(facts: Facts, *, ago: timedelta, versions: int = 16) -> None:
    """Publish versions at a regular pace up to some time ago."""
    last = datetime.now(UTC) - ago
    for number in range(versions):
        moment = last - GAP * (versions - 1 - number) + timedelta(seconds=number * 7 % 11 - 5)
        came(facts, last if number == versions - 1 else moment)


def came(facts: Facts, moment: datetime) -> None:
    """Publish one version at a time."""
    version = facts.version()
    facts.run(
        """INSERT INTO dataml.alias_history (asset_id, name, to_version, moved_at)
           SELECT asset_id, 'current', version_id, %s FROM dataml.version WHERE version_id = %s""",
        moment, version,
    )  # fmt: skip


def sensor(**said: Any) -> DatasetOverdueSensor:
    return DatasetOverdueSensor(**({"task_id": "watch", "dataset": "rides", "policy": QUICK} | said))


def deferred(work: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        work()
    return caught.value


def event_of(found: TaskDeferred, **changed: Any) -> dict[str, Any]:
    """Build the trigger anew, as a triggerer does, and run it."""
    path, arguments = found.trigger.serialize()
    assert path == "airflow_dataml.triggers.overdue.DatasetOverdueTrigger"

    async def first() -> Any:
        async for event in DatasetOverdueTrigger(**(arguments | changed)).run():
            return event.payload
        return None

    return asyncio.run(first())


class TestSensor:
    def test_what_is_on_time_is_waited_for_until_it_comes(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        waiting = sensor()
        found = deferred(lambda: waiting.execute(context("watch")))
        assert found.kwargs == {"since": 16}
        came(facts, datetime.now(UTC))
        event = event_of(found)
        assert event == {"status": "came"}
        done = waiting.resume(context("watch"), event, **found.kwargs)
        assert (done["lateness"], done["newest"]) == ("came", 17)

    def test_what_did_not_come_by_then_fails_and_opens_one_incident(self, facts: Facts) -> None:
        published(facts, ago=timedelta(hours=2))
        for run_id in ("r1", "r2"):
            with pytest.raises(
                GateError, match=r"no version of rides since rides@16 of .*An incident is open"
            ):
                sensor().execute(context("watch", run_id=run_id))
        with PostgresLedger.connect(facts.dsn) as ledger:
            [incident] = ledger.incidents.list()
            report = ledger.reports.get(incident.report_id)
        assert incident.title.startswith("the batch that never came: no version of rides")
        assert (incident.kind, report.kind, report.verdict) == ("data", "overdue", "fail")

    def test_it_may_be_told_instead(self, facts: Facts) -> None:
        published(facts, ago=timedelta(hours=2))
        assert sensor(on_overdue="return").execute(context("watch"))["lateness"] == "overdue"

    def test_the_incident_ends_when_the_version_came_after_all(self, facts: Facts) -> None:
        published(facts, ago=timedelta(hours=2))
        sensor(on_overdue="return").execute(context("watch"))
        came(facts, datetime.now(UTC) + timedelta(seconds=1))
        deferred(lambda: sensor().execute(context("watch", run_id="r2")))
        with PostgresLedger.connect(facts.dsn) as ledger:
            [incident] = ledger.incidents.list()
        assert (incident.state, incident.resolution) == ("resolved", "it came after all: rides@17")

    def test_an_event_is_only_a_reason_to_look_again(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        for event in ({"status": "due"}, None, {"status": "?"}):
            deferred(lambda event=event: sensor().resume(context("watch"), event, since=16))

    def test_a_young_dataset_is_not_late(self, facts: Facts) -> None:
        published(facts, ago=timedelta(days=9), versions=5)
        assert sensor().execute(context("watch"))["lateness"] == "unknown"

    def test_on_a_worker_it_pokes(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        waiting = sensor(deferrable=False)
        assert waiting.poke(context("watch")) is False
        came(facts, datetime.now(UTC))
        assert waiting.poke(context("watch")) is True
        assert waiting.execute(context("watch"))["lateness"] == "came"


class TestBadInput:
    def test_a_dataset_that_is_not_there_is_named(self, facts: Facts) -> None:
        published(facts, ago=GAP, versions=1)
        with pytest.raises(AssetNotFoundError, match="Did you mean 'rides'"):
            sensor(dataset="ride").execute(context("watch"))

    def test_a_policy_is_read_strictly(self, facts: Facts) -> None:
        published(facts, ago=GAP, versions=1)
        with pytest.raises(PolicyError, match="false_alarms"):
            sensor(policy={"false_alarms": 1}).execute(context("watch"))

    def test_a_mode_that_forgets_is_refused(self) -> None:
        with pytest.raises(SpecError, match="mode='reschedule' forgets"):
            sensor(deferrable=False, mode="reschedule")

    def test_a_trigger_that_broke_says_why(self, facts: Facts) -> None:
        with pytest.raises(SpecError, match="gone"):
            sensor().resume(context("watch"), {"status": "error", "message": "gone"})


class TestTrigger:
    def test_it_ends_when_the_time_is_over(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        found = deferred(lambda: sensor().execute(context("watch")))
        soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
        assert event_of(found, due=soon) == {"status": "due"}

    def test_a_mistake_ends_the_wait_with_its_reason(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        found = deferred(lambda: sensor().execute(context("watch")))
        event = event_of(found, dataml_conn_id="absent")
        assert event["status"] == "error"
        assert "'absent' is not defined" in event["message"]

    def test_no_secret_is_in_what_the_triggerer_keeps(self, facts: Facts) -> None:
        published(facts, ago=timedelta(minutes=5))
        found = deferred(lambda: sensor().execute(context("watch")))
        _, arguments = found.trigger.serialize()
        assert set(arguments) == {"dataset", "newer_than", "due", "dataml_conn_id", "poll_interval"}

"""The sensor and its trigger, the notifier, and the decorated transform."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferred

from airflow_dataml.core.errors import BackendError, SpecError
from airflow_dataml.notifications.incidents import IncidentNotifier
from airflow_dataml.sensors.datasets import DatasetVersionSensor
from airflow_dataml.triggers.datasets import DatasetVersionTrigger
from tests.integration.operators.harness import FEATURES, RIDES, context, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()


def ingest(world: World, month: int = 1) -> None:
    for operator, key in world.ingest(month):
        world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)


class TestSensor:
    def test_what_is_there_is_not_waited_for(self, world: World) -> None:
        ingest(world)
        assert run(DatasetVersionSensor(task_id="wait", dataset=RIDES, partition_key="2026-01")) == "rides@1"

    def test_what_is_not_there_is_waited_for_in_the_triggerer(self, world: World) -> None:
        ingest(world)
        with pytest.raises(TaskDeferred) as deferred:
            run(DatasetVersionSensor(task_id="wait", dataset=RIDES, partition_key="2026-02"))
        path, arguments = deferred.value.trigger.serialize()
        assert path == "airflow_dataml.triggers.datasets.DatasetVersionTrigger"
        assert arguments["partition_key"] == "2026-02"
        assert "postgres" not in json.dumps(arguments)

    def test_on_a_worker_it_pokes(self, world: World) -> None:
        sensor = DatasetVersionSensor(
            task_id="wait", dataset="rides", partition_key="2026-01", deferrable=False
        )
        assert sensor.poke(context("wait")) is False
        ingest(world)
        assert sensor.poke(context("wait")) is True

    @pytest.mark.parametrize(
        ("event", "error"),
        [
            ({"status": "error", "message": "gone"}, SpecError),
            (None, BackendError),
            ({"status": "?"}, BackendError),
        ],
        ids=["error", "nothing", "nonsense"],
    )
    def test_an_event_is_not_trusted(self, event: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            DatasetVersionSensor(task_id="wait", dataset="rides").resume(context("wait"), event)


class TestTrigger:
    def first(self, trigger: DatasetVersionTrigger) -> dict[str, Any]:
        async def look() -> Any:
            async for event in trigger.run():
                return event.payload
            return None

        return asyncio.run(look())

    def trigger(self, **said: Any) -> DatasetVersionTrigger:
        given = {
            "dataset": "rides",
            "partition_key": "2026-01",
            "dataml_conn_id": "dataml_default",
            "poll_interval": 0.05,
        }
        return DatasetVersionTrigger(**(given | said))

    def test_it_fires_once_the_version_is_there(self, world: World) -> None:
        ingest(world)
        event = self.first(self.trigger())
        assert (event["status"], event["dataset"], event["version"]) == ("found", "rides", 1)
        assert event["partition_key"] == "2026-01"

    def test_a_mistake_ends_the_wait_with_its_reason(self, world: World) -> None:
        event = self.first(self.trigger(dataml_conn_id="absent"))
        assert event["status"] == "error"
        assert "'absent' is not defined" in event["message"]


def test_a_failed_task_becomes_one_incident(world: World) -> None:
    ingest(world)
    said = context("fetch", partition_key="2026-01") | {"exception": OSError("no route")}
    for _ in range(2):
        IncidentNotifier(dataset="rides", title="the feed did not come").notify(said)
    with world.ledger() as ledger:
        [incident] = ledger.incidents.list(asset="rides")
        report = ledger.reports.get(incident.report_id)
    assert (incident.kind, incident.title) == ("data", "the feed did not come")
    assert report.body == {"error": "OSError", "message": "no route", "partition_key": "2026-01"}


def test_a_failure_callback_does_not_make_the_task_new(world: World) -> None:
    """A worker lost after its commit: the callback runs, somebody clears the task, nothing is published twice."""
    ingest(world)
    IncidentNotifier(dataset="rides").notify(
        context("publish", run_id="2026-01") | {"exception": OSError("lost")}
    )
    operators = {operator.task_id: operator for operator, _ in world.ingest(1)}
    run(operators["publish"], run_id="2026-01", partition_key="2026-01", try_number=2)
    with world.ledger() as ledger:
        assert [v.ref for v in ledger.versions.list("rides")] == ["rides@1"]


class TestDecorator:
    def operator(self, answer: Any) -> Any:
        with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

            @task.dataset_transform(dataset=FEATURES, inputs=[RIDES], mode="replace")
            def long_rides(least: int) -> Any:
                return answer

            return long_rides(5).operator

    def test_a_function_gives_the_sql(self, world: World) -> None:
        ingest(world)
        operator = self.operator("SELECT id, km FROM rides WHERE km > 5")
        staged = operator.execute(context("long_rides"))
        assert 0 < staged["rows"] < 1500

    @pytest.mark.parametrize("answer", [None, "", 3], ids=repr)
    def test_anything_but_sql_is_refused(self, world: World, answer: Any) -> None:
        with pytest.raises(SpecError, match="expects the SQL of a SELECT"):
            self.operator(answer).execute(context("long_rides"))

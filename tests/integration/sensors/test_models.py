"""The sensors of news: what they accept in a DAG, how they wait, and what they return."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from airflow_dataml.core.errors import BackendError, SpecError
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.sensors.models import IncidentSensor, ModelDriftSensor, ModelPerformanceSensor
from airflow_dataml.triggers.models import IncidentTrigger, ModelReportTrigger
from tests.integration.news_facts import resolved, trouble, watched
from tests.integration.operators.harness import context

if TYPE_CHECKING:
    from tests.integration.waiting_facts import Facts


def sensor(kind: type = ModelDriftSensor, **said: Any) -> Any:
    where = {"asset": "late"} if kind is IncidentSensor else {"model": "late"}
    return kind(**({"task_id": "wait"} | where | said))


def deferred(waiting: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        waiting.execute(context("wait"))
    return caught.value


def event_of(found: TaskDeferred) -> dict[str, Any]:
    """Build the trigger anew, as a triggerer does, and run it."""
    path, arguments = found.trigger.serialize()
    kind = {"ModelReportTrigger": ModelReportTrigger, "IncidentTrigger": IncidentTrigger}[
        path.rsplit(".", 1)[1]
    ]

    async def first() -> Any:
        async for event in kind(**arguments).run():
            return event.payload
        return None

    return asyncio.run(first())


class TestDrift:
    def test_in_the_triggerer_and_back(self, facts: Facts) -> None:
        watched(facts, found=["input_drift"])
        watched(facts)
        waiting = sensor()
        found = deferred(waiting)
        assert found.trigger.awaited.newer_than == 1
        number = watched(facts, found=["prediction_drift"])
        said = waiting.resume(context("wait"), event_of(found))
        assert (said["number"], said["found"]) == (number, ["prediction_drift"])

    def test_what_is_there_is_not_waited_for(self, facts: Facts) -> None:
        number = watched(facts, found=["input_drift"], verdict="warn")
        assert sensor().execute(context("wait"))["number"] == number
        assert isinstance(deferred(sensor(newer_than=number)), TaskDeferred)
        assert isinstance(deferred(sensor(verdicts=["fail"])), TaskDeferred)

    def test_a_ledger_that_is_away_is_waited_for_and_the_newest_judged_then(
        self, facts: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AWAY", "dataml://u@localhost:1/d")
        assert deferred(sensor(dataml_conn_id="away")).trigger.serialize()[1]["newer_than"] is None

    def test_on_a_worker(self, facts: Facts) -> None:
        watched(facts, found=["input_drift"])
        assert sensor(deferrable=False).execute(context("wait"))["found"] == ["input_drift"]

    def test_too_long_a_wait_says_what_for(self, facts: Facts) -> None:
        waiting = sensor(deferrable=False, timeout=0, poke_interval=0.01)
        with pytest.raises(AirflowSensorTimeout, match="for a monitor report of 'late' that found"):
            waiting.execute(context("wait"))

    def test_performance_is_about_decay(self, facts: Facts) -> None:
        watched(facts, found=["input_drift"])
        assert isinstance(deferred(sensor(ModelPerformanceSensor)), TaskDeferred)
        watched(facts, found=["estimated_decay"])
        assert sensor(ModelPerformanceSensor).execute(context("wait"))["found"] == ["estimated_decay"]

    def test_what_a_trigger_never_should_send_is_refused(self) -> None:
        with pytest.raises(BackendError, match="never should"):
            sensor().resume(context("wait"), {"status": "found", "asset": "fare", "number": 1})
        with pytest.raises(SpecError, match="broken"):
            sensor().resume(context("wait"), {"status": "error", "message": "broken"})

    @pytest.mark.parametrize(
        "said", [{"findings": ["decya"]}, {"newer_than": "soon"}], ids=["finding", "number"]
    )
    def test_a_mistake_is_said_at_once(self, said: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match=r"decya|soon"):
            sensor(**said).execute(context("wait"))


class TestIncident:
    def test_an_open_one(self, facts: Facts) -> None:
        number = trouble(facts, watched(facts), severity="high")
        assert sensor(IncidentSensor, severity="high").execute(context("wait"))["number"] == number
        assert isinstance(deferred(sensor(IncidentSensor, kinds=["data"])), TaskDeferred)
        assert isinstance(deferred(sensor(IncidentSensor, newer_than=str(number))), TaskDeferred)

    def test_until_none_is_open(self, facts: Facts) -> None:
        number = trouble(facts, watched(facts))
        waiting = sensor(IncidentSensor, until="resolved")
        found = deferred(waiting)
        assert found.trigger.serialize()[1]["poll_interval"] == 15.0
        resolved(facts, number)
        assert waiting.resume(context("wait"), event_of(found)) == {"asset": "late", "number": None}
        assert sensor(IncidentSensor, until="resolved").execute(context("wait"))["number"] is None


def test_they_are_kept_in_a_dag() -> None:
    with DAG("waits") as dag:
        sensor(task_id="drift")
        sensor(IncidentSensor, task_id="incident")
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == "waits"
    assert dag.get_task("drift").retry_policy is RETRY_POLICY

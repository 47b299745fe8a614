"""The sensor: what it accepts in a DAG, how it waits, and what it believes of an event."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.serialization.serialized_objects import DagSerialization

from airflow_dataml.assets import dataset
from airflow_dataml.core.errors import BackendError, ConnectionSpecError, SpecError
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.sensors.datasets import DatasetVersionSensor
from airflow_dataml.triggers.datasets import DatasetVersionTrigger
from tests.integration.operators.harness import context

if TYPE_CHECKING:
    from tests.integration.waiting_facts import Facts


def sensor(**said: Any) -> DatasetVersionSensor:
    return DatasetVersionSensor(**({"task_id": "wait", "dataset": "rides"} | said))


def deferred(waiting: DatasetVersionSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        waiting.execute(context("wait"))
    return caught.value


def event_of(found: TaskDeferred) -> dict[str, Any]:
    """Build the trigger anew, as a triggerer does, and run it."""
    path, arguments = found.trigger.serialize()
    assert path.endswith("triggers.datasets.DatasetVersionTrigger")

    async def first() -> Any:
        async for event in DatasetVersionTrigger(**arguments).run():
            return event.payload
        return None

    return asyncio.run(first())


class TestWaiting:
    def test_in_the_triggerer_and_back(self, facts: Facts):
        facts.version(key="2026-01")
        waiting = sensor(partition_key="2026-02", poke_interval=30)
        found = deferred(waiting)
        assert found.trigger.serialize()[1]["poll_interval"] == 30
        assert found.timeout == timedelta(seconds=waiting.timeout)
        facts.version(key="2026-02")
        assert waiting.resume(context("wait"), event_of(found)) == "rides@2"

    def test_nothing_is_waited_for_twice(self, facts: Facts):
        facts.version()
        assert sensor().execute(context("wait")) == "rides@1"

    def test_a_ledger_that_is_away_is_waited_for_too(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_AWAY", "dataml://u@localhost:1/d")
        assert deferred(sensor(dataml_conn_id="away")).method_name == "resume"

    def test_on_a_worker(self, facts: Facts):
        facts.version()
        assert sensor(deferrable=False).execute(context("wait")) == "rides@1"

    def test_on_a_worker_rescheduled(self, facts: Facts):
        class Instance:
            dag_id, run_id, task_id, map_index, try_number = "d", "r", "wait", -1, 1

            def get_first_reschedule_date(self, _: Any) -> None:
                return None

        waiting = sensor(deferrable=False, mode="reschedule")
        with pytest.raises(AirflowRescheduleException):
            waiting.execute({"ti": Instance()})
        facts.version()
        assert waiting.execute({"ti": Instance()}) == "rides@1"

    @pytest.mark.parametrize("deferrable", [True, False], ids=["triggerer", "worker"])
    def test_a_connection_that_is_not_there_is_said_at_once(self, deferrable):
        with pytest.raises(ConnectionSpecError, match="'absent' is not defined"):
            sensor(dataml_conn_id="absent", deferrable=deferrable).execute(context("wait"))

    @pytest.mark.parametrize(
        ("said", "match"),
        [
            ({"dataset": "Rides!"}, "asset name 'Rides!' is not usable"),
            ({"newer_than": "tomorrow"}, "newer_than='tomorrow' cannot be read"),
            ({"min_verdict": "good"}, "waiting for 'rides': min_verdict='good' is not usable"),
            ({"max_age": timedelta(0)}, "max_age=0.0 is not usable"),
        ],
        ids=lambda said: next(iter(said)) if isinstance(said, dict) else "",
    )
    def test_what_cannot_be_meant_is_refused(self, facts: Facts, said, match):
        with pytest.raises(SpecError, match=match):
            sensor(**said).execute(context("wait"))


class TestConditions:
    def test_newer_than_what_the_last_run_saw(self, facts: Facts):
        facts.version()
        seen = datetime.now(UTC) + timedelta(microseconds=1)
        assert sensor(newer_than="None").poke(context("wait"))  # as a template renders on the first run
        assert not sensor(newer_than=str(seen)).poke(context("wait"))
        while datetime.now(UTC) <= seen:
            time.sleep(0)
        facts.version()
        assert sensor(newer_than=str(seen)).execute(context("wait")) == "rides@2"

    def test_newer_than_a_version(self, facts: Facts):
        facts.version()
        assert not sensor(newer_than="rides@1").poke(context("wait"))
        facts.version()
        assert sensor(newer_than="rides@1").poke(context("wait"))

    @pytest.mark.parametrize(
        ("verdict", "least", "will_do"),
        [("pass", "pass", True), ("warn", "pass", False), ("warn", "warn", True), ("error", "warn", False)],
        ids=str,
    )
    def test_a_verdict(self, facts: Facts, verdict, least, will_do):
        made = facts.version()
        assert not sensor(min_verdict=least).poke(context("wait"))
        facts.check(made, verdict)
        assert sensor(min_verdict=least).poke(context("wait")) is will_do

    def test_the_newest_check_of_the_newest_version_counts(self, facts: Facts):
        made = facts.version()
        facts.check(made, "pass")
        facts.check(made, "fail")
        assert not sensor(min_verdict="pass").poke(context("wait"))
        facts.check(made, "pass")
        assert sensor(min_verdict="pass").poke(context("wait"))
        facts.version()
        assert not sensor(min_verdict="pass").poke(context("wait"))

    def test_the_check_of_the_part_it_brought_counts(self, facts: Facts):
        made = facts.version()
        facts.run("INSERT INTO dataml.schema_blob VALUES ('s', '[]')")
        part = facts.run(
            """INSERT INTO dataml.part (asset_id, run_key, fact_key, locator, schema_hash, row_count, hash_xor, hash_total)
               SELECT asset_id, run_key, 'p', 'x.y', 's', 1, 0, 0 FROM dataml.version RETURNING part_id"""
        )
        facts.run("UPDATE dataml.version SET facts = jsonb_build_object('part_id', %s::bigint)", part)
        facts.check(made, "fail")
        facts.run("UPDATE dataml.report SET version_id = NULL, part_id = %s, verdict = 'pass'", part)
        assert sensor(min_verdict="pass").poke(context("wait"))

    def test_freshness(self, facts: Facts):
        facts.version()
        assert sensor(max_age=timedelta(minutes=5)).poke(context("wait"))
        facts.run("UPDATE dataml.version SET created_at = now() - interval '10 minutes'")
        assert not sensor(max_age=timedelta(minutes=5)).poke(context("wait"))
        assert sensor(max_age=3600).poke(context("wait"))


class TestEvents:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": "?"},
            {"dataset": "tables"},
            {"version": "1; DROP"},
            {"version": True},
            {"version": 3},
            {"partition_key": "2026-03"},
        ],
        ids=repr,
    )
    def test_one_that_does_not_fit_is_not_believed(self, wrong):
        waiting = sensor(partition_key="2026-02", newer_than=3)
        good = {"status": "found", "dataset": "rides", "version": 4, "partition_key": "2026-02"}
        assert waiting.resume(context("wait"), good) == "rides@4"
        with pytest.raises(
            BackendError, match="task 'wait' waited for a version of 'rides' with the batch '2026-02'"
        ):
            waiting.resume(context("wait"), good | wrong)

    @pytest.mark.parametrize("nothing", [None, [], "found", 3], ids=repr)
    def test_no_event_is_none(self, nothing):
        with pytest.raises(BackendError, match="which it never should"):
            sensor().resume(context("wait"), nothing)


class TestTimeouts:
    FAILED: dict[str, Any] = {"next_method": "__fail__", "next_kwargs": {"error": "Trigger timeout"}}  # noqa: RUF012

    def test_in_the_triggerer_it_says_what_was_missing(self, facts: Facts):
        facts.check(facts.version(key="2026-02"), "fail")
        waiting = sensor(partition_key="2026-02", min_verdict="warn", timeout=60)
        message = (
            "task 'wait' waited 60 s for a version of 'rides' with the batch '2026-02': the newest is rides@1 and "
            r"its newest check says fail, awaited is at least warn\."
        )
        with pytest.raises(AirflowSensorTimeout, match=message):
            waiting.resume_execution(**self.FAILED, context=context("wait"))

    def test_on_a_worker_too(self, facts: Facts):
        waiting = sensor(deferrable=False, timeout=0.02, poke_interval=0.01)
        with pytest.raises(
            AirflowSensorTimeout, match="waited 0 s for a version of 'rides': there is none yet"
        ):
            waiting.execute(context("wait"))

    def test_with_the_ledger_away_it_says_that(self, facts: Facts, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_AWAY", "dataml://u@localhost:1/d")
        waiting = sensor(timeout=60, dataml_conn_id="away")
        with pytest.raises(AirflowSensorTimeout, match=r"waited 60 s .* did not answer"):
            waiting.resume_execution(**self.FAILED, context=context("wait"))

    def test_a_soft_one_is_skipped(self, facts: Facts):
        with pytest.raises(AirflowSkipException):
            sensor(soft_fail=True, timeout=60).resume_execution(**self.FAILED, context=context("wait"))


def test_it_goes_through_serialization_with_an_asset_and_templates():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        sensor(dataset=dataset("rides"), newer_than="{{ prev_start_date_success }}")
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert again.task_dict["wait"].newer_than == "{{ prev_start_date_success }}"


def test_templates_are_rendered():
    waiting = sensor(
        dataset=dataset("rides"),
        partition_key="{{ month }}",
        newer_than="{{ seen }}",
        alias="{{ branch }}",
    )
    waiting.render_template_fields({"month": "2026-02", "seen": None, "branch": "trial"})
    awaited = waiting.awaited()
    assert awaited.asset == "rides"
    assert (awaited.partition_key, awaited.newer_than, awaited.alias) == ("2026-02", None, "trial")


def test_it_retries_as_our_operators_do():
    assert sensor().retry_policy is RETRY_POLICY
    assert sensor(retry_policy=None).retry_policy is None

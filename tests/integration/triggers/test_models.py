"""The triggers of news: when they fire for a monitor report or an incident, and in which order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from airflow.sdk import Asset, AssetWatcher
from psycopg.rows import dict_row

from airflow_dataml.adapters.postgres.news import SCAN, following_news
from airflow_dataml.assets import model
from airflow_dataml.core.news import AwaitedReport
from airflow_dataml.triggers.models import (
    IncidentEventTrigger,
    IncidentTrigger,
    ModelReportEventTrigger,
    ModelReportTrigger,
)
from tests.integration.news_facts import resolved, trouble, watched
from tests.integration.triggers.test_datasets import Store, first, triggerer
from tests.integration.waiting_facts import Facts, until

if TYPE_CHECKING:
    from collections.abc import Callable


def reports(**said: Any) -> ModelReportTrigger:
    return ModelReportTrigger(
        **({"asset": "late", "findings": ["decay"], "dataml_conn_id": "dataml_default"} | said)
    )


def incidents(**said: Any) -> IncidentTrigger:
    return IncidentTrigger(**({"asset": "late", "dataml_conn_id": "dataml_default"} | said))


async def fires_after(facts: Facts, waiting: Any, deed: Callable[[], Any]) -> tuple[dict[str, Any], float]:
    task = asyncio.create_task(first(waiting))
    await until(lambda: facts.connections() == 2)
    await asyncio.sleep(0.3)
    assert not task.done()
    began = time.monotonic()
    await asyncio.to_thread(deed)
    event = await asyncio.wait_for(task, 10)
    return event, time.monotonic() - began


class TestReport:
    def test_what_was_found_wakes_it_within_a_second(self, facts: Facts) -> None:
        watched(facts, found=["decay"])
        watched(facts)
        event, seconds = asyncio.run(fires_after(facts, reports(), lambda: watched(facts, found=["decay"])))
        assert (event["status"], event["asset"], event["number"]) == ("found", "late", 3)
        assert (event["found"], event["verdict"]) == (["decay"], "fail")
        assert seconds < 1

    def test_the_newest_is_judged_first(self, facts: Facts) -> None:
        number = watched(facts, found=["decay", "input_drift"])
        event = asyncio.run(first(reports()))
        assert (event["number"], event["found"]) == (number, ["decay", "input_drift"])

    def test_other_findings_verdicts_and_models_are_not_waited_for(self, facts: Facts) -> None:
        def deed() -> None:
            watched(facts, found=["input_drift"])
            watched(facts, found=["decay"], verdict="warn")
            watched(facts, found=["decay"], model="fare")
            watched(facts, found=["decay"])

        event, _ = asyncio.run(fires_after(facts, reports(verdicts=["fail"], newer_than=0), deed))
        assert event["number"] == 4

    def test_it_is_built_anew_from_what_it_says(self) -> None:
        path, arguments = reports(newer_than=7).serialize()
        assert path == "airflow_dataml.triggers.models.ModelReportTrigger"
        assert ModelReportTrigger(**arguments).serialize() == (path, arguments)
        assert reports().serialize()[1]["newer_than"] is None

    def test_a_finding_that_is_none_does_not_kill_a_triggerer(self) -> None:
        with pytest.raises(TypeError, match="is nothing a monitor finds"):
            reports(findings=["decya"])


class TestIncident:
    def test_an_open_one_ends_the_wait(self, facts: Facts) -> None:
        trouble(facts, watched(facts), severity="low")
        number = trouble(facts, watched(facts), kind="decay", severity="high")
        event = asyncio.run(first(incidents(severity="medium")))
        assert (event["number"], event["kind"], event["state"]) == (number, "decay", "new")

    def test_one_that_a_report_came_with_is_told_within_a_second(self, facts: Facts) -> None:
        def deed() -> None:
            trouble(facts, watched(facts))
            watched(facts)

        watched(facts)
        event, seconds = asyncio.run(fires_after(facts, incidents(poll_interval=30.0), deed))
        assert event["kind"] == "drift"
        assert seconds < 1

    def test_the_end_of_all_is_found_by_looking(self, facts: Facts) -> None:
        opened = [trouble(facts, watched(facts), key=key) for key in ("a", "b")]

        def deed() -> None:
            for number in opened:
                resolved(facts, number)

        waiting = incidents(until="resolved", poll_interval=0.2)
        event, _ = asyncio.run(fires_after(facts, waiting, deed))
        assert event == {"status": "found", "asset": "late", "number": None}


class TestEvents:
    def test_every_report_that_found_something_in_order(self, facts: Facts) -> None:
        async def scene() -> list[Any]:
            watched(facts, found=["decay"])
            store = Store()
            async with triggerer(ModelReportEventTrigger(asset=model("late")), store) as said:
                await until(lambda: store.mark is not None)
                watched(facts, found=["decay"])
                watched(facts)
                watched(facts, found=["input_drift"])
                await until(lambda: len(said) == 2)
                await until(lambda: store.mark == 4)
            async with triggerer(ModelReportEventTrigger(asset="late"), store) as again:
                watched(facts, found=["prediction_drift"])
                await until(lambda: len(again) == 1)
            return [*said, *again]

        assert asyncio.run(scene()) == [2, 4, 5]

    def test_what_nobody_awaits_is_read_once(self, facts: Facts) -> None:
        async def scene() -> list[Any]:
            store = Store()
            watching = ModelReportEventTrigger(asset="late", verdicts=["fail"])
            async with triggerer(watching, store) as said:
                await until(lambda: store.mark == 0)
                for _ in range(3):
                    watched(facts)
                await until(lambda: store.mark == 3)
                watched(facts, found=["decay"], verdict="warn")
                await until(lambda: store.mark == 4)
                watched(facts, found=["decay"])
                await until(lambda: store.mark == 5)
            return list(said)

        assert asyncio.run(scene()) == [5]

    def test_an_event_that_is_not_stored_holds_the_watermark(self, facts: Facts) -> None:
        async def scene() -> list[Any]:
            store = Store()
            trigger = ModelReportEventTrigger(asset="late")
            async with triggerer(trigger, store, stores_events=False) as said:
                await until(lambda: store.mark == 0)
                watched(facts, found=["decay"])
                await until(lambda: said == [1])
                watched(facts)
                watched(facts, found=["decay"])
                await until(lambda: said == [1, 3])
                assert store.mark == 0
            async with triggerer(ModelReportEventTrigger(asset="late"), store) as again:
                await until(lambda: len(again) == 2)
            return list(again)

        assert asyncio.run(scene()) == [1, 3]

    def test_a_long_silence_is_passed_piece_by_piece(self, facts: Facts) -> None:
        for _ in range(3):
            watched(facts)
        watched(facts, found=["decay"])
        awaited = AwaitedReport(asset="late", findings=("decay",))
        question = following_news(awaited)
        short = question.sql.replace(f"LIMIT {SCAN}", "LIMIT 2")
        with psycopg.connect(facts.dsn, row_factory=dict_row) as connection:
            pages = [
                question.read(
                    connection.execute(short.encode(), following_news(awaited.after(at)).params).fetchall()
                )
                for at in (0, 2, 4)
            ]
        assert [[(type(one).__name__, one.number) for one in page] for page in pages] == [
            [("Passed", 2)],
            [("News", 4), ("Passed", 4)],
            [],
        ]

    def test_every_incident_even_one_that_is_over(self, facts: Facts) -> None:
        async def scene() -> list[Any]:
            store = Store()
            watching = IncidentEventTrigger(asset="late", kinds=["drift"], poll_interval=0.2)
            async with triggerer(watching, store) as said:
                await until(lambda: store.mark == 0)
                resolved(facts, trouble(facts, watched(facts)))
                trouble(facts, watched(facts), kind="decay")
                trouble(facts, watched(facts))
                await until(lambda: len(said) == 2)
            return list(said)

        assert asyncio.run(scene()) == [1, 3]

    def test_an_asset_watches_with_them(self) -> None:
        watching = Asset(
            "bad_news", watchers=[AssetWatcher(name="late", trigger=ModelReportEventTrigger(asset="late"))]
        )
        path, arguments = watching.watchers[0].trigger.serialize()  # type: ignore[attr-defined]
        assert ModelReportEventTrigger(**arguments).serialize() == (path, arguments)
        incident = IncidentEventTrigger(asset="rides", severity="high", newer_than=3)
        assert IncidentEventTrigger(**incident.serialize()[1]).serialize() == incident.serialize()

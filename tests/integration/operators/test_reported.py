"""Windows of a model served elsewhere, from a DAG: counted through the hook, reported, watched."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.assets import model
from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.cli.main import main
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.window_counts import count_window
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.reported import ModelWindowReportOperator
from tests.integration.operators.harness import context
from tests.integration.operators.telling import tell
from tests.integration.steps.test_models import GOOD, Deployment
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

RIDE_LATE = model("ride_late")


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A champion that is served somewhere else."""
    made = make_world()
    with made.ledger() as ledger:
        Deployment(ledger, made.folder, GOOD).first_champion()
    return made


def counts(key: str = "gates", *, longer: float = 0.0) -> dict[str, Any]:
    draw = random.Random(7)  # noqa: S311 - test data
    rows = [{"km": draw.uniform(0, 10) + longer} for _ in range(2000)]
    scores = [min(0.08 * row["km"], 0.95) for row in rows]
    return count_window(DataMLHook().counting("ride_late"), window=key, rows=rows, scores=scores)


def watch(key: str, **said: Any) -> ModelMonitorOperator:
    return ModelMonitorOperator(task_id="watch", model=RIDE_LATE, partition_key=key, **said)


def report(window: Any, **said: Any) -> ModelWindowReportOperator:
    return ModelWindowReportOperator(task_id="report", model=RIDE_LATE, window=window, **said)


def test_a_window_is_reported_and_watched(world: World) -> None:
    told = [tell(report(counts()), run_id="r"), tell(watch("gates"), run_id="r")]
    assert told[0].result == {
        "model": "ride_late@1",
        "window": "gates",
        "report": told[0].result["report"],
        "known": False,
    }
    assert told[1].result["verdict"] == "pass"
    for one in told:
        assert (problems(one.start), problems(one.end)) == ([], [])
    with world.ledger() as ledger:
        body = ledger.reports.get(told[1].result["report"]).body
    assert (body["reported"], body["reference"]) == (told[0].result["report"], "rides@2")


def test_an_alarm_opens_an_incident(world: World) -> None:
    report(counts(longer=4.0), version=1).execute(context("report"))
    found = watch("gates").execute(context("watch"))
    assert found["verdict"] == "fail"
    with world.ledger() as ledger:
        assert [one.kind for one in ledger.incidents.list(asset="ride_late")] == ["drift"]


def test_the_hook_reports_too(world: World) -> None:
    first, again = (DataMLHook().report_window("ride_late", counts()) for _ in range(2))
    assert (first["known"], again) == (False, first | {"known": True})


def test_the_command_line_does_the_same(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DSN_VARIABLE, world.dsn)
    assert main(["model", "counting", "ride_late"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert asked == DataMLHook().counting("ride_late")
    path = world.folder / "window.json"
    path.write_text(json.dumps(counts()))
    assert main(["model", "report-window", "ride_late", str(path)]) == 0
    assert "Window gates of ride_late@1 is kept as report" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (lambda: watch("gates", labels="outcomes"), "which has no labels: give predictions with it"),
        (lambda: watch("gates", branch="dev"), "which has no branch 'dev'"),
        (lambda: watch("gates", predictions="ride_scores"), "needs key_columns"),
    ],
    ids=["labels", "branch", "keys"],
)
def test_what_does_not_go_together_is_refused(world: World, operator: Callable[[], Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        operator().execute(context("watch"))


def test_a_run_on_a_branch_reports_nothing(world: World) -> None:
    there = context("report")
    there["dag_run"].conf = {"dataml_branch": "dev"}
    with pytest.raises(SpecError, match="would be everybody's"):
        report(counts()).execute(there)

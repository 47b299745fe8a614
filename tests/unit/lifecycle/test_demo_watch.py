from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.lifecycle.console import Console
from dev.lifecycle.watch import RunWatcher, StoryError, log_tail


class Airflow:
    """A server whose world changes with every look at it; the last state stays."""

    def __init__(self, *worlds: tuple[list[str], int]) -> None:
        self.api = self
        self.worlds = list(worlds)
        self.cleared: list[tuple[str, str]] = []
        self.now = 0.0
        self.looks = 0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def require_alive(self) -> None: ...

    def runs(self) -> list[dict[str, Any]]:
        self.looks += 1
        world, self.pending = self.worlds.pop(0) if len(self.worlds) > 1 else self.worlds[0]
        return [run(number, state) for number, state in enumerate(world)]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        state = run_id.partition("-")[2]
        return [
            {
                "dag_id": dag_id, "dag_run_id": run_id, "task_id": "work", "map_index": -1, "try_number": 1,
                "state": state, "duration": 2.0, "end_date": "2013",
            }
        ]  # fmt: skip

    def pending_partitions(self) -> int:
        return self.pending

    def clear(self, dag_id: str, run_id: str) -> None:
        self.cleared.append((dag_id, run_id))

    def task_log(self, task: dict[str, Any]) -> Path:
        return Path("nowhere") / task["dag_run_id"]


def run(number: int, state: str) -> dict[str, Any]:
    return {"dag_id": "a", "dag_run_id": f"{number}-{state}", "partition_key": "k", "state": state}


def watcher(airflow: Airflow) -> RunWatcher:
    return RunWatcher(airflow, Console(), dag_ids=["a"], clock=airflow.clock, pause=airflow.pause)  # type: ignore[arg-type]


def test_waits_until_what_runs_has_ended() -> None:
    airflow = Airflow((["running"], 0), (["running"], 0), (["success"], 0))
    assert watcher(airflow).settle() == []
    assert not airflow.worlds[1:]


def test_an_event_that_will_become_a_run_is_waited_for() -> None:
    airflow = Airflow(
        (["success"], 1), (["success"], 1), (["success", "running"], 0), (["success", "success"], 0)
    )
    watcher(airflow).settle()
    assert not airflow.worlds[1:]


def test_an_event_that_waits_for_another_asset_does_not_hold_the_story_up() -> None:
    airflow = Airflow((["success"], 1))
    watcher(airflow).settle()
    assert 6 <= airflow.now < 8


def test_failed_tasks_are_handed_back_once() -> None:
    airflow = Airflow((["failed"], 0))
    one = watcher(airflow)
    assert [f.task_id for f in one.settle()] == ["work"]
    assert one.settle() == []


def test_what_failed_before_we_came_is_not_reported() -> None:
    one = watcher(Airflow((["failed"], 0)))
    one.forget_past()
    assert one.settle() == []


def test_clearing_makes_a_failed_run_matter_again() -> None:
    airflow = Airflow((["failed"], 0))
    one = watcher(airflow)
    one.forget_past()
    one.clear_failed("a", "k")
    assert airflow.cleared == [("a", "0-failed")]
    assert len(one.settle()) == 1


def test_gives_up_with_what_is_still_running() -> None:
    with pytest.raises(StoryError, match="a: work"):
        watcher(Airflow((["running"], 0))).settle()


def test_a_log_is_shown_in_words_with_the_error_last(tmp_path: Path) -> None:
    log = tmp_path / "attempt=1.log"
    error = {
        "exc_type": "ValueError",
        "exc_value": "no",
        "frames": [{"filename": "f.py", "lineno": 3, "name": "go"}],
    }
    record = {
        "timestamp": "2013-12-01T10:11:12Z",
        "level": "error",
        "event": "Task failed",
        "error_detail": [error],
    }
    log.write_text(f"plain text\n{json.dumps(record)}\n")
    assert log_tail(log) == [
        "plain text",
        "10:11:12 error    Task failed",
        "         at f.py:3 go",
        "         ValueError: no",
    ]


def test_a_task_that_never_started_has_no_log(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "missing.log") == ["(no log: the task did not start)"]

"""Following DAG runs until nothing runs and nothing is about to."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.lifecycle.airflow_api import FINISHED_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from dev.lifecycle.console import Console
    from dev.lifecycle.server import Server

_FINISHED_TASK = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_SHOWN_TASK = _FINISHED_TASK | {"up_for_retry"}
_PATIENCE_SECONDS = 1200.0
_SILENCE_SECONDS = 5.0
# An event that has reached a partitioned DAG becomes its run in the scheduler's next loop. What
# stays pending longer waits for another asset's event.
_QUIET_SECONDS = 1.0
_PENDING_SECONDS = 6.0
_LOG_LINES = 30
# An answer in the very second that Airflow parks a task may be lost.
_ANSWER_SECONDS = 4.0


class StoryError(RuntimeError):
    """The story went another way than it should."""


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task instance that failed, and where its log is."""

    dag_id: str
    run_id: str
    task_id: str
    log: Path

    def __str__(self) -> str:
        tail = "\n".join(f"    {line}" for line in log_tail(self.log))
        return f"{self.dag_id}.{self.task_id} failed in {self.run_id}. The end of {self.log}:\n{tail}"


class RunWatcher:
    """Prints tasks as they finish and says when all is quiet.

    :param dag_ids: the DAGs that matter.
    :param clock: seconds, monotonic.
    :param pause: waits.
    """

    def __init__(
        self,
        server: Server,
        console: Console,
        *,
        dag_ids: Collection[str],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = server
        self._clock = clock
        self._pause = pause
        self._console = console
        self._dag_ids = frozenset(dag_ids)
        self._shown: set[tuple[str, str, str, int, int, str]] = set()
        self._closed: dict[tuple[str, str], dict[str, Any]] = {}
        self._answered = 0.0
        self._answers = 0

    def forget_past(self) -> None:
        """Leave out what had finished before we came."""
        for run in self._runs():
            if run["state"] in FINISHED_RUN:
                self._closed[_key(run)] = run

    def runs_of(self, dag_id: str, partition_key: str | None) -> list[dict[str, Any]]:
        """Every run of a DAG for a partition, oldest first."""
        return [r for r in self._runs() if r["dag_id"] == dag_id and r["partition_key"] == partition_key]

    def clear_failed(self, dag_id: str, partition_key: str | None) -> None:
        """Run the failed tasks of a partition again, under their own run ids."""
        for run in self.runs_of(dag_id, partition_key):
            if run["state"] == "failed":
                self._server.api.clear(dag_id, run["dag_run_id"])
                self._closed.pop(_key(run), None)

    def settle(self) -> list[FailedTask]:
        """Wait until every run has ended and no event waits to become one; what failed meanwhile.

        :raises StoryError: it takes longer than twenty minutes.
        """
        started = self._clock()
        quiet_since: float | None = None
        failed: list[FailedTask] = []
        while True:
            self._server.require_alive()
            active = self._observe(failed)
            now = self._clock()
            if active:
                quiet_since = None
            else:
                quiet_since = now if quiet_since is None else quiet_since
                pending = self._server.api.pending_partitions()
                if now - quiet_since >= (_PENDING_SECONDS if pending else _QUIET_SECONDS):
                    return failed
            if self._console.silence >= _SILENCE_SECONDS:
                self._console.say(f"    ... {'; '.join(active) or 'waiting for the scheduler'}")
            if now - started > _PATIENCE_SECONDS:
                msg = f"nothing settled within {_PATIENCE_SECONDS:.0f} s; still there: {'; '.join(active)}"
                raise StoryError(msg)
            self._pause(0.7 if active else 0.3)

    def _runs(self) -> list[dict[str, Any]]:
        return [run for run in self._server.api.runs() if run["dag_id"] in self._dag_ids]

    def _observe(self, failed: list[FailedTask]) -> list[str]:
        active = []
        for run in self._runs():
            if _key(run) in self._closed:
                continue
            tasks = self._server.api.tasks(run["dag_id"], run["dag_run_id"])
            for task in sorted(tasks, key=lambda t: t["end_date"] or ""):
                self._show(task, failed)
                if task["state"] == "awaiting_input":
                    self._answer(task)
            if run["state"] in FINISHED_RUN:
                self._closed[_key(run)] = run
            else:
                active.append(_activity(run, tasks))
        return active

    def _answer(self, task: dict[str, Any]) -> None:
        """Let the next reviewer approve, one at a time."""
        reviewers = self._server.reviewers
        if self._clock() - self._answered < _ANSWER_SECONDS:
            return
        self._answered = self._clock()
        reviewer = reviewers[self._answers % len(reviewers)]
        if reviewer.approve(task, "I read the card."):
            self._answers += 1
            self._console.say(f"    {reviewer.user} approves on Airflow's page of required actions")

    def _show(self, task: dict[str, Any], failed: list[FailedTask]) -> None:
        state = task["state"]
        key = (
            task["dag_id"],
            task["dag_run_id"],
            task["task_id"],
            task["map_index"],
            task["try_number"],
            state,
        )
        if state not in _SHOWN_TASK or key in self._shown:
            return
        self._shown.add(key)
        name = f"{task['dag_id']}.{task['task_id']}"
        duration = f"{task['duration']:6.1f} s" if task["duration"] else "        "
        self._console.say(f"    {name:<48} {state:<16} {duration}")
        if state == "failed":
            failed.append(
                FailedTask(task["dag_id"], task["dag_run_id"], task["task_id"], self._server.task_log(task))
            )


def log_tail(path: Path, lines: int = _LOG_LINES) -> list[str]:
    """The end of a task's log, one readable line per record."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ["(no log: the task did not start)"]
    readable = [line for record in text.splitlines() for line in _readable(record)]
    return readable[-lines:]


def _readable(record: str) -> Iterable[str]:
    try:
        entry = json.loads(record)
        yield f"{entry['timestamp'][11:19]} {entry['level']:<8} {entry['event']}"
    except (ValueError, KeyError, TypeError):
        yield record
        return
    for error in entry.get("error_detail") or []:
        for frame in error.get("frames", [])[-4:]:
            yield f"         at {frame['filename']}:{frame['lineno']} {frame['name']}"
        yield f"         {error.get('exc_type')}: {error.get('exc_value')}"


def _key(run: dict[str, Any]) -> tuple[str, str]:
    return run["dag_id"], run["dag_run_id"]


def _activity(run: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    running = [t["task_id"] for t in tasks if t["state"] == "running"]
    waiting = [f"{t['task_id']} (will retry)" for t in tasks if t["state"] == "up_for_retry"]
    return f"{run['dag_id']}: {', '.join([*running, *waiting]) or run['state']}"

"""The story in nine chapters: what arrives, and what the platform does about it by itself."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from dev.lifecycle.landing import CORRUPTED
from dev.lifecycle.summary import News
from dev.lifecycle.watch import RunWatcher, StoryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataml.core.governance import Report
    from dev.lifecycle.console import Console
    from dev.lifecycle.landing import Landing
    from dev.lifecycle.server import Server

MODEL = "flight_delay"
DAGS = (
    "flights_reference",
    "flights_ingest",
    "flights_features",
    "flights_train",
    "flights_score",
    "flights_monitor",
    "flights_daily",
    "flights_branch",
    "weather_quarantine",
)
GUST = "2013-02"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One arrival and all that follows from it.

    :param dag_id: the only DAG that is triggered; the rest runs on asset events.
    :param partition_key: the batch; none for reference data.
    :param told: whether the ledger shows the chapter's end.
    :param refused: the batch must be refused at its contract.
    :param delivers: what arrives; ``None`` for a chapter about data that is there.
    """

    title: str
    dag_id: str
    partition_key: str | None
    told: Callable[[PostgresLedger], bool]
    refused: bool = False
    delivers: Literal["reference", "month", "weather"] | None = "month"


def has_current(ledger: PostgresLedger, *names: str) -> bool:
    """Whether every asset has a current version."""
    return all(ledger.versions.alias(name, "current") for name in names)


def has_partition(ledger: PostgresLedger, name: str, partition_key: str) -> bool:
    """Whether some version of the asset brought this batch."""
    return any(v.partition_key == partition_key for v in ledger.versions.list(name))


def model_reports(ledger: PostgresLedger, kind: str, partition_key: str) -> list[Report]:
    """Reports of the model about one batch, newest first."""
    return [
        report
        for report in ledger.reports.list(asset=MODEL, limit=200)
        if report.kind == kind and report.body.get("partition_key") == partition_key
    ]


def is_decided(ledger: PostgresLedger, number: int) -> bool:
    """Whether this version of the model was trained and its promotion decided."""
    return any(
        report.kind == "decision" and report.body.get("version") == f"{MODEL}@{number}"
        for report in ledger.reports.list(asset=MODEL, limit=200)
    )


def is_refused(ledger: PostgresLedger, name: str, partition_key: str) -> bool:
    """Whether the contract refused this batch."""
    return any(
        report.kind == "check"
        and report.verdict == "fail"
        and report.body.get("partition_key") == partition_key
        for report in ledger.reports.list(asset=name)
    )


CHAPTERS = (
    Chapter(
        "1  Reference data: planes and airports",
        "flights_reference",
        None,
        lambda ledger: has_current(ledger, "planes", "airports"),
        delivers="reference",
    ),
    Chapter(
        "2  September 2013 arrives: checked, published, turned into features; too little to train on",
        "flights_ingest",
        "2013-09",
        lambda ledger: has_partition(ledger, "flight_features", "2013-09"),
    ),
    Chapter(
        "3  October arrives: the first model is trained, measured and promoted",
        "flights_ingest",
        "2013-10",
        lambda ledger: is_decided(ledger, 1),
    ),
    Chapter(
        "4  November arrives: scored and watched; nothing to worry about",
        "flights_ingest",
        "2013-11",
        lambda ledger: bool(model_reports(ledger, "decision", "2013-11")),
    ),
    Chapter(
        "5  December arrives: snow and holidays; the alarm, the incident, a retrained and better model",
        "flights_ingest",
        "2013-12",
        lambda ledger: bool(model_reports(ledger, "decision", "2013-12")) and is_decided(ledger, 2),
    ),
    Chapter(
        "6  A broken delivery: kilometres for miles, half the delays lost; refused at the contract",
        "flights_ingest",
        CORRUPTED,
        lambda ledger: is_refused(ledger, "flights", CORRUPTED),
        refused=True,
    ),
    Chapter(
        "7  February's weather holds a gust of 1048 mph: one row is set aside, repaired, and comes back",
        "weather_quarantine",
        GUST,
        lambda ledger: [v.partition_key for v in ledger.versions.list("weather_hours")] == [GUST, GUST],
        delivers="weather",
    ),
    Chapter(
        "8  Delays by day: merged by key into PostgreSQL, and written to a Delta table",
        "flights_daily",
        "2013-10",
        lambda ledger: has_current(ledger, "daily_delays", "daily_delays_lake"),
        delivers=None,
    ),
    Chapter(
        "9  A change is tried on a branch: a new column, checked and compared there, then published at once",
        "flights_branch",
        "2013-10",
        lambda ledger: any(branch["state"] == "merged" for branch in ledger.branches.list()),
        delivers=None,
    ),
)


class Story:
    """Plays the chapters that the ledger does not show yet.

    :param dsn: the ledger.
    """

    def __init__(self, *, server: Server, landing: Landing, dsn: str, console: Console) -> None:
        self._server = server
        self._landing = landing
        self._dsn = dsn
        self._console = console
        self._watcher = RunWatcher(server, console, dag_ids=DAGS)
        self.durations: dict[str, float] = {}

    def play(self) -> None:
        """Tell the whole story.

        :raises StoryError: a task failed that should not, or a chapter ended otherwise than it should.
        """
        self._watcher.forget_past()
        self._watcher.settle()
        with closing(News(self._dsn)) as news:
            news.skip()
            for chapter in CHAPTERS:
                self._console.title(chapter.title)
                if self._told(chapter):
                    self._console.say("  The ledger has this chapter already.")
                    continue
                started = time.monotonic()
                self._tell(chapter)
                self.durations[chapter.title] = time.monotonic() - started
                for line in news.lines():
                    self._console.say(f"  {line}")
                self._console.say(f"  {self.durations[chapter.title]:.0f} s")

    def _tell(self, chapter: Chapter) -> None:
        for file in self._deliver(chapter):
            size = file.stat().st_size / 1e6
            self._console.say(f"  {file.relative_to(self._landing.folder)} arrives, {size:.1f} MB")
        if self._watcher.runs_of(chapter.dag_id, chapter.partition_key):
            self._console.say("  An earlier demo was stopped in this chapter: going on where it was.")
            for dag_id in DAGS:
                self._watcher.clear_failed(dag_id, chapter.partition_key)
        else:
            self._server.api.trigger(chapter.dag_id, partition_key=chapter.partition_key)
            key = f" with partition key {chapter.partition_key}" if chapter.partition_key else ""
            self._console.say(f"  Triggered {chapter.dag_id}{key}; the rest follows from asset events.")
        failed = self._watcher.settle()
        unexpected = [f for f in failed if not (chapter.refused and f.dag_id == chapter.dag_id)]
        if unexpected:
            raise StoryError("\n".join(str(f) for f in unexpected))
        if not self._told(chapter):
            details = "\n".join(str(f) for f in failed)
            msg = f"all is quiet, and the ledger does not show how chapter {chapter.title!r} should end.\n{details}"
            raise StoryError(msg)

    def _deliver(self, chapter: Chapter) -> list[Path]:
        if chapter.delivers == "reference":
            return self._landing.deliver_reference()
        if chapter.delivers == "weather":
            return self._landing.deliver_weather(str(chapter.partition_key))
        return self._landing.deliver_month(str(chapter.partition_key)) if chapter.delivers else []

    def _told(self, chapter: Chapter) -> bool:
        with PostgresLedger.connect(self._dsn) as ledger:
            return chapter.told(ledger)

"""The story in thirteen chapters: what arrives, and what the platform does about it by itself."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.search import PostgresSearch
from dev.lifecycle.external import LAKE, WAREHOUSE, spark_events
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
REPORT = f"{WAREHOUSE[0]}/{WAREHOUSE[1]}.late_by_carrier"
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
    "flights_report",
    "flights_review",
    "catalog_crawl",
    "catalog_export",
    "lineage_external",
    "lineage_drain",
)
GUST = "2013-02"
_SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Chapter:
    """One arrival and all that follows from it.

    :param dag_id: the only DAG that is triggered; the rest runs on asset events.
    :param partition_key: the batch; none for reference data.
    :param told: whether the ledger shows the chapter's end.
    :param refused: the batch must be refused at its contract.
    :param delivers: what arrives; ``None`` for a chapter about data that is there.
    :param besides: other DAGs that are triggered along with it.
    """

    title: str
    dag_id: str
    partition_key: str | None
    told: Callable[[PostgresLedger], bool]
    refused: bool = False
    delivers: Literal["reference", "month", "weather", "events"] | None = "month"
    besides: tuple[str, ...] = ()


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


def is_reviewed(ledger: PostgresLedger) -> bool:
    """Whether the champion was explained and reproduced, and its card written."""
    champion = ledger.versions.alias(MODEL, "champion")
    return champion is not None and all(
        ledger.reports.latest(asset=MODEL, kind=kind, version_id=champion.version_id)
        for kind in ("explanation", "reproduction", "card")
    )


def lineage_settled(ledger: PostgresLedger) -> bool:
    """Whether every event is in the graph and at every backend, and what was written outside is among it."""
    waiting = ledger.connection.scalar(
        """SELECT EXISTS (SELECT FROM dataml.lineage_event WHERE state = 'new' OR NOT fanned)
               OR EXISTS (SELECT FROM dataml.lineage_delivery WHERE state = 'pending')
               OR EXISTS (SELECT FROM dataml.run WHERE ol_state IN ('START', 'RUNNING'))"""
    )
    return not waiting and all(observed(ledger, name) for name in (REPORT, "/".join(LAKE)))


def is_crawled(ledger: PostgresLedger) -> bool:
    """Whether a crawl found the report's table."""
    hits = PostgresSearch(ledger.connection).search("expected_share").hits
    return any(hit.name == REPORT and hit.subtype == "table" for hit in hits)


def observed(ledger: PostgresLedger, name: str) -> int | None:
    """The newest version of an asset that somebody else wrote."""
    return ledger.connection.scalar(  # type: ignore[no-any-return]
        """SELECT max(v.version_id) FROM dataml.version v JOIN dataml.asset a USING (asset_id)
           WHERE a.name = %s AND v.origin = 'observed'""",
        [name],
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
    Chapter(
        "10 Lineage of everybody: a plain SQL report, a Spark job elsewhere, an export; all in one graph",
        "flights_report",
        None,
        lineage_settled,
        delivers="events",
        besides=("lineage_external",),
    ),
    Chapter(
        "11 The catalog: every table of the database, found by the name of a column, and handed on to others",
        "catalog_crawl",
        None,
        lambda ledger: lineage_settled(ledger) and is_crawled(ledger),
        delivers=None,
        besides=("catalog_export",),
    ),
    Chapter(
        "12 A reviewer asks: what do its scores rest on, does it come out the same, what does its card say",
        "flights_review",
        None,
        is_reviewed,
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
        runs = self._watcher.runs_of(chapter.dag_id, chapter.partition_key)
        # One that the schedule made is not ours.
        if any(run["run_type"] == "manual" for run in runs):
            self._console.say("  An earlier demo was stopped in this chapter: going on where it was.")
            for dag_id in DAGS:
                self._watcher.clear_failed(dag_id, chapter.partition_key)
        else:
            for dag_id in chapter.besides:
                self._server.api.trigger(dag_id)
            self._server.api.trigger(chapter.dag_id, partition_key=chapter.partition_key)
            key = f" with partition key {chapter.partition_key}" if chapter.partition_key else ""
            named = " and ".join((chapter.dag_id, *chapter.besides))
            self._console.say(f"  Triggered {named}{key}; the rest follows from asset events.")
        failed = self._watcher.settle()
        unexpected = [f for f in failed if not (chapter.refused and f.dag_id == chapter.dag_id)]
        if unexpected:
            raise StoryError("\n".join(str(f) for f in unexpected))
        if not self._told_soon(chapter):
            details = "\n".join(str(f) for f in failed)
            msg = f"all is quiet, and the ledger does not show how chapter {chapter.title!r} should end.\n{details}"
            raise StoryError(msg)

    def _told_soon(self, chapter: Chapter) -> bool:
        """Give lineage a moment: the triggerer carries it on behind the tasks."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not (told := self._told(chapter)) and time.monotonic() < deadline:
            time.sleep(0.3)
        return told

    def _deliver(self, chapter: Chapter) -> list[Path]:
        if chapter.delivers == "events":
            answer = self._server.api.call("POST", "/dataml/api/v1/lineage/batch", spark_events())
            self._console.say(
                f"  A Spark job elsewhere posts its lineage: {answer['counts']['stored']} events stored"
            )
            return []
        if chapter.delivers == "reference":
            return self._landing.deliver_reference()
        if chapter.delivers == "weather":
            return self._landing.deliver_weather(str(chapter.partition_key))
        return self._landing.deliver_month(str(chapter.partition_key)) if chapter.delivers else []

    def _told(self, chapter: Chapter) -> bool:
        with PostgresLedger.connect(self._dsn) as ledger:
            return chapter.told(ledger)

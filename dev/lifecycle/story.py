"""The story in eighteen chapters: what arrives, and what the platform does about it by itself."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from dev.lifecycle.chapters import CHAPTERS, DAGS
from dev.lifecycle.external import spark_events
from dev.lifecycle.summary import News
from dev.lifecycle.watch import RunWatcher, StoryError

if TYPE_CHECKING:
    from pathlib import Path

    from dev.lifecycle.chapters import Chapter
    from dev.lifecycle.console import Console
    from dev.lifecycle.landing import Landing
    from dev.lifecycle.server import Server

_SETTLE_SECONDS = 30.0
_KNOWN = "The ledger has this chapter already."
_BY_ITSELF = "It ran by itself while the chapter before went on; nothing was triggered."


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
            before = ""
            for chapter in CHAPTERS:
                self._console.title(chapter.title)
                if self._told(chapter):
                    itself = chapter.by_itself and before in self.durations
                    self._console.say(f"  {_BY_ITSELF if itself else _KNOWN}")
                else:
                    started = time.monotonic()
                    self._tell(chapter)
                    self.durations[chapter.title] = time.monotonic() - started
                    for line in news.lines():
                        self._console.say(f"  {line}")
                    itself = True
                if itself:
                    self._say_findings(chapter)
                if chapter.title in self.durations:
                    self._console.say(f"  {self.durations[chapter.title]:.0f} s")
                before = chapter.title

    def _tell(self, chapter: Chapter) -> None:
        for file in self._deliver(chapter):
            size = file.stat().st_size / 1e6
            self._console.say(f"  {file.relative_to(self._landing.folder)} arrives, {size:.1f} MB")
        runs = [
            run
            for run in self._watcher.runs_of(chapter.dag_id, chapter.partition_key)
            if (run["conf"] or {}) == (chapter.conf or {})
        ]
        # One that the schedule made is not ours.
        if any(run["run_type"] == "manual" for run in runs):
            self._console.say("  An earlier demo was stopped in this chapter: going on where it was.")
            # What another chapter had refused stays so.
            refused = {c.dag_id for c in CHAPTERS if c.refused and c.partition_key == chapter.partition_key}
            for dag_id in DAGS:
                if dag_id == chapter.dag_id or dag_id not in refused:
                    self._watcher.clear_failed(dag_id, chapter.partition_key)
        else:
            for dag_id in chapter.besides:
                self._server.api.trigger(dag_id)
            self._server.api.trigger(chapter.dag_id, partition_key=chapter.partition_key, conf=chapter.conf)
            key = f" with partition key {chapter.partition_key}" if chapter.partition_key else ""
            key += f" with {json.dumps(chapter.conf)}" if chapter.conf else ""
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

    def _say_findings(self, chapter: Chapter) -> None:
        if chapter.finds is not None:
            with PostgresLedger.connect(self._dsn) as ledger:
                for line in chapter.finds(ledger):
                    self._console.say(f"  {line}")

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

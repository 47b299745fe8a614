"""``dev/demo``: the whole lifecycle on this machine, from an empty folder to a page to look at."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dev.embedded import embedded_postgres, ensure_database
from dev.lifecycle.console import Console
from dev.lifecycle.landing import Landing
from dev.lifecycle.prepare import ledger_tables, mlflow_tables
from dev.lifecycle.processes import marked_processes
from dev.lifecycle.server import (
    PASSWORD,
    USER,
    Server,
    ServerError,
    airflow_environment,
    free_port,
)
from dev.lifecycle.state import CLONE, State, StateBusyError
from dev.lifecycle.watch import StoryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when all is as it should be, 130 when interrupted before the end."""
    parser = argparse.ArgumentParser(prog="dev/demo", description=__doc__)
    parser.add_argument(
        "--headless",
        action="store_true",
        help="play the story, check its end, stop; exit code 0 if all holds",
    )
    parser.add_argument("--reset", action="store_true", help="delete the state of earlier demos first")
    args = parser.parse_args(argv)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    console = Console()
    try:
        return Demo(State.from_environment(), console).run(headless=args.headless, reset=args.reset)
    except (StateBusyError, ServerError, StoryError) as err:
        console.say()
        console.say(f"FAILED: {err}")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _interrupt(number: int, _: FrameType | None) -> None:
    _ignore_signals()
    raise KeyboardInterrupt(signal.Signals(number).name)


def _ignore_signals() -> None:
    """From here on we are stopping, which takes its time; an impatient Ctrl-C must not leave something behind."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Demo:
    """One demo on one state folder."""

    def __init__(self, state: State, console: Console) -> None:
        self._state = state
        self._console = console
        self._dsn = ""

    def run(self, *, headless: bool, reset: bool) -> int:
        """Start everything, play the story, and stop or wait for Ctrl-C."""
        say = self._console.say
        say(f"State folder {self._state.root}")
        if reset:
            self._state.wipe()
            say("Deleted what earlier demos had left there.")
        if stopped := self._state.claim():
            say(f"Stopped {len(stopped)} processes that a killed demo had left running")
        with ExitStack() as stack:
            stack.callback(self._state.release)
            try:
                server = self._start(stack)
                durations = self._play(server)
                return self._end(server, durations, headless=headless)
            finally:
                _ignore_signals()

    def _start(self, stack: ExitStack) -> Server:
        say = self._console.say
        os.environ.update(self._state.environment())
        # The server bears no mark: it outlives Airflow, and its folder is enough to find it by.
        postgres = stack.enter_context(embedded_postgres(self._state.postgres / "data"))
        stack.callback(say, "Stopping PostgreSQL")
        self._dsn = ensure_database(postgres, "dataml")
        environment = airflow_environment(
            self._state,
            metadata_dsn=ensure_database(postgres, "airflow"),
            dataml_dsn=self._dsn,
            port=free_port(),
            dags=CLONE / "dags",
        )
        say("PostgreSQL is up: database airflow for Airflow, database dataml for ledger, data and MLflow")
        server = Server(self._state, environment, tell=say)
        stack.enter_context(self._stopping(server))
        say(ledger_tables(self._state, self._dsn).finish())
        server.start()
        say("Starting Airflow; the first time takes a minute")
        mlflow = mlflow_tables(self._state, self._dsn)
        server.wait_until_healthy()
        say(f"Airflow is up: {server.base}")
        self._wait_for_dags(server)
        say(mlflow.finish())
        return server

    @contextmanager
    def _stopping(self, server: Server) -> Iterator[None]:
        try:
            yield
        finally:
            started = time.monotonic()
            self._console.say("Stopping Airflow")
            killed = server.stop()
            left = marked_processes(self._state.root)
            seconds = time.monotonic() - started
            note = f"; had to kill {', '.join(killed)}" if killed else ""
            self._console.say(f"Airflow stopped in {seconds:.0f} s, {len(left) or 'no'} processes left{note}")

    def _wait_for_dags(self, server: Server) -> None:
        from dev.lifecycle.chapters import DAGS

        server.wait_for_dags(DAGS)
        self._console.say(f"{len(DAGS)} DAGs are parsed and unpaused")

    def _play(self, server: Server) -> dict[str, float]:
        from dev.lifecycle.story import Story

        ready = self._console.elapsed
        landing = Landing(self._state.landing)
        story = Story(server=server, landing=landing, dsn=self._dsn, console=self._console)
        story.play()
        return {"Start": ready, **story.durations}

    def _end(self, server: Server, durations: dict[str, float], *, headless: bool) -> int:
        from dev.lifecycle.findings import MODEL
        from dev.lifecycle.summary import summary

        say, title = self._console.say, self._console.title
        title("What the ledger says")
        for line in summary(self._dsn, model=MODEL, number=2):
            say(line)
        title("Time")
        processes, size = server.memory()
        for name, seconds in durations.items():
            say(f"{seconds:6.0f} s  {name}")
        say(f"{self._console.elapsed:6.0f} s  in all; Airflow: {processes} processes, {size / 1e6:,.0f} MB")
        if headless:
            return self._check()
        self._invite(server)
        try:
            while True:
                server.require_alive()
                time.sleep(1)
        except KeyboardInterrupt:
            return 0

    def _check(self) -> int:
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger
        from dev.lifecycle.checks import run_checks

        self._console.title("Checks")
        with PostgresLedger.connect(self._dsn) as ledger:
            results = list(run_checks(ledger))
        for result in results:
            self._console.say(str(result))
        broken = sum(result.problem is not None for result in results)
        self._console.say(f"{len(results) - broken} of {len(results)} checks hold")
        return 1 if broken else 0

    def _invite(self, server: Server) -> None:
        say = self._console.say
        self._console.title(f"Airflow is at {server.base}  user {USER}  password {PASSWORD}")
        say("Look at:  the DataML page in the navigation: datasets, the model, lineage, incidents")
        say("          DAG flights_train, the run of December: plan, train, evaluate, promote")
        say(
            "          DAG flights_blame, which December's incident started: what was undone, and what that changed"
        )
        say("          DAG flights_impact, the failed run: what weather without visibility would cost")
        say("          DAG flights_ingest, the failed run of 2014-01, task flights.audit: why it was refused")
        say("On the command line, in another terminal:")
        say(f"  export DATAML_LEDGER_DSN='{self._dsn}'")
        say(f"  {CLONE}/.venv/bin/dataml lineage flight_delay@2 --upstream")
        say("Ctrl-C stops everything. The state stays: the next dev/demo starts here; --reset begins anew.")


if __name__ == "__main__":
    sys.exit(main())

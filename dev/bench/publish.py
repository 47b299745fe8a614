"""What a publication makes readers wait for, and what an append costs, by the size of the dataset.

The first table: one partition of a dataset is replaced again and again while 16 processes look rows up in
its view by key. ``publish`` is everything ``publish_part`` does, ``switch`` the part of it that begins with
asking for the view and ends with the commit: only in it can a reader wait. Their own waits are beside it,
and what they were with nobody publishing, because a few cores make sixteen readers wait for each other;
each pauses between two reads, or else the table would be about the scheduler.

The second table: 10,000 rows are staged (copied, indexed, profiled, fingerprinted), verified on the result
by the native engine and published, on top of a dataset of parts of 100,000 rows.

    python -m dev.bench.publish [--rows 10000000] [--append-rows 20000000] [--rounds 100] [--readers 16] [--pause 0.01] [--quick]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming, TaskKey
from airflow_dataml.core.runs import RunIdentity, digest_of
from airflow_dataml.core.stores import Query
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.verify import verify_part
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.store import PostgresStore
    from airflow_dataml.core.datasets import StagedPart, WriteMode

LAYOUT = Layout(keys=("order_id",))
PART, BATCH = 100_000, 10_000
SIZES, APPEND_SIZES = (10_000, 100_000, 1_000_000, 10_000_000), (1_000_000, 5_000_000, 20_000_000)
ROWS = """
SELECT g AS order_id, (g * 2654435761 %% 200000)::integer AS customer_id,
  (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + g %% 4] AS status, (100 + g %% 999900) / 100.0 AS amount,
  timestamptz '2026-01-01' + g * interval '1 second' AS created_at
FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
"""
CONTRACT = Contract.from_text("""
dataset: bench/postgres/public/orders
columns:
  - {name: order_id, data_type: bigint, checks: [missing: , duplicate: ]}
  - {name: customer_id, data_type: integer, checks: [missing: , invalid: {valid_min: 0}]}
  - {name: status, data_type: text, checks: [missing: , invalid: {valid_values: [new, paid, shipped, returned]}]}
  - name: amount
    checks:
      - missing:
      - invalid: {valid_min: 0}
      - aggregate: {function: avg, threshold: {must_be_greater_than: 1}}
  - {name: created_at, checks: [missing: ]}
checks:
  - schema:
  - row_count:
""")
_LOOK = "SELECT * FROM public.orders WHERE order_id = %s"
_RUNS = itertools.count()


class Watched:
    """A store that knows when it was last asked to switch."""

    def __init__(self, store: PostgresStore) -> None:
        self._store, self.asked = store, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def switch(self, **given: Any) -> Any:
        self.asked = time.monotonic()
        return self._store.switch(**given)


class Orders:
    """The dataset under measurement."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger, self.next, self.store = ledger, 0, Watched(ledger.store)
        ledger.assets.register(name="orders", kind="dataset", uri=AssetNaming().uri("dataset", "orders"))
        ledger.assets.set_location("orders", {"table": "public.orders"} | LAYOUT.to_location())

    def stage(self, rows: int, *, mode: WriteMode = "append", key: str | None = None) -> StagedPart:
        values = {"first": self.next, "last": self.next + rows - 1}
        self.next += rows
        return stage_source(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=_identity("stage"),
            target=Target("orders", mode, key, layout=LAYOUT, location="public.orders"),
            source=Query(ROWS, parameters=values),
            digest=digest_of(**values),
            origin="numbers",
        )

    def verify(self, staged: StagedPart) -> None:
        verify_part(
            ledger=self.ledger,
            warehouse=self.ledger.warehouse,
            store=self.ledger.store,
            engine=NativeEngine(),
            identity=_identity("verify"),
            staged=staged,
            contract=CONTRACT,
        )

    def publish(self, staged: StagedPart, *, require_check: bool = False) -> None:
        publish_part(
            ledger=self.ledger,
            store=self.store,
            identity=_identity("publish"),
            staged=staged,
            place=place_of(self.ledger, "orders", "public.orders", LAYOUT),
            require_check=require_check,
        )


def switching(rows: int, *, rounds: int, readers: int, pause: float) -> list[str]:
    """One line of the first table."""
    with dataset() as (dsn, orders):
        orders.publish(orders.stage(rows, key="rest"))
        orders.publish(orders.stage(100, mode="partition", key="hot"))
        alone = sorted(_read(dsn, readers, rows, pause, lambda: time.sleep(5)))
        times, switches = [], []

        def publish() -> None:
            for _ in range(rounds):
                staged = orders.stage(100, mode="partition", key="hot")
                times.append(_timed(lambda staged=staged: orders.publish(staged)))
                switches.append(time.monotonic() - orders.store.asked)

        beside = sorted(_read(dsn, readers, rows, pause, publish))
    cells = (
        *(_p(sorted(found), percent) for found in (times, switches) for percent in (50, 99)),
        *(cell for found in (beside, alone) for cell in (_p(found, 99), found[-1])),
    )
    return [f"{rows:,}", *(f"{cell * 1000:.1f}" for cell in cells), f"{len(beside):,}"]


def appending(rows: int, *, rounds: int) -> list[str]:
    """One line of the second table."""
    with dataset() as (_, orders):
        for _ in range(rows // PART):
            orders.publish(orders.stage(PART))
        # Every part is measured once for its states.
        first = orders.stage(BATCH)
        whole = _timed(lambda: orders.verify(first))
        orders.publish(first, require_check=True)
        costs = [_append(orders) for _ in range(rounds)]
        parts = len(orders.ledger.versions.manifest(orders.ledger.versions.find("orders").version_id))
    medians = [statistics.median(column) for column in zip(*costs, strict=True)]
    total = statistics.median(map(sum, costs))
    return [f"{rows:,}", str(parts), *(f"{cost * 1000:.0f}" for cost in (*medians, total, whole))]


def _append(orders: Orders) -> tuple[float, float, float]:
    moments = [time.monotonic()]
    staged = orders.stage(BATCH)
    moments.append(time.monotonic())
    orders.verify(staged)
    moments.append(time.monotonic())
    orders.publish(staged, require_check=True)
    moments.append(time.monotonic())
    stage, verify, publish = (after - before for before, after in itertools.pairwise(moments))
    return stage, verify, publish


@contextmanager
def dataset() -> Iterator[tuple[str, Orders]]:
    """A fresh server; one that has just loaded another size is busy writing it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-publish-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
    ):
        dsn = ensure_database(server, "bench")
        with Connection(dsn) as connection:
            migrate(connection)
        with PostgresLedger.connect(dsn) as ledger:
            yield dsn, Orders(ledger)


def _read(dsn: str, readers: int, rows: int, pause: float, meanwhile: Any) -> list[float]:
    """Let processes read while something else happens; how long each read took."""
    command = [
        sys.executable,
        "-m",
        "dev.bench.publish",
        "--read",
        dsn,
        "--rows",
        str(rows),
        "--pause",
        str(pause),
    ]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
        for _ in range(readers)
    ]
    for process in started:
        process.stdout.readline()  # type: ignore[union-attr]
    meanwhile()
    # Closing their input stops them, and they say what they measured.
    return [float(word) for process in started for word in process.communicate()[0].split()]


def read_until_told(dsn: str, rows: int, pause: float) -> None:
    """Look rows up one by one until standard input is closed."""
    import select

    waits = []
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(_LOOK, [0])
        print("ready", flush=True)
        for number in itertools.count(os.getpid()):
            began = time.monotonic()
            db.execute(_LOOK, [number * 7919 % rows]).fetchall()
            waits.append(time.monotonic() - began)
            time.sleep(pause)
            if number % 16 == 0 and select.select([sys.stdin], [], [], 0)[0]:
                break
    print(" ".join(f"{wait:.6f}" for wait in waits))


def _timed(act: Any) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _p(sorted_times: Sequence[float], percent: int) -> float:
    return sorted_times[min(len(sorted_times) * percent // 100, len(sorted_times) - 1)]


def _identity(task: str) -> RunIdentity:
    return RunIdentity(TaskKey("bench", f"run{next(_RUNS)}", task))


def _print(title: str, head: Sequence[str], lines: Iterator[list[str]]) -> None:
    print(f"\n{title}\n" + "".join(f"{word:>14}" for word in head))
    for line in lines:
        print("".join(f"{word:>14}" for word in line), flush=True)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=SIZES[-1], help="largest dataset of the first table")
    parser.add_argument("--append-rows", type=int, default=APPEND_SIZES[-1], help="largest of the second")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--readers", type=int, default=16)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between two reads of a reader")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--read", metavar="DSN", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_until_told(options.read, options.rows, options.pause)
        return
    rounds = 20 if options.quick else options.rounds
    sizes = SIZES[:2] if options.quick else sorted({*(n for n in SIZES if n < options.rows), options.rows})
    larger = sorted({*(n for n in APPEND_SIZES if n < options.append_rows), options.append_rows})
    _print(
        f"replacing one partition, {rounds} times, with {options.readers} readers; milliseconds",
        (
            "rows",
            "publish p50",
            "p99",
            "switch p50",
            "p99",
            "read p99",
            "worst",
            "alone p99",
            "worst",
            "reads",
        ),
        (switching(n, rounds=rounds, readers=options.readers, pause=options.pause) for n in sizes),
    )
    _print(
        f"appending {BATCH:,} rows; milliseconds, medians",
        ("rows", "parts", "stage", "verify", "publish", "together", "verify all"),
        (appending(n, rounds=7) for n in ([200_000, 400_000] if options.quick else larger)),
    )


if __name__ == "__main__":
    main()

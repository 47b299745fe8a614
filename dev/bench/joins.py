"""A point-in-time join of two large tables, beside the ways people write it by hand.

Wall seconds of ``CREATE TABLE AS`` on an embedded PostgreSQL, the best of several rounds, every way in
turn; ``pandas.merge_asof`` reads both tables by COPY, joins in memory, and copies the result back.

    python -m dev.bench.joins [--rows 1000000] [--keys 10000] [--rounds 2]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from airflow_dataml.core.point_in_time import Known, PointInTimeJoin, point_in_time_sql
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable

JOIN = PointInTimeJoin(dataset="feature_0", keys=("key",), time_column="since", columns=("value",))
TABLES = """
CREATE TABLE spine AS SELECT n AS id, (random() * {keys})::int AS key,
  timestamptz '2026-01-01' + random() * interval '90 days' AS at FROM generate_series(1, {rows}) n;
CREATE TABLE feature_0 AS SELECT (random() * {keys})::int AS key,
  timestamptz '2026-01-01' + random() * interval '90 days' AS since, random() AS value FROM generate_series(1, {rows}) n;
ANALYZE
"""
BY_SEARCH = """SELECT s.id, s.key, s.at, f.value FROM spine s LEFT JOIN LATERAL (
  SELECT value FROM feature_0 f WHERE f.key = s.key AND f.since <= s.at ORDER BY f.since DESC LIMIT 1) f ON true"""


def ours(db: psycopg.Connection, *, then: bool) -> None:
    """Join as the operator does, the rows known from one time on, or always."""
    known = [Known("feature_0", datetime(2026, 1, 1, tzinfo=UTC) if then else None)]
    query = point_in_time_sql(time_column="at", columns=("id", "key", "at"), joins=[(JOIN, known)])
    db.execute(f"CREATE TABLE result AS {query}")


def by_search(db: psycopg.Connection) -> None:
    """Search each row's match by an index, which is made for it and counted."""
    db.execute("CREATE INDEX searched ON feature_0 (key, since DESC) INCLUDE (value)")
    db.execute("VACUUM ANALYZE feature_0")
    db.execute(f"CREATE TABLE result AS {BY_SEARCH}")
    db.execute("DROP INDEX searched")


def by_pandas(db: psycopg.Connection) -> None:
    """Take both tables out, join in memory, and put the result back."""
    import pandas as pd

    frames = []
    for table, moment in (("spine", "at"), ("feature_0", "since")):
        out = io.BytesIO()
        with db.cursor().copy(f"COPY {table} TO STDOUT (FORMAT csv, HEADER true)") as copy:
            for block in copy:
                out.write(block)
        out.seek(0)
        frame = pd.read_csv(out, engine="pyarrow")
        frame[moment] = pd.to_datetime(frame[moment], utc=True, format="ISO8601")
        frames.append(frame.sort_values(moment))
    joined = pd.merge_asof(frames[0], frames[1], left_on="at", right_on="since", by="key")
    db.execute("CREATE TABLE result (id int, key int, at timestamptz, value double precision)")
    text = joined[["id", "key", "at", "value"]].to_csv(index=False, header=False)
    with db.cursor().copy("COPY result FROM STDIN (FORMAT csv)") as copy:
        copy.write(text)


WAYS: dict[str, Callable[[psycopg.Connection], None]] = {
    "ours": lambda db: ours(db, then=False),
    "ours, known then": lambda db: ours(db, then=True),
    "LATERAL and an index": by_search,
    "pandas.merge_asof": by_pandas,
}


def report(rows: int, keys: int, rounds: int) -> None:
    """Measure and print; every way must give the same rows."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-joins-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
        psycopg.connect(ensure_database(server, "bench"), autocommit=True) as db,
    ):
        db.execute("SET jit = off")
        for statement in TABLES.format(rows=rows, keys=keys).split(";"):
            db.execute(statement)
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        sums = set()
        for _ in range(rounds):
            for name, join in WAYS.items():
                started = time.monotonic()
                join(db)
                seconds[name].append(time.monotonic() - started)
                sums.add(
                    db.execute(
                        "SELECT count(*), count(value), round(sum(value)::numeric, 3) FROM result"
                    ).fetchone()
                )
                db.execute("DROP TABLE result")
    print(
        f"{rows:,} rows x {rows:,} rows, {keys:,} keys, best of {rounds}; wall seconds, share of matched rows equal: {len(sums) == 1}"
    )
    for name, times in seconds.items():
        print(f"{name:24}{min(times):8.2f}{min(times) / min(seconds['ours']):8.2f}x")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    report(options.rows, options.keys, options.rounds)


if __name__ == "__main__":
    main()

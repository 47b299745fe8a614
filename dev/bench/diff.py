"""What the row diff of two versions costs, beside the usual ways.

Two versions of N rows x 12 columns, 1 % updated, 0.1 % inserted, 0.06 % deleted, first with every part
written anew, then with 1 of 20. Every way must find the same. CPU seconds are the server's, workers and
every connection included, and the client's beside them; the best of several rounds.

    python -m dev.bench.diff [--rows 5000000] [--rounds 2] [--peers PYTHON]

:param peers: an interpreter with ``reladiff`` and ``psycopg2``, for its joindiff and hashdiff.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg

from airflow_dataml.adapters.postgres.comparing import compare_parts
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.fingerprints import fingerprint_relation
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.datasets import Column, Part
from airflow_dataml.core.refs import Relation
from dev.bench.quality import server_seconds
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PARTS = 20
COUNT = "inserted, updated, deleted"
_ROWS = """
SELECT g::bigint AS order_id, (g * 7919 % 200000)::integer AS customer_id,
       (ARRAY['new', 'paid', 'shipped', 'done'])[1 + g % 4] AS status, 'user' || g % 200000 || '@example.com' AS email,
       (g % 97 / 7.0 + {raise})::numeric(10, 2) AS amount, (g % 31 / 3.0)::double precision AS weight,
       timestamptz '2026-01-01' + g * interval '1 second' AS created_at, date '2026-01-01' + (g % 365)::integer AS due,
       (g % 5)::integer AS quantity, g % 3 = 0 AS gift, md5(g::text) AS token, 'DE' || g % 10 AS country
FROM generate_series({first}::bigint, {last}::bigint) g
"""
# As a merge leaves a part, and what it brings: every hundredth dearer, one in 1,667 gone, one in a thousand new.
_LEFT = "SELECT * FROM ({rows}) t WHERE order_id % 100 <> 7 AND order_id % 1667 <> 0"
_BATCH = """
SELECT * FROM ({raised}) t WHERE order_id % 100 = 7 AND order_id % 1667 <> 0 UNION ALL ({fresh})
"""
_RELADIFF = """
import json, sys, time
from reladiff import connect_to_table, diff_tables, Algorithm
info, tables, algorithm, columns = json.loads(sys.argv[1])
sides = [connect_to_table(dict(info, driver="postgresql"), t, "order_id") for t in tables]
started, counts = time.process_time(), {"+": set(), "-": set()}
for sign, row in diff_tables(*sides, algorithm=Algorithm(algorithm), extra_columns=tuple(columns)):
    counts[sign].add(row[0])
updated = len(counts["+"] & counts["-"])
print(json.dumps([len(counts["+"]) - updated, updated, len(counts["-"]) - updated, time.process_time() - started]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one way: seconds, and what it found."""

    wall: float
    server: float
    client: float
    found: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions as manifests, and as one table each for ways that know no parts."""

    old: tuple[Part, ...]
    new: tuple[Part, ...]
    whole: tuple[str, str]
    columns: tuple[Column, ...]


def make_versions(db: Connection, rows: int, *, changed: int) -> Versions:
    """Write a version of 20 parts, and what a merge that touches some of them makes of it.

    Ways that know no parts get a table of each version, with a primary key.
    """
    size = rows // PARTS
    old, new = [], []
    for number in range(PARTS):
        all_rows = _rows(number * size + 1, (number + 1) * size)
        old.append(_part(db, f"old_{number}", number, all_rows))
        left = (
            _part(db, f"new_{number}", PARTS + number, _LEFT.format(rows=all_rows))
            if number < changed
            else old[-1]
        )
        new.append(left)
    touched = changed * size
    batch = _BATCH.format(raised=_rows(1, touched, raised=1), fresh=_rows(rows + 1, rows + touched // 1000))
    new.append(_part(db, "batch", 2 * PARTS, batch))
    for name, parts in (("whole_old", old), ("whole_new", new)):
        body = " UNION ALL ".join(f"SELECT * FROM {p.relation.quoted}" for p in parts)
        db.execute(f"DROP TABLE IF EXISTS {name}")
        db.execute(f"CREATE TABLE {name} AS SELECT * FROM ({body}) t ORDER BY order_id")
        db.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (order_id)")
        db.execute(f"VACUUM ANALYZE {name}")
    return Versions(tuple(old), tuple(new), ("whole_old", "whole_new"), old[0].columns)


def _rows(first: int, last: int, *, raised: int = 0) -> str:
    return _ROWS.format(first=first, last=last, **{"raise": raised})


def _part(db: Connection, name: str, number: int, query: str) -> Part:
    relation = Relation("public", name)
    db.execute(f"DROP TABLE IF EXISTS {relation.quoted}")
    db.execute(f"CREATE TABLE {relation.quoted} AS {query}")
    db.execute(f"CREATE UNIQUE INDEX ON {relation.quoted} (order_id)")
    db.execute(f"VACUUM ANALYZE {relation.quoted}")
    return Part(number, "orders", str(relation), columns_of(db, relation), fingerprint_relation(db, relation))


def one_part(db: Connection, versions: Versions) -> Versions:
    """The same two versions, each in a single part."""
    parts = [
        Part(
            100 + i,
            "orders",
            f"public.{name}",
            versions.columns,
            fingerprint_relation(db, Relation("public", name)),
        )
        for i, name in enumerate(versions.whole)
    ]
    return Versions((parts[0],), (parts[1],), versions.whole, versions.columns)


def ways(db: Connection, versions: Versions, peers: str | None) -> dict[str, Callable[[], Sequence[float]]]:
    """Everything that is measured, by name; each returns what it found, and perhaps its own CPU seconds."""
    single = one_part(db, versions)
    found: dict[str, Callable[[], Sequence[float]]] = {
        "compare by key": lambda: _compare(db, versions, ["order_id"]),
        "compare by key, one part": lambda: _compare(db, single, ["order_id"]),
        "compare without keys": lambda: _compare(db, versions, []),
        "EXCEPT ALL both ways": lambda: _except_all(db, versions),
    }
    for algorithm in ("joindiff", "hashdiff") if peers else ():
        found[f"reladiff {algorithm}"] = lambda name=algorithm: _reladiff(db, versions, str(peers), name)  # type: ignore[misc]
    return found


def _compare(db: Connection, versions: Versions, keys: Sequence[str]) -> tuple[int, int, int]:
    diff = compare_parts(
        db, columns=versions.columns, keys=keys, old=versions.old, new=versions.new, samples=5
    )
    return (diff.inserted, diff.updated, diff.deleted)


def _except_all(db: Connection, versions: Versions) -> tuple[int, int, int]:
    old, new = versions.whole
    more, fewer = (
        db.scalar(f"SELECT count(*) FROM (TABLE {one} EXCEPT ALL TABLE {other}) t")
        for one, other in ((new, old), (old, new))
    )
    return (more, 0, fewer)


def _reladiff(db: Connection, versions: Versions, python: str, algorithm: str) -> list[float]:
    info = {"host": db.raw.info.host, "user": db.raw.info.user, "dbname": db.raw.info.dbname}
    names = [c.name for c in versions.columns[1:]]
    said = json.dumps([info, versions.whole, algorithm, names])
    done = subprocess.run(
        [python, "-c", _RELADIFF, said], capture_output=True, text=True, check=False, env={}
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    counts: list[float] = json.loads(done.stdout.splitlines()[-1])
    return counts


def measure(postmaster: psutil.Process, work: Callable[[], Sequence[float]]) -> Cost:
    """Run one way and count its seconds."""
    server, client, started = server_seconds(postmaster), time.process_time(), time.perf_counter()
    inserted, updated, deleted, *own = work()
    wall = time.perf_counter() - started
    client = own[0] if own else time.process_time() - client
    # A backend that is about to leave is counted once it is reaped.
    time.sleep(0.3)
    found = (int(inserted), int(updated), int(deleted))
    return Cost(wall, server_seconds(postmaster) - server, client, found)


def report(title: str, costs: dict[str, list[Cost]]) -> None:
    """Print the best of every way, beside ours."""
    best = {name: min(times, key=lambda c: c.server + c.client) for name, times in costs.items()}
    ours = best["compare by key"]
    print(f"\n{title}")
    print(f"{'':28}{'wall s':>8}{'server':>8}{'client':>8}{'x ours':>8}   {COUNT}")
    for name, cost in best.items():
        ratio = (cost.server + cost.client) / (ours.server + ours.client)
        print(f"{name:28}{cost.wall:8.2f}{cost.server:8.2f}{cost.client:8.2f}{ratio:7.1f}x   {cost.found}")
    inserted, updated, deleted = ours.found
    for cost in best.values():
        if cost.found not in (ours.found, (inserted + updated, 0, deleted + updated)):
            sys.exit("the ways do not agree")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with reladiff and psycopg2")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-diff-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
    ):
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET autovacuum = off")
            admin.execute("SELECT pg_reload_conf()")
        with Connection(ensure_database(server, "bench")) as db:
            postmaster = psutil.Process(db.raw.info.backend_pid).parent()
            for title, changed in (
                ("every part differs", PARTS),
                (f"1 of {PARTS} parts differs", 1),
            ):
                versions = make_versions(db, options.rows, changed=changed)
                found = ways(db, versions, options.peers)
                costs = {
                    name: [measure(postmaster, run) for _ in range(options.rounds)]
                    for name, run in found.items()
                }
                report(f"{options.rows:,} rows x {len(versions.columns)} columns, {title}", costs)


if __name__ == "__main__":
    main()

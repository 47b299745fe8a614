"""What lineage costs: OpenLineage events into the graph, in batches and one by one; and walks over a large graph.

The first table: events of about 7.4 kB with 20 columns in and out and 20 column edges each go through the
whole way (kept as they come, read, projected): those of jobs nobody knew, those of jobs that ran before in
no order, these again as the receiver takes batches, with an answer per event, and with another process that
takes them in meanwhile, as tasks and receivers do. CPU
is told apart for this process and the server, because wall time on a busy machine is about the others. The
second (``--edges``): walks on a graph of versions in layers with hubs, by the depth of the walk, and
everything upstream of a version.

    python -m dev.bench.lineage [--events 4000] [--singly 200] [--edges 1000000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.graph import PostgresLineage
from airflow_dataml.adapters.postgres.lineage_inbox import PostgresInbox
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.steps.lineage import project_pending, store_events
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = 20
_FACET = {
    "_producer": "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/spark",
    "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json",
}


def event(job: int, run: int) -> dict[str, Any]:
    """A COMPLETE event of one job that reads a table and writes another."""
    at = f"2026-01-{1 + run % 27:02d}T{job % 24:02d}:{run % 60:02d}:{job % 60:02d}Z"
    columns = [
        {"name": f"column_{i}", "type": "bigint", "description": f"what it is, {i}"} for i in range(COLUMNS)
    ]
    names = [
        {"namespace": "postgres://db:5432", "name": f"shop.public.{kind}_{job}"} for kind in ("raw", "clean")
    ]
    fields = {
        f"column_{i}": {
            "inputFields": [
                names[0]
                | {"field": f"column_{i}", "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}]}
            ]
        }
        for i in range(COLUMNS)
    }
    return {
        "eventType": "COMPLETE", "eventTime": at, "producer": _FACET["_producer"], "schemaURL": _FACET["_schemaURL"],
        "run": {"runId": f"0194{job:04d}-0000-7000-8000-{run:012d}", "facets": {}},
        "job": {"namespace": "spark", "name": f"job_{job}", "facets": {}},
        "inputs": [names[0] | {"facets": {"schema": _FACET | {"fields": columns}}}],
        "outputs": [
            names[1] | {"facets": {"schema": _FACET | {"fields": columns}, "columnLineage": _FACET | {"fields": fields}}}
        ],
    }  # fmt: skip


class Meter:
    """Wall and CPU seconds of this process, its children and the server since it was made."""

    def __init__(self, connection: Connection) -> None:
        self._server = psutil.Process(connection.raw.info.backend_pid).parent()
        self._began, self._mine, self._theirs = time.perf_counter(), self._here(), self._there()

    @staticmethod
    def _here() -> float:
        return sum(os.times()[:4])

    def _there(self) -> float:
        total = 0.0
        for process in (self._server, *self._server.children(recursive=True)):
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:2])
        return total

    def show(self, what: str, count: int) -> None:
        """Print what one event cost."""
        wall, here, there = (
            time.perf_counter() - self._began,
            self._here() - self._mine,
            self._there() - self._theirs,
        )
        print(
            f"{what:<44}{count / wall:>8,.0f}{here / count * 1000:>10.2f}{there / count * 1000:>10.2f}{os.getloadavg()[0]:>8.1f}"
        )


def keep(connection: Connection, events: Sequence[str], *, batch: int) -> None:
    """Take events in, as a transport does."""
    inbox = PostgresInbox(connection)
    for at in range(0, len(events), batch):
        inbox.put([json.loads(one) for one in events[at : at + batch]], source="transport")


def ingest(connection: Connection, events: Sequence[str], *, batch: int) -> None:
    """Take events in and project them, one after the other."""
    projector = PostgresProjection(connection)
    for at in range(0, len(events), batch):
        keep(connection, events[at : at + batch], batch=batch)
        _project(projector, batch)


def receive(connection: Connection, events: Sequence[str], *, batch: int) -> None:
    """Take events in, project them and say of each what became of it, as a receiver does with a batch."""
    for at in range(0, len(events), batch):
        # A request has a connection's worth of state of its own.
        projector = PostgresProjection(connection)
        told = store_events(
            events=[json.loads(one) for one in events[at : at + batch]],
            store=projector.inbox,
            projector=projector,
        )
        if any(one.status != "stored" or one.pending for one in told):
            raise SystemExit(str(next(one for one in told if one.status != "stored" or one.pending)))


def side_by_side(dsn: str, connection: Connection, events: Sequence[str], *, batch: int) -> None:
    """Project events while another process takes them in."""
    feeder = multiprocessing.get_context("fork").Process(target=_feed, args=(dsn, events, batch))
    feeder.start()
    projector, done = PostgresProjection(connection), 0
    while done < len(events):
        done += _project(projector, batch)
    feeder.join()


def _feed(dsn: str, events: Sequence[str], batch: int) -> None:
    with Connection(dsn) as connection:
        keep(connection, events, batch=batch)


def _project(projector: PostgresProjection, batch: int) -> int:
    done = project_pending(projector=projector, batch=batch)
    if done.refused:
        raise SystemExit(str(done.refused))
    return done.stored


def ingestion(dsn: str, count: int, singly: int) -> None:
    """Print what events cost."""
    rng = random.Random(7)  # noqa: S311 - made-up data

    def texts(jobs: int, runs: range) -> list[str]:
        found = [json.dumps(event(i, run)) for run in runs for i in range(jobs)]
        rng.shuffle(found)
        return found

    jobs = count // 2
    print(
        f"events of {len(json.dumps(event(1, 1))):,} bytes, {COLUMNS} column edges each, {jobs:,} jobs, batches of 500"
    )
    print(f"{'':<44}{'events/s':>8}{'ms here':>10}{'ms server':>10}{'load':>8}")
    with Connection(dsn) as connection:
        migrate(connection)
        for what, runs, way in (
            ("jobs nobody knew", range(1), ingest),
            ("jobs that ran before", range(1, 3), ingest),
            ("the same, through the receiver", range(7, 9), receive),
            ("the same, taken in by another process", range(3, 5), partial(side_by_side, dsn)),
        ):
            events = texts(jobs, runs)
            meter = Meter(connection)
            way(connection, events, batch=500)
            meter.show(what, len(events))
        for batch in (50, 1):
            events = texts(jobs, range(5, 6))[: singly * batch] if batch == 1 else texts(jobs, range(6, 7))
            meter = Meter(connection)
            ingest(connection, events, batch=batch)
            meter.show(f"in batches of {batch}" if batch > 1 else "one by one", len(events))


def graph(connection: Connection, edges: int) -> list[int]:
    """Write a graph of versions in 20 layers with hubs; return nodes of its last layer."""
    nodes, layers = edges // 5, 20
    per = nodes // layers
    rng = random.Random(7)  # noqa: S311 - made-up data
    connection.execute("INSERT INTO dataml.run (dag_id, run_id, task_id) VALUES ('d', 'r', 't')")
    connection.execute(
        "INSERT INTO dataml.asset (name, kind, uri) SELECT 'asset_' || i, 'external', 'asset_' || i "
        f"FROM generate_series(1, {nodes // 10}) i"
    )
    connection.execute(
        "INSERT INTO dataml.version (asset_id, number, run_key, fact_key) "
        f"SELECT 1 + i % {nodes // 10}, 1 + i / {nodes // 10}, 1, i::text FROM generate_series(0, {nodes - 1}) i"
    )
    with connection.raw.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE e (s bigint, d bigint)")
        with cursor.copy("COPY e FROM STDIN") as copy:
            for _ in range(edges):
                layer, place = rng.randrange(1, layers), rng.randrange(per)
                # Mostly from its neighbourhood, now and then from one of ten hubs.
                near = (place + rng.randrange(-150, 150)) % per if rng.random() > 0.02 else rng.randrange(10)
                copy.write_row((1 + (layer - 1) * per + near, 1 + layer * per + place))
        cursor.execute(
            "INSERT INTO dataml.edge (src, dst, kind, run_key) "
            "SELECT 'version:' || s, 'version:' || d, 'derived', 1 FROM e ON CONFLICT DO NOTHING"
        )
    connection.execute("ANALYZE dataml.edge; ANALYZE dataml.version")
    connection.execute("VACUUM dataml.edge")
    return [1 + (layers - 1) * per + rng.randrange(per) for _ in range(30)]


def walks(connection: Connection, starts: list[int]) -> None:
    """Print what walks cost, in milliseconds."""
    lineage = PostgresLineage(connection)
    print(f"{'walk':<28}{'p50 ms':>10}{'max ms':>10}{'nodes':>10}")
    for depth in (2, 3, 5):
        took, sizes = [], []
        for start in starts:
            began = time.perf_counter()
            found = lineage.walk(f"version:{start}", direction="upstream", depth=depth)
            took.append((time.perf_counter() - began) * 1000)
            sizes.append(len(found.nodes))
        print(
            f"{f'depth {depth}, 1,000 nodes':<28}{statistics.median(took):>10.1f}{max(took):>10.1f}{max(sizes):>10,}"
        )
    took, sizes = [], []
    for start in starts[:10]:
        began = time.perf_counter()
        rows = lineage.closure(f"version:{start}", direction="upstream")
        took.append((time.perf_counter() - began) * 1000)
        sizes.append(sum(row["versions"] for row in rows))
    print(f"{'everything upstream':<28}{statistics.median(took):>10.1f}{max(took):>10.1f}{max(sizes):>10,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--singly", type=int, default=200)
    parser.add_argument("--edges", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as server:
        ingestion(ensure_database(server, "events"), args.events, args.singly)
        if args.edges:
            with Connection(ensure_database(server, "graph")) as connection:
                migrate(connection)
                began = time.perf_counter()
                starts = graph(connection, args.edges)
                print(f"a graph of {args.edges:,} edges, written in {time.perf_counter() - began:.0f} s")
                walks(connection, starts)


if __name__ == "__main__":
    main()

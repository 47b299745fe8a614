"""What lineage costs: OpenLineage events into the graph, in batches and one by one; and walks over a large graph.

The first table: events of about 7.4 kB with 20 columns in and out and 20 column edges each, half of them
from jobs that ran before, go through the whole way (kept as they come, read, projected). The second
(``--edges``): walks on a graph of versions in layers with hubs, by the depth of the walk, and everything
upstream of a version.

    python -m dev.bench.lineage [--events 5000] [--singly 200] [--edges 1000000]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.graph import PostgresLineage
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.steps.lineage import project_pending
from dev.embedded import embedded_postgres, ensure_database

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


def ingest(connection: Connection, events: list[dict[str, Any]], *, batch: int) -> tuple[float, float]:
    """Return seconds and CPU seconds of this process for keeping and projecting events."""
    projector = PostgresProjection(connection)
    began, cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(events), batch):
        projector.inbox.put(events[at : at + batch], source="transport")
        done = project_pending(projector=projector, batch=batch)
        if done.refused:
            raise SystemExit(str(done.refused))
    return time.perf_counter() - began, time.process_time() - cpu


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
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--singly", type=int, default=200)
    parser.add_argument("--edges", type=int, default=1_000_000)
    args = parser.parse_args()
    size = len(json.dumps(event(1, 1)))
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as server:
        with Connection(ensure_database(server, "events")) as connection:
            migrate(connection)
            jobs = max(args.events // 2, 1)
            events = [event(i % jobs, i // jobs) for i in range(args.events)]
            print(f"{args.events:,} events of {size:,} bytes, {COLUMNS} column edges each, {jobs:,} jobs")
            for batch in (500, 50):
                taken = events[:: 2 if batch == 500 else 1][: args.events // 2]
                mine = [
                    one | {"eventTime": one["eventTime"].replace("2026", str(2000 + batch))} for one in taken
                ]
                mine = [
                    json.loads(
                        json.dumps(one).replace("spark", f"spark{batch}").replace("shop.", f"shop{batch}.")
                    )
                    for one in mine
                ]
                wall, cpu = ingest(connection, mine, batch=batch)
                print(
                    f"batches of {batch:<5} {len(mine) / wall:>8,.0f} events/s   {cpu / len(mine) * 1e6:>6,.0f} us CPU each here"
                )
            single = [
                json.loads(json.dumps(one).replace("spark", "spark1").replace("shop.", "shop1."))
                for one in events[: args.singly]
            ]
            wall, _ = ingest(connection, single, batch=1)
            print(f"one by one       {len(single) / wall:>8,.0f} events/s")
        if args.edges:
            with Connection(ensure_database(server, "graph")) as connection:
                migrate(connection)
                began = time.perf_counter()
                starts = graph(connection, args.edges)
                print(f"a graph of {args.edges:,} edges, written in {time.perf_counter() - began:.0f} s")
                walks(connection, starts)


if __name__ == "__main__":
    main()

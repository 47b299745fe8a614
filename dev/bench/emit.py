"""What telling lineage adds to a task: the OpenLineage client's own HTTP transport beside ours, in one run.

A task tells two events, its start and its end. By default the OpenLineage provider forks a child for each, which
makes its own client; with ``execute_in_thread`` both are told in the task's process. Every figure is wall time of
``emit`` and whatever it imports, in an interpreter that has loaded what a task of Airflow has. Events are of 7 KB.

    python -m dev.bench.emit [rounds]
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.migrate import migrate
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "airflow_dataml.transport.OutboxTransport"
HEALTHY_BAR_MS, DEAD_BAR_MS = 20.0, 50.0
_TASK = """
import json, os, sys, time, uuid
import airflow.sdk, airflow.providers.openlineage.plugins.adapter
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import schema_dataset
config, mode, rounds = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def event(state):
    fields = [schema_dataset.SchemaDatasetFacetFields(f"column_{n}", "character varying", "what it means " * 5) for n in range(40)]
    out = OutputDataset("postgres://h:5432", "db.public.t", facets={"schema": schema_dataset.SchemaDatasetFacet(fields)})
    return RunEvent(eventType=state, eventTime="2026-11-23T10:00:00Z", run=Run(str(uuid.uuid4())), job=Job("bench", "task"),
                    outputs=[out], producer="https://example.com")
def told(client, one):
    began, cpu = time.perf_counter(), time.process_time()
    try:
        (client or OpenLineageClient(config={"transport": json.loads(json.dumps(config))})).emit(one)
    except Exception:
        pass
    return time.perf_counter() - began, time.process_time() - cpu
def forked(one):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, json.dumps(told(None, one)).encode())
        os._exit(0)
    os.close(write)
    seconds = json.loads(os.read(read, 200)); os.close(read); os.wait()
    return seconds
if config["type"].startswith("airflow_dataml"):
    # What our listener does before the first event, in the task's own process.
    began = time.perf_counter()
    from airflow_dataml import emission
    import airflow_dataml.transport
    emission.prepare(None)
    before = time.perf_counter() - began
else:
    before = 0.0
tasks = []
for _ in range(rounds):
    pair = [event(RunState.START), event(RunState.COMPLETE)]
    if mode == "fork":
        tasks.append([forked(one) for one in pair])
    else:
        client = OpenLineageClient(config={"transport": json.loads(json.dumps(config))})
        tasks.append([told(client, one) for one in pair])
print(json.dumps({"before": before, "tasks": tasks}))
"""


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def backend() -> Iterator[str]:
    """A backend that takes everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def measure(config: dict[str, Any], mode: str, rounds: int, **env: str) -> dict[str, float]:
    """Milliseconds: before the first event, of the first task, and the medians of a task and of an event."""
    done = subprocess.run(
        [sys.executable, "-c", _TASK, json.dumps(config), mode, str(rounds)],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()} | env,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    tasks = [1000 * sum(wall for wall, _ in pair) for pair in found["tasks"]]
    events = [[1000 * one for one in both] for pair in found["tasks"] for both in pair]
    return {
        "before": 1000 * found["before"],
        "first task": tasks[0],
        "task": statistics.median(tasks),
        "event": statistics.median(wall for wall, _ in events),
        "cpu": statistics.median(cpu for _, cpu in events),
    }


def main() -> None:
    """Measure every case and print them side by side."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with (
        tempfile.TemporaryDirectory(prefix="dataml-emit-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
        backend() as url,
        socket.socket() as held,
    ):
        held.bind(("127.0.0.1", 0))
        refused = held.getsockname()[1]
        dsn = ensure_database(server, "emit")
        with Connection(dsn) as connection:
            migrate(connection)
        os.environ["AIRFLOW_HOME"] = folder
        ours = {"type": OURS, "spool_dir": str(Path(folder) / "spool")}
        dead = f"http://127.0.0.1:{refused}"
        down = f"postgresql://u@127.0.0.1:{refused}/x"
        backends = json.dumps({"dead": {"type": "http", "url": dead}})
        for mode in ("thread", "fork"):
            cases = {
                "http, healthy": measure({"type": "http", "url": url}, mode, rounds),
                "http, refused": measure({"type": "http", "url": dead}, mode, 1),
                "ours, healthy": measure(ours, mode, rounds, DATAML_LEDGER_DSN=dsn),
                "ours, backend dead": measure(
                    ours, mode, rounds, DATAML_LEDGER_DSN=dsn, AIRFLOW__DATAML__LINEAGE_BACKENDS=backends
                ),
                "ours, ledger dead": measure(ours, mode, rounds, DATAML_LEDGER_DSN=down),
            }
            _print(mode, cases)


def _print(mode: str, cases: dict[str, dict[str, float]]) -> None:
    print(f"\n{mode:22}{'before':>10}{'first task':>12}{'task':>10}{'event':>10}{'its cpu':>10}  ms")
    for name, found in cases.items():
        row = "".join(
            f"{found[key]:{width}.1f}"
            for key, width in (("before", 10), ("first task", 12), ("task", 10), ("event", 10), ("cpu", 10))
        )
        print(f"{name:22}{row}")
    healthy, dead = cases["ours, healthy"], cases["ours, backend dead"]
    print(f"dead backend: http / ours = {cases['http, refused']['task'] / dead['task']:,.0f}x")
    print(f"healthy:      http / ours = {cases['http, healthy']['task'] / healthy['task']:.2f}x")
    bars = ((healthy["task"], HEALTHY_BAR_MS, "healthy"), (dead["task"], DEAD_BAR_MS, "backend dead"))
    for value, bar, name in bars:
        print(f"{name}: {value:.1f} ms a task, bar {bar:.0f} ms: {'held' if value < bar else 'MISSED'}")


if __name__ == "__main__":
    main()

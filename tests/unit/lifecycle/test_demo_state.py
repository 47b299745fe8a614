from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from dev.lifecycle.processes import marked_environment, marked_processes, stop_processes
from dev.lifecycle.server import connections, free_port
from dev.lifecycle.state import State, StateBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"], env={})
child.wait()
"""
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
)


@contextmanager
def child(root: Path, program: str = STUBBORN) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a demo on this folder that has left its session and does not listen to SIGTERM."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        env=os.environ | marked_environment(root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def owner(root: Path, *, pid: int, started: float) -> None:
    root.mkdir(exist_ok=True)
    (root / "demo.json").write_text(json.dumps({"pid": pid, "started": started}))


def test_a_child_is_found_by_its_folder_alone(tmp_path: Path) -> None:
    with child(tmp_path) as process:
        assert [p.pid for p in marked_processes(tmp_path)] == [process.pid]
        assert marked_processes(tmp_path / "other") == []


def test_a_childs_child_without_the_mark_is_found_too(tmp_path: Path) -> None:
    with child(tmp_path, PARENT):
        found = marked_processes(tmp_path)
        assert len(found) == 2
        stop_processes(found)
    assert not any(process.is_running() for process in found)


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with child(tmp_path) as process:
        killed = stop_processes(marked_processes(tmp_path), patience=0.2)
        assert [p.pid for p in killed] == [process.pid]
    assert marked_processes(tmp_path) == []


def test_a_folder_of_a_living_demo_is_refused(tmp_path: Path) -> None:
    with child(tmp_path / "elsewhere") as process:
        owner(tmp_path, pid=process.pid, started=psutil.Process(process.pid).create_time())
        with pytest.raises(StateBusyError, match=f"process {process.pid}"):
            State(tmp_path).claim()


def test_a_reused_process_number_is_not_a_living_demo(tmp_path: Path) -> None:
    with child(tmp_path / "elsewhere") as process:
        owner(tmp_path, pid=process.pid, started=1.0)
        assert State(tmp_path).claim() == []


def test_reset_deletes_what_the_demo_made_and_nothing_else(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.claim()
    state.release()
    (tmp_path / "thesis.txt").write_text("precious")
    state.wipe()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_every_tool_is_told_to_stay_in_the_folder(tmp_path: Path) -> None:
    places = [
        v
        for k, v in State(tmp_path).environment().items()
        if k.startswith(("XDG", "AIRFLOW", "MPL", "TORCH"))
    ]
    assert len(places) == 8
    assert all(place.startswith(str(tmp_path)) for place in places)


def test_connections_name_the_socket_and_the_database(tmp_path: Path) -> None:
    found = connections("host=/run/pg user=postgres dbname=dataml", mlflow_artifacts=tmp_path)
    ledger = json.loads(found["AIRFLOW_CONN_DATAML_DEFAULT"])
    assert ledger == {"conn_type": "dataml", "host": "/run/pg", "login": "postgres", "schema": "dataml"}
    mlflow = json.loads(found["AIRFLOW_CONN_DATAML_MLFLOW_DEFAULT"])
    assert mlflow["extra"] == {"mlflow_schema": "mlflow", "artifact_location": str(tmp_path)}


def test_a_port_in_use_is_passed_over() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port

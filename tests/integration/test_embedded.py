from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from dev.embedded import embedded_postgres, ensure_database, stop_leftover

if TYPE_CHECKING:
    from collections.abc import Iterator

ABANDON = """
import os, signal, sys
from pathlib import Path
from dev.embedded import embedded_postgres
with embedded_postgres(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: other sessions of pytest take back the right of way that root's server needs."""
    with tempfile.TemporaryDirectory(prefix="embedded-") as name:
        yield Path(name)


def server_pid(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def test_data_outlives_the_server_and_nothing_runs_afterwards(folder: Path) -> None:
    data = folder / "data"
    with embedded_postgres(data) as dsn, psycopg.connect(ensure_database(dsn, "kept")) as db:
        db.execute("CREATE TABLE t AS SELECT 7 AS n")
        db.commit()
        pid = server_pid(data)
    assert not psutil.pid_exists(pid)
    with embedded_postgres(data) as dsn, psycopg.connect(ensure_database(dsn, "kept")) as db:
        assert db.execute("SELECT n FROM t").fetchone() == (7,)


def test_a_server_left_by_a_killed_process_is_replaced(folder: Path) -> None:
    data = folder / "data"
    command = [sys.executable, "-c", ABANDON, str(data)]
    done = subprocess.run(command, check=False, cwd=os.getcwd())  # noqa: S603 - our own interpreter
    assert done.returncode == -signal.SIGKILL
    left = server_pid(data)
    assert psutil.pid_exists(left)
    with embedded_postgres(data):
        assert not psutil.pid_exists(left)


def test_a_process_that_only_has_the_number_is_left_alone(folder: Path) -> None:
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert not stop_leftover(folder)


def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    with embedded_postgres(folder / ("long" * 25) / "data") as dsn, psycopg.connect(dsn) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


def test_what_is_wrong_is_in_the_error(folder: Path) -> None:
    data = folder / "data"
    with embedded_postgres(data):
        pass
    (data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(RuntimeError, match="no_such_setting"), embedded_postgres(data):
        pass

"""A Ray head on this machine for tests: started as an administrator would, reached over HTTP alone."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.adapters.ray import RayJobs
from airflow_dataml.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
_SECONDS = 120


@contextmanager
def ray_head(*, cpus: int = 4) -> Iterator[tuple[str, str]]:
    """Yield the address of its dashboard and its own token; every process of it ends with the block."""
    token = secrets.token_hex(32)
    # Its sockets lie below this folder, and a socket's path has room for a hundred letters.
    folder = tempfile.mkdtemp(prefix="ray")
    port, agent, head = free_port(), free_port(), free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats",
        f"--port={head}", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", "--num-gpus=0",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}",
        f"--dashboard-agent-listen-port={agent}", f"--temp-dir={folder}", "--object-store-memory=100000000",
    ]  # fmt: skip
    # Not whatever the machine has in its home folder: this head knows this token alone.
    environment = os.environ | {
        "RAY_USAGE_STATS_ENABLED": "0", "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token,
    }  # fmt: skip
    with (Path(folder) / "start.log").open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _answer(RayJobs(url=url, token=token, timeout_s=5), process, Path(folder) / "start.log")
        yield url, token
    finally:
        _end(folder)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _end(folder: str) -> None:
    """End every process that was told of a folder: Ray's are in groups of their own, and start each other."""
    while True:
        found = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and folder.encode() in _command(entry)
        ]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _command(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def _answer(jobs: RayJobs, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            jobs.find("nobody")
        except BackendError:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.5)
        else:
            return


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

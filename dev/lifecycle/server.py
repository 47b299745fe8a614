"""Airflow itself, started in the state folder and stopped with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from psycopg.conninfo import conninfo_to_dict

from dev.lifecycle.airflow_api import AirflowApi
from dev.lifecycle.processes import marked_environment, marked_processes, stop_processes
from dev.lifecycle.state import CLONE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dev.lifecycle.state import State

USER = PASSWORD = "admin"  # noqa: S105 - the server listens on this machine alone
# People who may answer; their passwords are their names.
REVIEWERS = ("ann", "bob")
COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_START_SECONDS = 300.0
_PARSE_SECONDS = 180.0
# Standalone waits for what its components started; now and then for a worker nobody told to end.
_INTERRUPT_SECONDS = 15.0


class ServerError(RuntimeError):
    """Airflow did not come up, or went away."""


def connections(dsn: str, *, mlflow_artifacts: Path) -> dict[str, str]:
    """The ledger's connection and MLflow's, as Airflow reads them from variables."""
    parts = conninfo_to_dict(dsn)
    place = {"host": parts["host"], "login": parts["user"], "schema": parts["dbname"]}
    extra = {"mlflow_schema": "mlflow", "artifact_location": str(mlflow_artifacts)}
    return {
        "AIRFLOW_CONN_DATAML_DEFAULT": json.dumps({"conn_type": "dataml", **place}),
        "AIRFLOW_CONN_DATAML_MLFLOW_DEFAULT": json.dumps(
            {"conn_type": "dataml_mlflow", **place, "extra": extra}
        ),
    }


def airflow_environment(
    state: State, *, metadata_dsn: str, dataml_dsn: str, port: int, dags: Path
) -> dict[str, str]:
    """Everything a child needs to know; nothing is read from the caller's own Airflow."""
    warehouse = conninfo_to_dict(dataml_dsn)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    metadata = conninfo_to_dict(metadata_dsn)
    base = f"http://127.0.0.1:{port}"
    options = {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join([f"{USER}:admin", *(f"{name}:op" for name in REVIEWERS)]),
        "CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": (
            f"postgresql+psycopg://{metadata['user']}@/{metadata['dbname']}?host={metadata['host']}"
        ),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A task cut off by a stopped demo is given up after a minute, not five.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        # The end of a skipped or failed task is noticed at the next beat.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # New and edited files are found in ten seconds; the others are not parsed over and over.
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port(8793)),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port(8893)),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": base,
        # Every task's lineage goes to the ledger; from there the triggerer carries it on.
        "OPENLINEAGE__TRANSPORT": json.dumps({"type": "airflow_dataml.transport.OutboxTransport"}),
        "OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "DATAML__LINEAGE_BACKENDS": json.dumps(
            {"file": {"type": "file", "log_file_path": str(state.lineage_log), "append": True}}
        ),
    }
    return {
        **inherited,
        **state.environment(),
        **marked_environment(state.root),
        **{f"AIRFLOW__{name}": value for name, value in options.items()},
        **connections(dataml_dsn, mlflow_artifacts=state.mlflow_artifacts),
        # The same database for tasks of plain SQL.
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(
            {
                "conn_type": "postgres",
                "host": warehouse["host"],
                "login": warehouse["user"],
                "schema": warehouse["dbname"],
            }
        ),
        # Standalone starts its components by the name ``airflow``.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


def free_port(wanted: int = 8080) -> int:
    """The wanted port, or the next that nobody listens on."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    msg = f"no free port from {wanted} to {wanted + 99}."
    raise ServerError(msg)


class Server:
    """``airflow standalone`` as a child.

    :param environment: as made by ``airflow_environment``.
    """

    def __init__(self, state: State, environment: dict[str, str], *, tell: Callable[[str], None]) -> None:
        self.state = state
        self.environment = environment
        self.base = environment["AIRFLOW__API__BASE_URL"]
        self.api = AirflowApi(self.base, user=USER, password=PASSWORD)
        self.reviewers = [AirflowApi(self.base, user=name, password=name) for name in REVIEWERS]
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Launch; returns at once."""
        passwords = self.state.airflow_home / "simple_auth_manager_passwords.json.generated"
        passwords.write_text(json.dumps({USER: PASSWORD} | {name: name for name in REVIEWERS}) + "\n")
        with self.state.server_log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self.environment,
                cwd=CLONE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_healthy(self) -> None:
        """Return when every component has reported.

        :raises ServerError: it ended, or took too long; with the end of its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        heard = time.monotonic()
        while True:
            self.require_alive()
            health = self.api.health()
            waiting = [name for name in COMPONENTS if (health.get(name) or {}).get("status") != "healthy"]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise ServerError(self._with_log(f"not healthy after {_START_SECONDS:.0f} s: {waiting}"))
            if time.monotonic() - heard >= 5:
                self._tell(f"waiting for {', '.join(waiting if health else ['the API server'])}")
                heard = time.monotonic()
            time.sleep(0.5)

    def wait_for_dags(self, wanted: Collection[str]) -> None:
        """Return when every DAG is parsed and unpaused.

        :raises ServerError: a file does not load, or one never came.
        """
        deadline = time.monotonic() + _PARSE_SECONDS
        heard = time.monotonic()
        while True:
            self.require_alive()
            if errors := self.api.import_errors():
                raise ServerError("\n".join(f"{e['filename']}:\n{e['stack_trace']}" for e in errors))
            known = self.api.dags()
            missing = sorted(set(wanted) - set(known))
            if not missing:
                break
            if time.monotonic() > deadline:
                raise ServerError(self._with_log(f"DAGs not found after {_PARSE_SECONDS:.0f} s: {missing}"))
            if time.monotonic() - heard >= 5:
                self._tell(f"waiting for the DAGs {', '.join(missing)}")
                heard = time.monotonic()
            time.sleep(0.5)
        for dag_id in wanted:
            if known[dag_id]["is_paused"]:
                self.api.unpause(dag_id)

    def task_log(self, task: dict[str, Any]) -> Path:
        """Where Airflow keeps the log of a task instance's last try."""
        mapped = [f"map_index={task['map_index']}"] if task["map_index"] >= 0 else []
        return self.state.airflow_home.joinpath(
            "logs",
            f"dag_id={task['dag_id']}",
            f"run_id={task['dag_run_id']}",
            f"task_id={task['task_id']}",
            *mapped,
            f"attempt={task['try_number']}.log",
        )

    def require_alive(self) -> None:
        """Complain when Airflow is gone.

        :raises ServerError: with the end of its log.
        """
        if self._process is None or self._process.poll() is not None:
            raise ServerError(self._with_log("Airflow ended by itself"))

    def memory(self) -> tuple[int, int]:
        """How many processes and bytes Airflow takes; shared pages are counted once."""
        processes = marked_processes(self.state.root)
        total = 0
        for process in processes:
            with suppress(psutil.Error):
                full = process.memory_full_info()
                total += getattr(full, "pss", full.uss)
        return len(processes), total

    def stop(self) -> list[str]:
        """Interrupt, then insist; names of what had to be killed."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_INTERRUPT_SECONDS)
        killed = stop_processes(marked_processes(self.state.root))
        if self._process is not None:
            self._process.wait()
        return [f"process {process.pid}" for process in killed]

    def _with_log(self, problem: str) -> str:
        with suppress(FileNotFoundError):
            tail = self.state.server_log.read_text(errors="replace").splitlines()[-30:]
            return "\n".join([problem, *tail, f"(end of {self.state.server_log})"])
        return problem

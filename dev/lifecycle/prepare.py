"""Tables before anybody needs them: the ledger's and MLflow's, each made once by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from dev.lifecycle.processes import marked_environment
from dev.lifecycle.server import ServerError, connections
from dev.lifecycle.state import CLONE

if TYPE_CHECKING:
    from dev.lifecycle.state import State


class Preparation:
    """A command that makes tables, under way.

    :param module: what Python runs.
    :param dsn: the database of ledger and MLflow.
    """

    def __init__(self, *module: str, state: State, dsn: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={
                **os.environ,
                **marked_environment(state.root),
                **connections(dsn, mlflow_artifacts=state.mlflow_artifacts),
            },
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> str:
        """Wait for the end; what it said last.

        :raises ServerError: it failed; with all it said.
        """
        said, _ = self._process.communicate()
        if self._process.returncode != 0:
            msg = f"{' '.join(self._module)} ended with {self._process.returncode}:\n{said}"
            raise ServerError(msg)
        return said.strip().rpartition("\n")[2]


def ledger_tables(state: State, dsn: str) -> Preparation:
    """``dataml migrate``."""
    return Preparation("airflow_dataml.cli.main", "migrate", state=state, dsn=dsn)


def mlflow_tables(state: State, dsn: str) -> Preparation:
    """This module as a script: eight seconds the first time, most of them MLflow's import."""
    return Preparation(__name__, state=state, dsn=dsn)


def main() -> None:
    """Make MLflow's tables where its connection points."""
    from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri

    place = json.loads(os.environ["AIRFLOW_CONN_DATAML_MLFLOW_DEFAULT"])
    uri = mlflow_uri(
        host=place["host"],
        login=place["login"],
        database=place["schema"],
        schema=place["extra"]["mlflow_schema"],
    )
    registry = MlflowRegistry(tracking_uri=uri, artifact_location=place["extra"]["artifact_location"])
    new = registry.ensure_schema()
    print("MLflow's tables are new" if new else "MLflow's tables were there")


if __name__ == "__main__":
    main()

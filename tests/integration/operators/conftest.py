"""Worlds: fresh databases with a ledger and MLflow's tables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.migrate import migrate
from dev.embedded import ensure_database
from tests.integration.operators.harness import connections
from tests.integration.operators.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def world_template(postgres_server: str) -> str:
    """Name of a database with everything migrated; MLflow's tables take seconds, a copy none."""
    from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri

    dsn = ensure_database(postgres_server, "world_template")
    with Connection(dsn) as connection:
        migrate(connection)
        host = str(connection.raw.info.host)
    uri = mlflow_uri(host=host, login="postgres", database="world_template")
    MlflowRegistry(tracking_uri=uri, artifact_location="/nowhere").ensure_schema()
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        # MLflow keeps a connection in its pool, and a database in use cannot be copied.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'world_template'"
        )
    return "world_template"


@pytest.fixture
def make_world(
    postgres_server: str, world_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], World]:
    """Makes worlds; the newest is the one that connections lead to."""

    def make() -> World:
        name = f"world_{next(_NUMBERS)}"
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(world_template)
                )
            )
        folder = tmp_path / name
        folder.mkdir()
        dsn = make_conninfo(postgres_server, dbname=name)
        for key, value in connections(dsn, folder).items():
            monkeypatch.setenv(key, value)
        return World(dsn, folder)

    return make

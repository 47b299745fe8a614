"""Fixtures every suite shares: a real PostgreSQL that starts in a second."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator

# Airflow reads these when it is first imported; its home must not be the developer's.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-dataml-tests-")
os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="airflow-dataml-mpl-")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One embedded server for the whole session; its DSN."""
    # Not below pytest's own folder: another session of root's closes that to the server's user.
    with (
        tempfile.TemporaryDirectory(prefix="airflow-dataml-pg-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as dsn,
    ):
        yield dsn


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """A fresh, empty database; dropped afterwards."""
    name = f"test_{next(_NUMBERS)}"
    yield ensure_database(postgres_server, name)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

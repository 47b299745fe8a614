"""A migrated ledger in a fresh database, and the few words tests say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs PostgreSQL."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def ledger_dsn(postgres_dsn: str) -> str:
    """DSN of a fresh database with a migrated ledger."""
    with Connection(postgres_dsn) as connection:
        migrate(connection)
    return postgres_dsn


@pytest.fixture
def ledger(ledger_dsn: str) -> Iterator[PostgresLedger]:
    """An open, migrated ledger."""
    with PostgresLedger.connect(ledger_dsn) as opened:
        yield opened

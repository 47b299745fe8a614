from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError

pytestmark = pytest.mark.integration
COLUMNS = (Column(name="id", type="bigint"),)
# Nothing else can keep the view from being dropped.
ABOVE = "CREATE VIEW above AS SELECT * FROM dataml_data.look"


def test_what_goes_wrong_during_an_inspection_is_what_is_told(postgres_dsn: str) -> None:
    def inspect_and_fail(ledger: PostgresLedger) -> None:
        with ledger.store.inspect(name="look", columns=COLUMNS, parts=()):
            ledger.connection.execute(ABOVE)
            msg = "the first error"
            raise LookupError(msg)

    with Connection(postgres_dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(postgres_dsn) as ledger, pytest.raises(LookupError, match="the first error"):
        inspect_and_fail(ledger)


def test_a_view_that_stays_behind_is_told_when_nothing_else_went_wrong(postgres_dsn: str) -> None:
    def inspect(ledger: PostgresLedger) -> None:
        with ledger.store.inspect(name="look", columns=COLUMNS, parts=()):
            ledger.connection.execute(ABOVE)

    with Connection(postgres_dsn) as connection:
        migrate(connection)
    with (
        PostgresLedger.connect(postgres_dsn) as ledger,
        pytest.raises(SpecError, match="other objects depend"),
    ):
        inspect(ledger)

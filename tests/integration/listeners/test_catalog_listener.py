"""The observing listener on a real ledger."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.listeners.catalog import Observer, Sighting
from tests.integration.ledger_facts import fill

pytestmark = pytest.mark.integration


def test_sightings_become_catalog_rows_and_leave_ours_alone(postgres_dsn):
    fill(postgres_dsn)
    observer = Observer(lambda: PostgresLedger.connect(postgres_dsn))
    observer.see(Sighting("orders", "s3://lake/orders", "etl.load"))
    observer.see(Sighting("rides", "s3://lake/rides"))
    observer.see(Sighting("orders", "s3://lake/orders", "etl.reload"))
    observer.flush()
    with PostgresLedger.connect(postgres_dsn) as ledger:
        orders, rides = ledger.assets.get("orders"), ledger.assets.get("rides")
    assert (orders["kind"], orders["source"], orders["location"]) == (
        "external",
        "observed",
        {"producer": "etl.reload"},
    )
    assert (rides["kind"], rides["source"], rides["uri"]) == ("dataset", "declared", "dataml://dataset/rides")

"""What the page is looked at with: weeks of batches, a model, an incident, promises kept and broken, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.core.catalog import AssetEntry, ColumnDoc
from airflow_dataml.core.datasets import Column
from tests.integration.api.world import fill_world
from tests.integration.ledger_facts import add_model
from tests.ui.model_world import fill_model

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_LETTERS = """
INSERT INTO dataml.lineage_backend (name, kind, target) VALUES ('marquez', 'http', 'marquez.example.org');
INSERT INTO dataml.lineage_event (event_key, source, ordering_key, event_time, payload)
SELECT 'e' || n, 'transport', 'run', now(), '{"job": {"namespace": "ns", "name": "load"}}' FROM generate_series(1, 3) n;
INSERT INTO dataml.lineage_delivery (backend_id, event_id, ordering_key, event_time, state, attempts, last_error)
SELECT backend_id, event_id, ordering_key, event_time, 'dead', 9, '400: no such namespace'
FROM dataml.lineage_event, dataml.lineage_backend;
"""


def fill_page(ledger: PostgresLedger) -> None:
    """Fill a migrated ledger with something for every page."""
    fill_world(ledger)
    with ledger.transaction():
        add_model(ledger, ledger.versions.find("rides@6"))
    fill_model(ledger, ledger.versions.find("rides@6"))
    PostgresCatalog(ledger.connection).register_all(
        [
            AssetEntry(
                name="shop/orders",
                kind="external",
                uri="postgres://shop/orders",
                subtype="table",
                owner="sales",
                description="Orders of the web shop, one row per line",
                tags=("gold", "pii"),
                domain="commerce",
                freshness_s=3600,
                columns=(Column("order_id", "bigint"), Column("placed_at", "timestamp with time zone")),
                column_docs=(ColumnDoc("order_id", description="Number of the order, never reused"),),
                documentation="Written by the shop.\n\nAsk sales before a column is changed.",
            ),
            *(
                AssetEntry(
                    name=f"shop/table_{n:03}", kind="external", uri=f"postgres://shop/{n}", owner="sales"
                )
                for n in range(120)
            ),
        ]
    )
    db = ledger.connection
    db.execute("UPDATE dataml.asset SET last_write = now() - interval '3 days' WHERE name = 'shop/orders'")
    db.execute(_LETTERS)

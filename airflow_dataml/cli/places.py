"""Where a dataset is kept, as the ledger's catalog says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.stores import DatasetStore, Place


def store_of_dataset(ledger: PostgresLedger, name: str) -> DatasetStore:
    """Return the store that keeps a dataset's rows.

    Options of an object store are read from the environment, as deltalake does.
    """
    if ledger.assets.get(name)["location"].get("store") != "delta":
        return ledger.store
    from airflow_dataml.adapters.delta import delta_store

    return delta_store(ledger, {})


def place_of_dataset(ledger: PostgresLedger, name: str, *, branch: str | None = None) -> Place:
    """Return where readers of a dataset find it.

    :raises SpecError: it is not a dataset that is written from here.
    """
    from airflow_dataml.core.layout import Layout
    from airflow_dataml.steps.branches import location_on
    from airflow_dataml.steps.publish import place_of

    facts = ledger.assets.get(name)["location"]
    head = ledger.versions.head(name)
    location = facts.get("uri") or facts.get("table") or (head.facts.get("location") if head else None)
    if not location:
        msg = f"{name!r} is not a managed dataset: the ledger knows no view or table it is published as."
        raise SpecError(msg)
    if branch is not None:
        location = location_on(ledger, branch, location, store=facts.get("store", "postgres"))
    return place_of(ledger, name, location, Layout.from_location(facts), branch=branch)

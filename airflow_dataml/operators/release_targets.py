"""What a task was told to release, in the words of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.release import DatasetTarget
from airflow_dataml.operators.base import place_for, staged_for

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def release_target(ledger: PostgresLedger, asset: Asset, to: Any) -> DatasetTarget:
    """Return what readers of a dataset are to see: a version they saw, or what its stage task handed over."""
    staged = isinstance(to, dict) and "part_id" in to
    return DatasetTarget(
        place_for(ledger, asset), staged_for(asset, to) if staged else version_meant(asset.name, to)
    )


def version_meant(name: str, to: Any) -> str:
    """Return the version that is meant; a task that made one may hand over all it returned."""
    found = to.get("version") if isinstance(to, dict) else to
    if not isinstance(found, str):
        msg = f"a version of {name!r} was expected, such as {name}@1, received {to!r}."
        raise SpecError(msg)
    return found

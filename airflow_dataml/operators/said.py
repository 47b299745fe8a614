"""Reading what a DAG says: times and versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import VersionRef

if TYPE_CHECKING:
    from airflow.sdk import Asset


def ref_within(dataset: Asset, version: str | None) -> str:
    """Return the version of a dataset that is meant; what readers see where none is named."""
    if version is None:
        return dataset.name
    if VersionRef.parse(version).asset != dataset.name:
        msg = f"version {version!r} is not one of {dataset.name!r}: write {dataset.name}@<number>."
        raise SpecError(msg)
    return version


def moment(text: str | None) -> datetime | None:
    """Read the time that freshness is measured against."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        msg = f"data_timestamp {text!r} is not an ISO time such as 2013-10-01T00:00:00+00:00."
        raise SpecError(msg) from err
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

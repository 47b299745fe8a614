"""A folder where lineage events wait while the ledger does not answer."""

from __future__ import annotations

from airflow_dataml.adapters.spool.folder import EventSpool

__all__ = ["EventSpool"]

"""Managed datasets in Delta tables: extra ``delta``, imported where it is used.

A part is a Parquet file beside the table's log, and a version is a commit of that log. Readers of the
table need nothing of ours; a file that no commit names does not exist for them.
"""

from __future__ import annotations

from airflow_dataml.adapters.delta.store import DeltaStore, delta_store

__all__ = ["DeltaStore", "delta_store"]

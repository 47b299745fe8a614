"""Lineage backends by the transports of the OpenLineage client; the only place that imports it to send."""

from __future__ import annotations

from airflow_dataml.adapters.openlineage.backends import open_backend, open_backends

__all__ = ["open_backend", "open_backends"]

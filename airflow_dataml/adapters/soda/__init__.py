"""Soda: the quality engine that runs the real soda-core on a connection of ours."""

from __future__ import annotations

from airflow_dataml.adapters.soda.engine import SodaEngine

__all__ = ["SodaEngine"]

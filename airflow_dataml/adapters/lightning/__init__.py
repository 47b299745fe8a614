"""Lightning: trains a module in a child interpreter and exports it without pickle."""

from __future__ import annotations

from airflow_dataml.adapters.lightning.trainer import LightningTrainer

__all__ = ["LightningTrainer"]

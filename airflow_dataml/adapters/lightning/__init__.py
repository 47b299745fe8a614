"""Lightning: trains a module in a child interpreter and exports it without pickle."""

from __future__ import annotations

from airflow_dataml.adapters.lightning.trainer import LightningTrainer
from airflow_dataml.adapters.lightning.trials import LightningTrials

__all__ = ["LightningTrainer", "LightningTrials"]

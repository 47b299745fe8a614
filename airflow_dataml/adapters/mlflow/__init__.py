"""MLflow: tracked runs and the model registry, without a server or through one."""

from __future__ import annotations

from airflow_dataml.adapters.mlflow.registry import MlflowRegistry
from airflow_dataml.adapters.mlflow.uri import mlflow_uri

__all__ = ["MlflowRegistry", "mlflow_uri"]

"""What evaluating and scoring operators need: registry, scorer, work folder."""

from __future__ import annotations

from airflow_dataml import config
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.steps.evaluate import Bench


def bench(mlflow_conn_id: str | None) -> Bench:
    """Return the bench of this deployment; nothing is contacted yet."""
    from airflow_dataml.adapters.onnx import OnnxScorer

    registry = MlflowHook(mlflow_conn_id or config.mlflow_conn_id()).registry()
    return Bench(registry=registry, scorers=OnnxScorer.load, work_dir=config.work_dir())

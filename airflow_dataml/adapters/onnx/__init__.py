"""ONNX Runtime: scores rows with an exported model, executing no stored code."""

from __future__ import annotations

from airflow_dataml.adapters.onnx.columns import iterate_columns
from airflow_dataml.adapters.onnx.scorer import OnnxScorer

__all__ = ["OnnxScorer", "iterate_columns"]

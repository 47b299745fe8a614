"""ONNX Runtime: scores rows with an exported model, executing no stored code."""

from __future__ import annotations

from airflow_dataml.adapters.onnx.columns import iterate_columns
from airflow_dataml.adapters.onnx.scorer import OnnxScorer
from airflow_dataml.adapters.onnx.weights import read_weights

__all__ = ["OnnxScorer", "iterate_columns", "read_weights"]

"""scikit-learn: inspects models it did not train."""

from __future__ import annotations

from airflow_dataml.adapters.sklearn.importance import permutation_growth

__all__ = ["permutation_growth"]

"""Optuna: proposes what to try next, and keeps studies in a Postgres schema of their own."""

from __future__ import annotations

from airflow_dataml.adapters.optuna.studies import OptunaStudies

__all__ = ["OptunaStudies"]

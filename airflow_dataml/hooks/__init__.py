"""Airflow hooks: how connections become adapters."""

"""Airflow operators: one task each."""

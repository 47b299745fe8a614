"""Airflow listeners: milliseconds, never raise."""

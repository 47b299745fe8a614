"""Catalogs of others over HTTP."""

from airflow_dataml.adapters.rest.server import RestServer

__all__ = ["RestServer"]

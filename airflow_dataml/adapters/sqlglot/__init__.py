"""Column lineage of SQL text by sqlglot, for every dialect it knows; extra ``lineage``."""

from __future__ import annotations

from airflow_dataml.adapters.sqlglot.parser import SqlglotParser, parser_if_installed

__all__ = ["SqlglotParser", "parser_if_installed"]

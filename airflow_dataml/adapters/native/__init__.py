"""Native: the quality engine that plans its own SQL for PostgreSQL.

Which checks it follows from one version of a table to the next, and why not the others, is told in
:mod:`~airflow_dataml.adapters.native.parts`.
"""

from __future__ import annotations

from airflow_dataml.adapters.native.coverage import covers
from airflow_dataml.adapters.native.engine import NativeEngine
from airflow_dataml.adapters.native.rows import row_conditions

__all__ = ["NativeEngine", "covers", "row_conditions"]

"""The TPC-H and TPC-DS queries with their tables, for the oracle suite and the measurement of column lineage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

DATA = Path(__file__).parent.parent / "tests" / "data" / "tpc"
SUITES = ("tpch", "tpcds")


def queries() -> list[tuple[str, int, str]]:
    """Suite, number and text of every query."""
    found = []
    for suite in SUITES:
        text = (DATA / f"{suite}.sql").read_text(encoding="utf-8")
        pieces = re.split(rf"^-- {suite} (\d+)$", text, flags=re.MULTILINE)[1:]
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        found += [(suite, int(number), body.strip().rstrip(";")) for number, body in pairs]
    return found


def schemas() -> dict[str, dict[str, str]]:
    """``schema.table`` -> column -> type."""
    known = json.loads((DATA / "schemas.json").read_text(encoding="utf-8"))
    return {f"{s}.{table}": columns for s, tables in known.items() for table, columns in tables.items()}


def create_tables(db: Connection) -> None:
    """Make the empty tables, a schema for each suite."""
    for suite in SUITES:
        db.execute(f"CREATE SCHEMA {suite}")
    for table, columns in schemas().items():
        body = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in columns.items())
        db.execute(f"CREATE TABLE {table} ({body})")

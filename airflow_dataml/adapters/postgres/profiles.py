"""Profiles made in the database; no row leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.profiles import CELLS, TOP_VALUES
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import Relation

# What a numeric column without a value looks like; it has no grid yet.
_EMPTY: dict[str, Any] = {"min": None, "max": None, "sum": 0, "squares": 0, "grid": None, "cells": []}
# Beyond these squares and cell numbers leave double precision.
_FINITE = "BETWEEN -1e150 AND 1e150"


def profile_relation(
    db: Connection, relation: Relation, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    """Profile every column of a table; ``grids`` gains the edges of numeric columns seen for the first time."""
    rows = db.scalar(f"SELECT count(*) FROM {relation.quoted}")
    profiled = {
        c.name: _numeric(db, relation, c, grids, rows) if c.numeric else _categorical(db, relation, c, rows)
        for c in columns
    }
    return {"rows": rows, "columns": profiled}


def _numeric(
    db: Connection, relation: Relation, column: Column, grids: dict[str, tuple[float, float]], rows: int
) -> dict[str, Any]:
    name = quote_identifier(column.name)
    stats = db.one(
        f"""SELECT count(x) AS n, min(x) AS min, max(x) AS max, coalesce(sum(x), 0) AS sum, coalesce(sum(x * x) FILTER (WHERE abs(x) > 1e-150), 0) AS squares
            FROM (SELECT {name}::double precision AS x FROM {relation.quoted} WHERE {name}::double precision {_FINITE}) t"""
    )
    if column.name not in grids and stats["n"]:
        grids[column.name] = _edges(db, relation, name)
    if column.name not in grids:
        return {"type": column.type, "nulls": rows, **_EMPTY}
    low, high = grids[column.name]
    cells = db.rows(
        f"""SELECT width_bucket({name}::double precision, %s, %s, %s) AS cell, count(*) AS n
            FROM {relation.quoted} WHERE {name}::double precision {_FINITE} GROUP BY 1 ORDER BY 1""",
        [low, high, CELLS],
    )
    return {
        "type": column.type,
        "nulls": rows - stats.pop("n"),
        **stats,
        "grid": [low, high],
        "cells": [[c["cell"], c["n"]] for c in cells],
    }


def _edges(db: Connection, relation: Relation, name: str) -> tuple[float, float]:
    """Choose a grid wide enough for what later parts bring: the middle 99.8 %, and half as much on either side."""
    row = db.one(
        f"""SELECT percentile_disc(array[0.001, 0.999]) WITHIN GROUP (ORDER BY {name}::double precision) AS q
            FROM {relation.quoted} WHERE {name}::double precision {_FINITE}"""
    )
    low, high = row["q"]
    margin = (high - low) / 2 or max(abs(low), 1.0)
    return low - margin, high + margin


def _categorical(db: Connection, relation: Relation, column: Column, rows: int) -> dict[str, Any]:
    name = quote_identifier(column.name)
    found = db.rows(
        f"""SELECT v, n, sum(n) OVER () AS total, count(*) OVER () AS groups FROM (
              SELECT left({name}::text, 200) AS v, count(*) AS n FROM {relation.quoted}
              WHERE {name} IS NOT NULL GROUP BY 1) t
            ORDER BY n DESC, v LIMIT %s""",
        [TOP_VALUES],
    )
    total = int(found[0]["total"]) if found else 0
    return {
        "type": column.type,
        "nulls": rows - total,
        "distinct": found[0]["groups"] if found else 0,
        "values": [[r["v"], r["n"]] for r in found],
        "other": total - sum(r["n"] for r in found),
    }

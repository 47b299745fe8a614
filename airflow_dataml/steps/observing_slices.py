"""Observing slices: profiles and losses of groups of rows, counted in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.monitoring import BINS
from airflow_dataml.core.profiles import CELLS
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.statistics import equal_share_bins, mean_interval
from airflow_dataml.steps.observing_labels import loss_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.ports import Warehouse
    from airflow_dataml.steps.observing import Look, Reference

# Profiles keep so many characters of a value.
_VALUE_CHARACTERS = 200
_SEEN, _OTHER, _NULL = "v", "o", "n"


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one slice on both sides, as profiles of the model's features."""

    column: str
    value: str
    reference: dict[str, Any]
    current: dict[str, Any]

    @property
    def name(self) -> str:
        """The slice in words."""
        return f"{self.column} is {self.value}"


def read_groups(look: Look, reference: Reference) -> list[Group]:
    """Profile the largest groups of every slice column, in the bins of the whole reference.

    Costs, for every slice column, one pass over the window and one over the reference.

    :raises NotFoundError: a slice is no column of the scored dataset.
    """
    known = [c.name for p in look.window.features_parts for c in p.columns]
    whole = reference.profile["columns"]
    found = []
    for column in look.policy.slices:
        if column not in known:
            what = f"column of {look.window.features.ref} to slice by"
            raise NotFoundError.from_available(what, column, tuple(dict.fromkeys(known)))
        values = _largest(look, column)
        names = [c for c in look.window.columns if c != column and _countable(whole[c])]
        scales = {name: _scale(name, whole[name]) for name in names}
        before = _profiles(look.warehouse, reference.parts, column, values, scales)
        now = _profiles(look.warehouse, look.window.features_parts, column, values, scales)
        found += [Group(column, value, before[value], now[value]) for value in values]
    return found


def _largest(look: Look, column: str) -> list[str]:
    rows = look.warehouse.union(look.window.features_parts, (column,))
    name = quote_identifier(column)
    found = look.warehouse.query(
        f"""SELECT left({name}::text, {_VALUE_CHARACTERS}) AS value, count(*) AS n FROM ({rows}) r
            WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {look.policy.slice_groups}"""
    )
    return [row["value"] for row in found]


def _countable(column: Mapping[str, Any]) -> bool:
    return column.get("kind") != "temporal" and (column.get("grid") is not None or "values" in column)


@dataclass(frozen=True, slots=True)
class _Scale:
    """How a column's values become a few counts.

    :param sql: expression of a value's key, null where it is missing.
    """

    sql: str
    values: tuple[str, ...]
    grid: tuple[float, float] | None


def _scale(name: str, column: Mapping[str, Any]) -> _Scale:
    quoted = quote_identifier(name)
    if column.get("grid") is None:
        top = tuple(str(value) for value, _ in column["values"][:BINS])
        text = f"left({quoted}::text, {_VALUE_CHARACTERS})"
        listed = f"CASE WHEN {text} = ANY(%s::text[]) THEN '{_SEEN}' || {text} ELSE '{_OTHER}' END"
        return _Scale(f"CASE WHEN {quoted} IS NOT NULL THEN {listed} END", top, None)
    low, high = (float(edge) for edge in column["grid"])
    number = f"{quoted}::double precision"
    edges = [*equal_share_bins(column["cells"], bins=BINS)]
    cell = f"width_bucket({number}, {low!r}, {high!r}, {CELLS})"
    # NaN is more than infinity to PostgreSQL.
    finite = f"abs({number}) < 'Infinity'"
    bounds = ", ".join(str(edge + 1) for edge in edges)
    return _Scale(
        f"CASE WHEN {finite} THEN width_bucket({cell}, ARRAY[{bounds}]::integer[])::text END", (), (low, high)
    )


def _profiles(
    warehouse: Warehouse,
    parts: Sequence[Part],
    column: str,
    values: Sequence[str],
    scales: Mapping[str, _Scale],
) -> dict[str, dict[str, Any]]:
    """The profile of every group."""
    empty: dict[str, dict[str, Any]] = {value: {"rows": 0, "columns": {}} for value in values}
    counts: dict[tuple[str, str], dict[str | None, int]] = {}
    rows = warehouse.union(parts, tuple(dict.fromkeys((column, *scales))))
    keys = "".join(f", ({i}, {scale.sql})" for i, scale in enumerate(scales.values()))
    found = warehouse.query(
        f"""SELECT r."slice value" AS g, k.i, k.key, count(*) AS n
            FROM (SELECT left({quote_identifier(column)}::text, {_VALUE_CHARACTERS}) AS "slice value", u.* FROM ({rows}) u) r
            CROSS JOIN LATERAL (VALUES (-1, NULL::text){keys}) k(i, key)
            WHERE r."slice value" = ANY(%s::text[]) GROUP BY 1, 2, 3""",
        [*(list(scale.values) for scale in scales.values() if scale.grid is None), list(values)],
    )
    names = list(scales)
    for row in found:
        if row["i"] < 0:
            empty[row["g"]]["rows"] = row["n"]
        else:
            counts.setdefault((row["g"], names[row["i"]]), {})[row["key"]] = row["n"]
    for value in values:
        columns = empty[value]["columns"]
        for name, scale in scales.items():
            columns[name] = _column(counts.get((value, name), {}), scale)
    return empty


def _column(counts: Mapping[str | None, int], scale: _Scale) -> dict[str, Any]:
    nulls = counts.get(None, 0)
    seen = {key: n for key, n in counts.items() if key is not None}
    if scale.grid is not None:
        cells = sorted((int(key) + 1, n) for key, n in seen.items())
        return {"nulls": nulls, "grid": list(scale.grid), "cells": [list(cell) for cell in cells]}
    other = seen.pop(_OTHER, 0)
    values = sorted(((key[1:], n) for key, n in seen.items()), key=lambda one: (-one[1], one[0]))
    return {"nulls": nulls, "values": [list(one) for one in values], "other": other}


def slice_losses(
    look: Look, groups: Sequence[tuple[str, str]], earlier: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The loss of every group against the same group's in the batches before, and what has surely grown.

    A release knows no loss of a slice, so the first batches say what is usual: those whose reports found no decay.

    :param groups: column and value.
    :param earlier: bodies of earlier reports on the model, one for each batch.
    """
    level = 1 - (1 - look.policy.confidence) / max(len(groups), 1)
    usual: dict[tuple[str, str], list[float]] = {}
    for body in earlier:
        for one in (body.get("slices") or {}).get("performance") or ():
            # Sums that were not finite were written down as nothing.
            if one["total"] is None or one["squares"] is None:
                continue
            sums = usual.setdefault((one["column"], one["value"]), [0, 0.0, 0.0])
            for place, name in enumerate(("rows", "total", "squares")):
                sums[place] += one[name]
    told, worse = [], []
    for column, value, n, total, squares in _losses(look, groups):
        before = usual.get((column, value), [0, 0.0, 0.0])
        entry: dict[str, Any] = {
            "column": column,
            "value": value,
            "rows": n,
            "total": total,
            "squares": squares,
            "verdict": "unknown",
        }
        if min(n, before[0]) >= look.policy.min_rows:
            now = mean_interval(n, total, squares, level=level)
            was = mean_interval(int(before[0]), before[1], before[2], level=level)
            grown = now.low > was.high * (1 + look.policy.decay_tolerance)
            entry |= {
                "loss": now.to_dict(),
                "before": was.to_dict(),
                "verdict": "fail" if grown else "pass",
            }
            if grown:
                worse.append(
                    f"loss where {column} is {value} {now.estimate:.4f} [{now.low:.4f}, {now.high:.4f}] against "
                    f"{was.estimate:.4f} in the batches before"
                )
        told.append(entry)
    return told, worse


def _losses(look: Look, groups: Sequence[tuple[str, str]]) -> list[tuple[str, str, int, float, float]]:
    columns = list(dict.fromkeys(column for column, _ in groups))
    if not columns:
        return []
    losses = loss_sql(look.warehouse, look.window, look.labels, beside=columns)
    values = "".join(f", ({i}, left(b{i}, {_VALUE_CHARACTERS}))" for i in range(len(columns)))[2:]
    found = look.warehouse.query(
        f"""SELECT k.i, k.value, count(*) AS n, sum(loss) AS total, sum(loss * loss) AS squares
            FROM ({losses}) losses CROSS JOIN LATERAL (VALUES {values}) k(i, value)
            WHERE loss IS NOT NULL AND k.value IS NOT NULL GROUP BY 1, 2"""
    )
    sums = {(columns[row["i"]], row["value"]): row for row in found}
    return [
        (*group, int(row["n"]), float(row["total"]), float(row["squares"]))
        for group in groups
        if (row := sums.get(group))
    ]

"""The labelled rows that a plan pins, on either side of its cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.guidance import WEIGHT_COLUMN
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.steps.guidance import weighted

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.windows import TrainingPlan
    from airflow_dataml.steps.guidance import Guidance


def export_rows(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    plan: TrainingPlan,
    columns: tuple[str, ...],
    target: str,
    side: str,
    path: Path,
    guidance: Guidance | None = None,
) -> int:
    """Write the labelled rows of one side of the cut, oldest first, to a CSV file; returns how many.

    :param side: ``train`` (before the cut) or ``holdout`` (from it on).
    :param guidance: what is taken from earlier versions; hard examples add a column.
    """
    names = dict.fromkeys((*columns, target))
    shown = ", ".join(quote_identifier(c) for c in names)
    order = ", ".join(quote_identifier(c) for c in (plan.time_column, *plan.key_columns))
    rows = _labelled(ledger, warehouse, plan, tuple(names), target, side)
    if guidance is not None and guidance.spec.hard_examples is not None:
        rows = weighted(ledger=ledger, warehouse=warehouse, plan=plan, guidance=guidance, rows=rows)
        shown += f", {quote_identifier(WEIGHT_COLUMN)}"
    return warehouse.export_csv(f"SELECT {shown} FROM ({rows}) t ORDER BY {order}", path, [plan.cut])


def mean_label(*, ledger: Ledger, warehouse: Warehouse, plan: TrainingPlan, target: str) -> float:
    """Return the mean label of the training rows: the least any model must beat."""
    rows = _labelled(ledger, warehouse, plan, (), target, "train")
    found = warehouse.query(f"SELECT avg({number_sql(target)}) AS mean FROM ({rows}) t", [plan.cut])
    return float(found[0]["mean"])


def class_shares(
    *, ledger: Ledger, warehouse: Warehouse, plan: TrainingPlan, target: str
) -> dict[str, float]:
    """Return the share of each class of the training rows: the least any model of classes must beat."""
    rows = _labelled(ledger, warehouse, plan, (), target, "train")
    label = f"{quote_identifier(target)}::text"
    found = warehouse.query(f"SELECT {label} AS class, count(*) AS n FROM ({rows}) t GROUP BY 1", [plan.cut])
    whole = sum(row["n"] for row in found)
    return {row["class"]: row["n"] / whole for row in found}


def _labelled(
    ledger: Ledger, warehouse: Warehouse, plan: TrainingPlan, columns: tuple[str, ...], target: str, side: str
) -> str:
    parts = [p for p in ledger.versions.manifest(plan.version_id) if p.partition_key in plan.partitions]
    needed = tuple(dict.fromkeys((*columns, target, plan.time_column, *plan.key_columns)))
    comparison = "<" if side == "train" else ">="
    return f"""SELECT * FROM ({warehouse.union(parts, needed)}) u WHERE {quote_identifier(target)} IS NOT NULL
                 AND {quote_identifier(plan.time_column)} {comparison} %s::timestamptz"""

"""Plan: pin what a training would use, or wait and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.errors import NotFoundError, TrainingSpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.windows import TrainingPlan

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.windows import DataWindow


def plan_training(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    model: str,
    dataset: str,
    target: str,
    window: DataWindow,
    because: str | None = None,
) -> TrainingPlan | Decision:
    """Pin what a training would use, or decide to wait and say why.

    A first model is trained once there are enough batches; a later one only when it was asked for.

    :param because: why it is asked for now, where no report asks.
    :raises NotFoundError: the dataset has no version.
    :raises TrainingSpecError: the time or key columns are not in it.
    """
    version = ledger.versions.find(dataset)
    champion = ledger.versions.alias(model, "champion")
    request = ledger.reports.unanswered(asset=model, action="retrain")
    parts = [p for p in ledger.versions.manifest(version.version_id) if p.partition_key]
    keys = sorted({str(p.partition_key) for p in parts})[-window.batches :]
    if champion is None and len(keys) < window.min_batches:
        return Decision("wait", (f"{len(keys)} of {window.min_batches} batches have arrived",))
    if champion is not None and request is None and not because:
        return Decision("wait", (f"{champion.ref} is champion and nothing asks for another model",))
    require_columns(version, ledger, (window.time_column, *window.key_columns, target))
    newest = [p for p in parts if p.partition_key == keys[-1]]
    return TrainingPlan(
        model=model,
        dataset=version.asset,
        version_id=version.version_id,
        version=version.ref,
        partitions=tuple(keys),
        time_column=window.time_column,
        key_columns=window.key_columns,
        cut=_cut(warehouse, newest, window, target),
        champion=champion.version_id if champion else None,
        reason_report=request.report_id if request else None,
        reasons=tuple(request.body["reasons"]) if request else (because or "there is no model yet",),
    )


def require_columns(version: Version, ledger: Ledger, columns: tuple[str, ...]) -> None:
    """Refuse columns that a dataset version does not have.

    :raises TrainingSpecError: one is not there.
    """
    available = [c.name for c in ledger.versions.columns(version.version_id)]
    for name in columns:
        if name not in available:
            hint = NotFoundError.from_available(f"column of {version.ref}", name, available)
            raise TrainingSpecError(str(hint)) from hint


def require_target(version: Version, ledger: Ledger, spec: TrainingSpec) -> None:
    """Refuse flags as classes: the database and a file spell them differently.

    :raises TrainingSpecError: the target of a multiclass model is a flag.
    """
    [found] = [c for c in ledger.versions.columns(version.version_id) if c.name == spec.target]
    if spec.task == "multiclass" and found.type == "boolean":
        msg = f"target {spec.target!r} is boolean in {version.ref}, which multiclass does not take: use task: binary."
        raise TrainingSpecError(msg)


def _cut(warehouse: Warehouse, newest: list[Part], window: DataWindow, target: str) -> str:
    column = quote_identifier(window.time_column)
    rows = warehouse.union(newest, (window.time_column, target))
    found = warehouse.query(
        f"""SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY {column})::timestamptz AS cut FROM ({rows}) t
            WHERE {quote_identifier(target)} IS NOT NULL""",
        [1 - window.holdout_share],
    )[0]["cut"]
    if found is None:
        msg = f"no row of batch {newest[0].partition_key!r} has a value in {target!r}: there is nothing to learn from yet."
        raise TrainingSpecError(msg)
    return str(found.isoformat())

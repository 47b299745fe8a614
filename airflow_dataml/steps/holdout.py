"""The rows two models are measured on, and what both say about them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_numbers
from airflow_dataml.core.looks import Look
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.steps.training_rows import export_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Scorer, Warehouse
    from airflow_dataml.core.windows import TrainingPlan

_EXTRA = "monitoring"
# Enough timings for an interval of the 95th percentile, and no more than a slow model allows.
_TIMED_ROWS, _TIMINGS, _ENOUGH, _SECONDS, _MOST_SECONDS = 1000, 300, 100, 1.0, 10.0
# How far back reports on one version are searched for the look before.
_REPORTS = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows one look judges.

    :param plan: pins the version and the time from which on rows count.
    :param until: the first time that is too late for this look and early enough for the next one.
    :param before: what earlier looks left, with its report.
    """

    plan: TrainingPlan
    until: str | None = None
    before: Look | None = None
    report: Report | None = None


def last_look(ledger: Ledger, version: Version, champion: Version | None) -> Report | None:
    """The newest report of a look at these two models."""
    for report in ledger.reports.list(asset=version.asset, version_id=version.version_id, limit=_REPORTS):
        same = report.body.get("champion_id") == (champion.version_id if champion else None)
        if report.kind == "evaluation" and same and report.body.get("look"):
            return report
    return None


def window_of(
    ledger: Ledger, warehouse: Warehouse, version: Version, champion: Version | None, plan: TrainingPlan
) -> Window | None:
    """The rows that came since the last look at these two models, in the newest version; ``None`` without any.

    The first look begins at the cut of the training, so neither model has seen a row of any look. A row that arrives
    later than its time's look, or is labelled later, counts in none.
    """
    report = last_look(ledger, version, champion)
    before = Look.from_dict(report.body["look"]) if report else None
    newest = ledger.versions.find(plan.dataset)
    parts = [p for p in ledger.versions.manifest(newest.version_id) if p.partition_key]
    keys = sorted({str(p.partition_key) for p in parts if str(p.partition_key) >= min(plan.partitions)})
    cut = before.until if before and before.until else plan.cut
    moved = replace(plan, version_id=newest.version_id, version=newest.ref, partitions=tuple(keys), cut=cut)
    time_column, target = plan.time_column, version.facts["spec"]["target"]
    rows = warehouse.union([p for p in parts if p.partition_key in keys], (time_column, target))
    [found] = warehouse.query(
        f"""SELECT max({quote_identifier(time_column)})::timestamptz AS last FROM ({rows}) t
            WHERE {quote_identifier(target)} IS NOT NULL AND {quote_identifier(time_column)} >= %s::timestamptz""",
        [cut],
    )
    last: datetime | None = found["last"]
    if last is None:
        return None
    # The next microsecond is the next moment a timestamptz can hold.
    return Window(moved, (last + timedelta(microseconds=1)).isoformat(), before, report)


def require_columns(ledger: Ledger, plan: TrainingPlan, columns: Sequence[str]) -> None:
    """See that the columns of slices and groups are in the dataset.

    :raises NotFoundError: one is not.
    """
    available = [c.name for c in ledger.versions.columns(plan.version_id)]
    for name in columns:
        if name not in available:
            what = f"column of {plan.version}"
            raise NotFoundError.from_available(what, name, available)


def export_holdout(
    ledger: Ledger,
    warehouse: Warehouse,
    version: Version,
    plan: TrainingPlan,
    columns: Sequence[str],
    path: Path,
) -> None:
    """Write the rows from the cut on.

    :raises SpecError: there are none.
    """
    rows = export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=plan,
        columns=tuple(columns),
        target=version.facts["spec"]["target"],
        side="holdout",
        path=path,
    )
    if not rows:
        msg = f"{plan.version} has no labelled row from {plan.cut} on: {version.ref} cannot be measured on anything."
        raise SpecError(msg)


def score_holdout(
    scorer: Scorer, target: str, path: Path, columns: Sequence[str] = ()
) -> tuple[Any, Any, dict[str, Any]]:
    """Labels and scores of a file's rows, and some of its columns; labels are texts where the scorer knows classes."""
    np = load("numpy", extra=_EXTRA)
    labels, scores = [], []
    kept: dict[str, list[Any]] = {name: [] for name in columns}
    for read, block in scorer.score_csv(path):
        label = read[target]
        labels.append(_spelled(label) if classes_of(scorer) else as_numbers(target, label))
        scores.append(np.asarray(block, dtype=float))
        for name, values in kept.items():
            values.append(_spelled(read[name]))
    joined = {name: np.concatenate(values) for name, values in kept.items()}
    return np.concatenate(labels), np.concatenate(scores), joined


def _spelled(column: Any) -> Any:
    np = load("numpy", extra=_EXTRA)
    return column.to_objects() if isinstance(column, CodedColumn) else np.asarray(column)


def time_scoring(scorer: Scorer, path: Path) -> list[float]:
    """Milliseconds per 1000 rows of scoring the first rows of a file over and over, encoding them included.

    A second or so; up to ten with a model that takes more than a tenth of a second for them.
    """
    columns, block = next(iter(scorer.score_csv(path, block_rows=_TIMED_ROWS)))
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < _TIMINGS:
        started = time.perf_counter()
        scorer.score(columns)
        ended = time.perf_counter()
        found.append((ended - started) * 1e6 / len(block))
        spent = ended - began
        if spent > _MOST_SECONDS or (spent > _SECONDS and len(found) >= _ENOUGH):
            break
    return found

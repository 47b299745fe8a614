"""The report of a contract from what was measured for it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from airflow_dataml.adapters.native.judge import result_of
from airflow_dataml.adapters.native.metrics import ROWS
from airflow_dataml.adapters.native.schema import judge_schema
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict

if TYPE_CHECKING:
    from airflow_dataml.adapters.native.binding import Bound
    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.measure import Measured
    from airflow_dataml.adapters.native.metrics import Plan
    from airflow_dataml.core.contract_parts import ContractCheck
    from airflow_dataml.core.refs import Relation

NAME = "native"
_SHOWN = 3


def version() -> str:
    """Return the version of this package, which the engine is a part of."""
    try:
        return metadata.version("airflow-dataml")
    except metadata.PackageNotFoundError:
        return "0"


def make_report(
    bound: Bound, plan: Plan, measured: Measured, *, table: Table | None, relation: Relation
) -> QualityReport:
    """Judge every check of a contract by what was measured.

    :param table: what the catalog says; without it the schema is not judged.
    """
    rows = measured.values.get(ROWS.key)
    found: list[CheckResult] = []
    reasons: dict[str, list[str]] = {}
    for check in bound.contract.checks:
        reason = _reason(bound, plan, measured, check, table)
        if reason is not None:
            reasons.setdefault(reason, []).append(check.name)
            found.append(CheckResult.of(check, Verdict.ERROR, detail=reason))
        elif check.type == "schema" and table is not None:
            found.append(judge_schema(check, bound.bodies[check.id], bound.columns, table))
        else:
            values = {name: measured.values[metric.key] for name, metric in plan.needs[check.id].items()}
            found.append(result_of(bound, check, values, rows))
    return conclude(
        bound, found, rows=rows, errors=tuple(map(_told, reasons, reasons.values())), relation=relation
    )


def conclude(
    bound: Bound,
    found: list[CheckResult],
    *,
    rows: int | None,
    errors: tuple[str, ...],
    relation: Relation,
) -> QualityReport:
    """Put results into a report of this engine's."""
    return QualityReport.conclude(
        contract=bound.contract,
        found=found,
        rows=rows,
        errors=errors,
        engine=NAME,
        engine_version=version(),
        relation=relation,
        started=bound.now,
        finished=datetime.now(UTC),
    )


def _reason(
    bound: Bound, plan: Plan, measured: Measured, check: ContractCheck, table: Table | None
) -> str | None:
    """Why a check cannot be judged, if it cannot."""
    if check.id in bound.problems:
        return bound.problems[check.id]
    if check.type == "schema":
        return None if table is not None else "the table's columns were not looked up"
    for metric in plan.needs[check.id].values():
        if metric.key in measured.errors and metric.key not in measured.values:
            return measured.errors[metric.key]
        if metric.key not in measured.values:
            return "it was not measured"
    return None


def _told(reason: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}: {reason}"

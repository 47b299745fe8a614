"""Running a contract on both engines and telling where they differ."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.quality import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.quality import CheckResult, QualityEngine, QualityReport
    from airflow_dataml.core.refs import Relation

NOON = datetime(2013, 1, 31, 12, tzinfo=UTC)


def verify(
    engine: QualityEngine,
    connection: psycopg.Connection[Any],
    contract: Contract,
    relation: Relation,
    *,
    variables: Mapping[str, Any] | None = None,
) -> QualityReport:
    return engine.verify(
        contract=contract,
        relation=relation,
        connection=connection,
        variables=variables or {},
        data_timestamp=NOON,
        timeout_s=60,
        references={},
    )


def differences(one: QualityReport, other: QualityReport) -> list[str]:
    """What two reports on the same rows say differently, check by check."""
    found = [f"rows: {one.rows} and {other.rows}"] if one.rows != other.rows else []
    if [check.id for check in one.checks] != [check.id for check in other.checks]:
        return [*found, "other checks"]
    for left, right in zip(one.checks, other.checks, strict=True):
        found += [f"{left.id}: {text}" for text in _differ(left, right)]
    if one.verdict is not other.verdict:
        found.append(f"{one.verdict} and {other.verdict}: {one.errors} and {other.errors}")
    return found


def _differ(left: CheckResult, right: CheckResult) -> list[str]:
    found = []
    for name in ("type", "column", "name", "verdict", "threshold", "unit", "level"):
        if getattr(left, name) != getattr(right, name):
            found.append(f"{name} {getattr(left, name)!r} and {getattr(right, name)!r}")
    if not _same(left.observed, right.observed):
        found.append(f"observed {left.observed!r} and {right.observed!r}")
    if left.verdict is not Verdict.ERROR and right.verdict is not Verdict.ERROR:
        keys = left.diagnostics.keys() | right.diagnostics.keys()
        found += [
            f"{key} {left.diagnostics.get(key, '-')!r} and {right.diagnostics.get(key, '-')!r}"
            for key in sorted(keys)
            if not _same(left.diagnostics.get(key, "-"), right.diagnostics.get(key, "-"))
        ]
    return found


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)

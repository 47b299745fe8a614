"""Our reports in the words of common-sql, so that Airflow's OpenLineage provider tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.sql.operators.sql import SQLCheckResult

from airflow_dataml.core.expectations import counts
from airflow_dataml.core.quality import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_results(body: Mapping[str, Any], *, table: str) -> list[SQLCheckResult]:
    """Return a report's checks as common-sql's operators describe theirs.

    A check that has too little data to say has found nothing, and is not among them.

    :param body: of the report.
    :param table: the dataset they are about, as OpenLineage calls it.
    """
    checks = [CheckResult.from_dict(check) for check in body.get("checks", ())]
    return [_result(check, body, table) for check in checks if counts(check)]


def _result(check: CheckResult, body: Mapping[str, Any], table: str) -> SQLCheckResult:
    warns = check.level == "warn" or check.verdict is Verdict.WARN
    return SQLCheckResult(
        name=check.name,
        check_type=check.type,
        success=check.verdict is Verdict.PASS,
        severity="warn" if warns else "error",
        column=check.column,
        table=table,
        expected=check.threshold or None,
        actual=None if check.observed is None else str(check.observed),
        description=check.sentence,
        params={
            "check": check.id,
            "verdict": check.verdict.value,
            "unit": check.unit,
            "engine": body.get("engine"),
            "scope": body.get("scope"),
        },
    )

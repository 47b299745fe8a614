"""Verdicts of our own checks: anomalies, distributions and references; pure.

They stand in a report beside the engine's checks. One that has too little data to say is reported as ``unknown``
at level ``warn`` and does not count for the report's verdict: a young dataset, whose past is short, must be able to
get one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.anomaly import expect
from airflow_dataml.core.contract_expectations import EXTENSION
from airflow_dataml.core.monitoring import MonitorPolicy, blind_columns, column_shifts
from airflow_dataml.core.profiles import counted, covered, mean
from airflow_dataml.core.quality import CheckResult, Verdict
from airflow_dataml.core.statistics import benjamini_hochberg, shift_test

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.anomaly import Point
    from airflow_dataml.core.contract_expectations import (
        AnomalyCheck,
        DistributionCheck,
        ExtensionCheck,
        ReferenceCheck,
    )
    from airflow_dataml.core.quality import QualityReport

_TYPES = {"anomalies": "anomaly", "distributions": "distribution", "references": "reference"}


@dataclass(frozen=True, slots=True)
class Dangling:
    """Rows that refer to nothing.

    :param rows: how many.
    :param keys: how many different keys they name.
    :param samples: some of the keys, each with its rows.
    """

    rows: int
    keys: int
    samples: list[dict[str, Any]] = field(default_factory=list)


def with_expectations(report: QualityReport, results: Iterable[CheckResult]) -> QualityReport:
    """Return the report with more results behind those it has."""
    return replace(report, checks=(*report.checks, *results))


def counts(result: CheckResult) -> bool:
    """Whether a result has a say in its report's verdict; one of ours that has too little data has none."""
    ours = result.id.startswith(f"{EXTENSION}.")
    return not (ours and result.verdict is Verdict.UNKNOWN and result.level == "warn")


def verdict_of(report: QualityReport) -> Verdict:
    """Return the worst verdict of the checks that count; any error, or no check at all, is an error."""
    verdicts = (check.verdict for check in report.checks if counts(check))
    return Verdict.ERROR if report.errors else Verdict.worst(verdicts)


def measure(column: Mapping[str, Any] | None, rows: int, function: str) -> float | None:
    """Return a metric of a batch from its profile; ``None`` where the profile does not hold it.

    >>> measure({"nulls": 1, "sum": 6.0, "squares": 14.0}, 4, "avg")
    2.0
    >>> measure({"nulls": 1, "sum": 6.0, "squares": 14.0}, 4, "stddev")
    1.0
    """
    if function == "row_count":
        return float(rows)
    if column is None:
        return None
    nulls = int(column["nulls"])
    if function in ("missing", "missing_percent"):
        return float(nulls) if function == "missing" else 100 * nulls / max(rows, 1)
    value = column.get(function) if function not in ("avg", "stddev") else _moment(column, rows, function)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if rows > nulls else None


def _moment(column: Mapping[str, Any], rows: int, function: str) -> float | None:
    if "squares" not in column:
        return None
    count = rows - int(column["nulls"])
    if function == "avg" or count < 2:
        return mean(column, rows) if function == "avg" else None
    variance = (float(column["squares"]) - float(column["sum"]) ** 2 / count) / (count - 1)
    return math.sqrt(max(variance, 0.0))


def age(column: Mapping[str, Any] | None, moment: datetime) -> float | None:
    """Return the hours from a column's newest value to a moment; ``None`` where its profile knows no time.

    >>> age({"max": "2013-01-01"}, datetime(2013, 1, 2, 6, tzinfo=UTC))
    30.0
    """
    newest = (column or {}).get("max")
    try:
        time = datetime.fromisoformat(newest) if isinstance(newest, str) else None
    except ValueError:
        return None
    if time is None:
        return None
    return (moment - (time if time.tzinfo else time.replace(tzinfo=UTC))).total_seconds() / 3600


def judge_anomaly(
    check: AnomalyCheck, value: float | None, history: Sequence[Point], *, at: datetime, why: str = ""
) -> CheckResult:
    """Hold a number against what its past foretells.

    :param value: the number; ``None`` is an error, since what was not measured passes no check.
    :param history: its past in order.
    :param at: the time it is of.
    :param why: what kept it from being measured.
    """
    if value is None:
        return _result(check, Verdict.ERROR, "as in the past", detail=why or "has no value in this batch")
    expected = expect(
        history,
        at=at,
        false_alarm_rate=check.false_alarm_rate,
        min_history=check.min_history,
        season=check.season,
        direction=check.direction,
    )
    outcome = expected.judge(value)
    facts: dict[str, Any] = {"observed": value, "unit": check.unit, "diagnostics": expected.to_dict()}
    if outcome == "unknown":
        return _result(
            check, Verdict.UNKNOWN, expected.describe(), detail=f"learns: {expected.detail}", **facts
        )
    return _result(check, Verdict(outcome), expected.describe(), **facts)


def judge_distribution(
    check: DistributionCheck,
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    version: str,
    show: int = 5,
) -> CheckResult:
    """Hold a column's distribution against that of a version.

    Its values, the share of its missing ones and the share of values the version never had are tested together,
    each with the tolerance and for both sample sizes; the findings are corrected for their number.

    :param reference: profile of the version; same edges as ``current``.
    :param show: how many new values may be shown.
    """
    name, expected = check.column, f"a shift <= {check.tolerance:g} against {version}"
    pair = [side["columns"].get(name) for side in (reference, current)]
    if wrong := _incomparable(pair, version):
        return _result(check, Verdict.ERROR, expected, detail=wrong)
    shifts = _shifts(check, reference, current)
    strangers = _strangers(*pair)
    values = next((shift for shift in shifts if shift.test == "values"), None)
    diagnostics = {
        "version": version,
        "tests": [asdict(shift) for shift in shifts],
        "new_values": [value for value, _ in (strangers or [])[:show]],
    }
    facts = {"observed": round(values.psi, 6) if values else None, "diagnostics": diagnostics}
    if moved := [f"{shift.test} moved by {shift.psi:.3g}" for shift in shifts if shift.drifted]:
        return _result(
            check, Verdict.FAIL, expected, detail=f"{', '.join(moved)}, expected {expected}", **facts
        )
    blind = blind_columns(reference, current, columns=[name])
    if values is None or blind:
        few = f"fewer than {check.min_rows} values here or in {version}"
        detail = "too many values lie outside the histogram's edges" if blind else few
        return _result(check, Verdict.UNKNOWN, expected, detail=detail, **facts)
    return _result(check, Verdict.PASS, expected, **facts)


def judge_reference(check: ReferenceCheck, dangling: Dangling, *, version: str) -> CheckResult:
    """Judge by the rows that refer to nothing."""
    verdict = Verdict.PASS if dangling.rows <= check.max_failed else Verdict.FAIL
    allowed = f"<= {check.max_failed}" if check.max_failed else "= 0"
    expected = f"{allowed} rows without a match in {version}"
    shown = ", ".join("(" + ", ".join(map(str, s["key"])) + ")" for s in dangling.samples)
    detail = f"{dangling.rows:,} rows with {dangling.keys:,} keys have no match in {version}"
    return _result(
        check,
        verdict,
        expected,
        observed=dangling.rows,
        unit="rows",
        detail="" if verdict is Verdict.PASS else detail + (f", such as {shown}" if shown else ""),
        diagnostics={"version": version, "keys": dangling.keys, "samples": dangling.samples},
    )


def unanswered(check: ExtensionCheck, verdict: Verdict, detail: str) -> CheckResult:
    """Return the result of a check that could not be looked at."""
    return _result(check, verdict, "", detail=detail)


def _result(check: ExtensionCheck, verdict: Verdict, threshold: str, **facts: Any) -> CheckResult:
    """Build a result; a miss of a check that only warns warns, and too little data never counts."""
    warns = check.level == "warn" and verdict is Verdict.FAIL
    return CheckResult(
        id=check.id,
        type=_TYPES[check.kind],
        column=getattr(check, "column", None),
        name=check.name or check.title,
        verdict=Verdict.WARN if warns else verdict,
        threshold=threshold,
        level="warn" if verdict is Verdict.UNKNOWN else check.level,
        **facts,
    )


@dataclass(frozen=True, slots=True)
class _Shift:
    """One test of a distribution."""

    test: str
    psi: float
    p_value: float
    drifted: bool = False


def _incomparable(pair: Sequence[Mapping[str, Any] | None], version: str) -> str:
    """Say why two columns' profiles cannot be compared, if so."""
    before, now = pair
    if before is None or now is None:
        return f"has no profile {f'in {version}' if before is None else 'in this batch'}"
    if "width" in now:
        return "is a point in time, whose distribution always moves; check its freshness instead"
    if ("grid" in before) != ("grid" in now):
        return f"is {now['type']} here and {before['type']} in {version}"
    return ""


def _shifts(
    check: DistributionCheck, reference: Mapping[str, Any], current: Mapping[str, Any]
) -> list[_Shift]:
    """Test values, missing ones and new ones, corrected for how many tests that is."""
    name = check.column
    policy = MonitorPolicy(tolerance=check.tolerance, level=check.alpha, min_rows=check.min_rows)
    found = [
        _Shift(shift.test, shift.psi, shift.p_value)
        for shift in column_shifts(reference, current, columns=[name], policy=policy)
    ]
    before, now = reference["columns"][name], current["columns"][name]
    strangers = _strangers(before, now)
    if strangers is not None and min(counted(before), counted(now)) >= check.min_rows:
        new = (sum(count for _, count in strangers) + now["other"]) * counted(now) / covered(now)
        test = shift_test([counted(before), 0], [counted(now) - new, new], tolerance=check.tolerance)
        found.append(_Shift("new values", test.psi, test.p_value))
    rejected = benjamini_hochberg([shift.p_value for shift in found], level=check.alpha)
    return [replace(shift, drifted=bad) for shift, bad in zip(found, rejected, strict=True)]


def _strangers(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, int]] | None:
    """Values the reference never had, most frequent first; ``None`` where it does not know all its own."""
    if "values" not in before or before["other"] or "sampled" in before:
        return None
    old = {value for value, _ in before["values"]}
    return [(value, count) for value, count in now["values"] if value not in old]

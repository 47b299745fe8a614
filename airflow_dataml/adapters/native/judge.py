"""Verdicts from measured numbers: the same ones Soda gives."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native.binding import utc
from airflow_dataml.adapters.native.values import mean, number, python, time_of
from airflow_dataml.core.contract_checks import (
    AggregateCheck,
    ColumnDuplicateCheck,
    DuplicateCheck,
    FailedRowsCheck,
    FreshnessCheck,
    InvalidCheck,
    MetricCheck,
    MissingCheck,
    RowCountCheck,
)
from airflow_dataml.core.contract_rules import Comparison, Range
from airflow_dataml.core.quality import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.native.binding import Bound
    from airflow_dataml.core.contract_checks import Check
    from airflow_dataml.core.contract_parts import ContractCheck

Numbers = dict[str, Any]
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


def verdict_of(body: Check, value: Any) -> Verdict:
    """Compare a measured value with a check's thresholds; what is not a finite number is an error."""
    if number(value) is None or isinstance(value, str):
        return Verdict.ERROR
    given = body.thresholds
    written: Comparison | None = given if given is not None and given.comparisons else None
    first = written or _default(body)
    second = given.additional if given is not None else None
    level = given.level if given is not None else "fail"
    if second is not None and level == "warn":
        first, second, level = second, first, "fail"
    if not _holds(first, value):
        return Verdict.WARN if level == "warn" else Verdict.FAIL
    return Verdict.WARN if second is not None and not _holds(second, value) else Verdict.PASS


def result_of(bound: Bound, check: ContractCheck, values: Numbers, rows: int | None) -> CheckResult:
    """Judge one check.

    :param values: what :func:`~airflow_dataml.adapters.native.metrics.needs_of` asked for, by its names.
    :param rows: rows under the contract's filter.
    """
    body = bound.bodies[check.id]
    if isinstance(body, FreshnessCheck):
        return _fresh(bound, check, body, values, rows)
    observed, diagnostics = JUDGES[type(body)](body, values)
    verdict = verdict_of(body, observed)
    facts = {"dataset_rows_tested": rows} | {name: tidy(value) for name, value in diagnostics.items()}
    wrong = verdict is Verdict.ERROR
    return CheckResult.of(
        check,
        verdict,
        observed=None if wrong else tidy(observed),
        diagnostics=facts,
        detail=f"its value is {observed!r}, not a finite number" if wrong and observed is not None else "",
    )


def tidy(value: Any) -> Any:
    """Turn a value into one that JSON knows.

    >>> tidy(Decimal("3.0")), tidy(Decimal("0.5")), tidy(7)
    (3, 0.5, 7)
    """
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _default(body: Check) -> Comparison:
    return Comparison(must_be=0) if body.default == "= 0" else Comparison(must_be_greater_than=0)


def _holds(comparison: Comparison, value: Any) -> bool:
    inside, outside = comparison.must_be_between, comparison.must_be_not_between
    if inside is not None:
        return _above(inside, value) and _below(inside, value)
    if outside is not None:
        return _above(outside, value) or _below(outside, value)
    tests = {
        "must_be": lambda bound: value == bound,
        "must_not_be": lambda bound: value != bound,
        "must_be_greater_than": lambda bound: value > bound,
        "must_be_greater_than_or_equal": lambda bound: value >= bound,
        "must_be_less_than": lambda bound: value < bound,
        "must_be_less_than_or_equal": lambda bound: value <= bound,
    }
    return all(tests[name](getattr(comparison, name)) for name in comparison.comparisons)


def _above(bounds: Range, value: Any) -> bool:
    low = bounds.greater_than
    return bool(value > low if low is not None else value >= bounds.greater_than_or_equal)


def _below(bounds: Range, value: Any) -> bool:
    high = bounds.less_than
    return bool(value < high if high is not None else value <= bounds.less_than_or_equal)


def _percent(part: int, whole: int) -> float:
    return part * 100 / whole if whole else 0


def _counted(body: Check, name: str, count: int, whole: int, rows: int) -> tuple[Any, Numbers]:
    percent = _percent(count, whole)
    facts = {f"{name}_count": count, f"{name}_percent": percent, "check_rows_tested": rows}
    return percent if body.unit == "%" else count, facts


def _missing(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    return _counted(body, "missing", values["missing"], values["rows"], values["rows"])


def _invalid(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    count = values.get("invalid", 0) + values.get("unreferenced", 0)
    observed, facts = _counted(body, "invalid", count, values["rows"], values["rows"])
    return observed, facts | {"missing_count": values["missing"]}


def _duplicate(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    there = values["rows"] - values["missing"]
    observed, facts = _counted(body, "duplicate", there - values["distinct"], there, values["rows"])
    return observed, facts | {"missing_count": values["missing"]}


def _duplicate_rows(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    rows = values["rows"]
    return _counted(body, "duplicate", rows - values["distinct"], rows, rows)


def _row_count(_: Check, values: Numbers) -> tuple[Any, Numbers]:
    return values["rows"], {"check_rows_tested": values["rows"]}


def _aggregate(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    facts = {"check_rows_tested": values["rows"]}
    if "sum" in values:
        filled = values["filled"] if "filled" in values else values["rows"] - values["nulls"]
        found = mean(values["sum"], filled)
    else:
        found = python(values["value"])
    counted = number(found)
    if counted is None:
        return found, facts
    function = body.function if isinstance(body, AggregateCheck) else "value"
    return float(counted), facts | {function: float(counted)}


def _metric(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    found = python(values["value"])
    counted = number(found)
    if counted is None:
        return found, {}
    return (float(counted) if isinstance(body, MetricCheck) and body.expression else counted), {}


def _failed(body: Check, values: Numbers) -> tuple[Any, Numbers]:
    failed = values["failed"]
    if "rows" not in values and "tested" not in values:
        return failed, {"failed_rows_count": failed, "check_rows_tested": None}
    tested = values["rows"] if "rows" in values else _whole(values["tested"])
    percent = _percent(failed, tested) if tested and tested > 0 else 0
    facts = {"failed_rows_count": failed, "failed_rows_percent": percent, "check_rows_tested": tested}
    wanted = percent if body.unit == "%" else failed
    return (None if body.unit == "%" and tested is None else wanted), facts


def _whole(value: Any) -> int | None:
    found = number(python(value))
    return None if found is None else int(found)


def _fresh(
    bound: Bound, check: ContractCheck, body: FreshnessCheck, values: Numbers, rows: int | None
) -> CheckResult:
    newest, now = time_of(values["newest"]), bound.measured_at(body)
    facts = {
        "dataset_rows_tested": rows,
        "check_rows_tested": values["rows"],
        "max_timestamp": None if newest is None else newest.isoformat(),
        "data_timestamp": None if now is None else now.isoformat(),
    }
    if now is None:
        detail = f"the variable {body.now_variable!r} holds no time"
        return CheckResult.of(check, Verdict.ERROR, detail=detail, diagnostics=facts)
    if newest is None and values["newest"] is not None:
        detail = f"its newest value {values['newest'][-1]!r} is no time"
        return CheckResult.of(check, Verdict.ERROR, detail=detail, diagnostics=facts)
    if newest is None:
        there = bool(values["rows"])
        verdict, detail = (Verdict.FAIL, "no row has a time") if there else (Verdict.ERROR, "")
        return CheckResult.of(check, verdict, detail=detail, diagnostics=facts)
    unit = body.threshold.unit
    age = math.floor((utc(now) - utc(newest)).total_seconds()) / _UNITS[unit]
    facts[f"freshness_in_{unit}s"] = age
    return CheckResult.of(check, verdict_of(body, age), observed=age, diagnostics=facts)


JUDGES: dict[type[Check], Callable[[Check, Numbers], tuple[Any, Numbers]]] = {
    MissingCheck: _missing,
    RowCountCheck: _row_count,
    InvalidCheck: _invalid,
    ColumnDuplicateCheck: _duplicate,
    DuplicateCheck: _duplicate_rows,
    AggregateCheck: _aggregate,
    MetricCheck: _metric,
    FailedRowsCheck: _failed,
}

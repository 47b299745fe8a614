"""Harvest: results of checks that ran without us become reports of the tables they were about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.sightings import enter_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.steps.sightings import Sighting

ENGINE = "common-sql"
_NAME = r'(?:[\w$]+|"[^"]+")'
_FROM = re.compile(
    rf"\b(?:from|join)\s+(?!\()({_NAME}(?:\.{_NAME})*)(?![\w$.]|\s*\()",
    re.IGNORECASE,
)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Found:
    """One result of a check of common-sql's operators, as plain values."""

    name: str
    type: str
    passed: bool
    warns: bool
    table: str
    column: str | None = None
    expected: str = ""
    observed: str | None = None
    content: str = ""


def found_in(results: Iterable[Any]) -> list[Found]:
    """Read ``check_results`` of a task; what only informs, and what names no table, is passed over.

    A check without a table is about the one its SQL reads, where that is a single one.
    """
    found = []
    for result in results:
        content = str(result.content or "")
        table = result.table or table_in(content)
        if table is None or result.severity == "info":
            continue
        found.append(
            Found(
                name=str(result.name),
                type=str(result.check_type),
                passed=result.success is True,
                warns=result.severity == "warn",
                table=str(table),
                column=result.column,
                expected=_text(result.expected),
                observed=None if result.actual is None else _text(result.actual),
                content=_text(content),
            )
        )
    return found


def table_in(sql: str) -> str | None:
    """Return the only table a query reads, as far as its words tell.

    >>> table_in("SELECT count(*) FROM sales.orders o"), table_in("SELECT 1 FROM a JOIN b USING (id)")
    ('sales.orders', None)
    """
    names = set(_FROM.findall(sql))
    return names.pop() if len(names) == 1 else None


def relation_of(table: str) -> Relation | None:
    """Return a table as it is written in SQL: without quotes a name is in lower case.

    >>> str(relation_of("Sales.Orders")), str(relation_of('db.sales."Orders"')), relation_of("a b")
    ('sales.orders', 'sales.Orders', None)
    """
    words = re.findall(r'"(?:[^"]|"")+"|[^".]+', table.strip())
    if not words or ".".join(words) != table.strip() or any(" " in word for word in words if word[0] != '"'):
        return None
    names = [word[1:-1].replace('""', '"') if word[0] == '"' else word.lower() for word in words[-2:]]
    try:
        return Relation(names[0] if len(names) == 2 else "public", names[-1])
    except SpecError:
        return None


def harvest(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    found: Sequence[Found],
    place: Callable[[Relation], Sighting],
    engine_version: str,
    started: datetime,
    finished: datetime,
    operator: str,
) -> list[Report]:
    """Keep the results of one try of a task: one report per table.

    :param place: says where in the world a table of the task's connection is.
    :param operator: the class that ran the checks.
    """
    tables = dict.fromkeys(result.table for result in found)
    reports = []
    with ledger.transaction():
        run = ledger.runs.begin(identity, input_digest=digest_of(results=[str(result) for result in found]))
        for table in tables:
            relation = relation_of(table)
            if relation is None:
                continue
            asset = enter_table(ledger, place(relation))
            results = [result for result in found if result.table == table]
            report = _report(relation, results, engine_version, started, finished)
            facts = {
                "verdict": report.verdict.value,
                "summary": report.summary(),
                "scope": "table",
                "partition_key": identity.partition_key,
                "operator": operator,
            }
            reports.append(
                ledger.reports.add(
                    run=run,
                    fact=run.fact(asset).of(f"try{identity.try_number}"),
                    kind="check",
                    verdict=report.verdict.value,
                    body=report.to_dict() | facts,
                )
            )
        ledger.runs.finish(run)
    return reports


def _report(
    relation: Relation, results: Sequence[Found], engine_version: str, started: datetime, finished: datetime
) -> QualityReport:
    said = [(result.name, result.type, result.column, result.expected, result.content) for result in results]
    return QualityReport(
        engine=ENGINE,
        engine_version=engine_version,
        contract_digest=digest_of(checks=said),
        relation=relation,
        rows=None,
        checks=tuple(map(_check, results)),
        started=started,
        finished=finished,
    )


def _check(result: Found) -> CheckResult:
    missed = Verdict.WARN if result.warns else Verdict.FAIL
    where = f"columns.{result.column}.checks" if result.column else "checks"
    return CheckResult(
        id=f"{where}.{result.type}.{result.name}",
        type=result.type,
        column=result.column,
        name=result.name,
        verdict=Verdict.PASS if result.passed else missed,
        threshold=result.expected,
        observed=_number(result.observed),
        level="warn" if result.warns else "fail",
        detail="" if result.passed or result.observed is not None else "it did not hold",
        diagnostics={"sql": result.content} if result.content else {},
    )


def _number(text: str | None) -> float | int | str | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        pass
    try:
        return float(str(text))
    except ValueError:
        return text


def _text(value: object) -> str:
    return " ".join(str(value or "").split())[:_LONGEST]

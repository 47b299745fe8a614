"""What has to be measured for a contract's checks: each number once, however many checks need it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_dataml.adapters.native import conditions as sql
from airflow_dataml.core.contract_checks import (
    AggregateCheck,
    ColumnDuplicateCheck,
    DuplicateCheck,
    FailedRowsCheck,
    FreshnessCheck,
    InvalidCheck,
    MetricCheck,
    MissingCheck,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.adapters.native.binding import Bound
    from airflow_dataml.core.contract_checks import Check
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn
    from airflow_dataml.core.refs import Relation

Kind = Literal["count", "sum", "min", "max", "newest", "raw", "distinct", "reference", "cell", "rows"]
MERGEABLE: tuple[Kind, ...] = ("count", "sum", "min", "max", "newest")
FUSED: tuple[Kind, ...] = (*MERGEABLE, "raw")
# Raise it when the same contract would be measured differently: kept states are then not used again.
STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """One number about a table.

    :param kind: ``count`` rows, ``sum``, ``min``, ``max`` or ``newest`` of an argument, a ``raw``
        aggregate of the contract's, ``distinct`` values, values that a ``reference`` lacks, the first
        ``cell`` of a query or the number of its ``rows``.
    :param condition: which rows it is about; all where there is none.
    :param columns: the columns it rests on, empty where SQL of the contract is involved.
    :param reference: the table and column that hold every valid value.
    :param dataset: what the contract calls that table.
    :param null: whether the condition is that the column is NULL and nothing else.
    :param costly: whether it evaluates a regular expression.
    :ivar key: the metric's name in states: equal where the SQL is, whatever table a reference is read from.
    """

    kind: Kind
    argument: str = ""
    condition: str | None = None
    columns: tuple[str, ...] = ()
    reference: tuple[Relation, str] | None = None
    dataset: str = ""
    null: bool = field(default=False, compare=False)
    costly: bool = field(default=False, compare=False)
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the key once: it is asked for again with every part of a table."""
        column = self.reference[1] if self.reference is not None else ""
        parts = (self.kind, self.argument, self.condition, self.columns, self.dataset, column)
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        object.__setattr__(self, "key", f"{self.kind}:{digest[:16]}")


@dataclass(frozen=True, slots=True)
class Plan:
    """The metrics of a contract.

    :param filter: condition on the rows the contract is about.
    :param needs: check id -> what it is judged by, under a name each.
    :param moving: keys of metrics whose value on the same rows may change.
    :ivar metrics: every metric once; the number of rows first.
    :ivar mergeable: the metrics whose value of a whole follows from those of its parts.
    :ivar digest: name of what is kept of a segment; thresholds have no part in it.
    """

    filter: str | None
    needs: dict[str, dict[str, Metric]]
    moving: frozenset[str]
    metrics: tuple[Metric, ...] = field(init=False, repr=False, compare=False)
    mergeable: tuple[Metric, ...] = field(init=False, repr=False, compare=False)
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what every part of a table is asked about."""
        found = {ROWS.key: ROWS}
        for need in self.needs.values():
            found.update({metric.key: metric for metric in need.values()})
        merge = (m for key, m in found.items() if m.kind in MERGEABLE and key not in self.moving)
        parts = [STATE_VERSION, self.filter, sorted(found.keys() - self.moving)]
        object.__setattr__(self, "metrics", tuple(found.values()))
        object.__setattr__(self, "mergeable", tuple(merge))
        object.__setattr__(self, "digest", hashlib.sha256(json.dumps(parts).encode()).hexdigest())

    @property
    def filter_sql(self) -> str | None:
        """The contract's filter as one condition."""
        return sql.enclosed(self.filter) if self.filter else None


ROWS = Metric("count")


def make_plan(bound: Bound, references: Mapping[str, Relation]) -> Plan:
    """Work out what the checks of a contract need."""
    needs = {
        check.id: needs_of(check, body, column, references)
        for check, body, column in bound.checks()
        if check.type != "schema"
    }
    moving = {
        metric.key
        for metric in (ROWS, *(metric for need in needs.values() for metric in need.values()))
        if any(map(bound.moves, (bound.filter, metric.argument, metric.condition)))
    }
    return Plan(bound.filter, needs, frozenset(moving))


def needs_of(
    check: ContractCheck, body: Check, column: ContractColumn | None, references: Mapping[str, Relation]
) -> dict[str, Metric]:
    """Return the metrics one check is judged by."""
    needs = {"rows": _rows(body)}
    match body:
        case MissingCheck():
            needs["missing"] = _missing(body, column)
        case InvalidCheck():
            needs |= _invalid(check, body, column, references)
        case ColumnDuplicateCheck():
            needs |= {"missing": _missing(body, column), "distinct": _distinct(body, column)}
        case DuplicateCheck():
            needs["distinct"] = Metric("distinct", "", _filter(body), tuple(body.columns))
        case AggregateCheck():
            needs |= _aggregate(body, column)
        case FreshnessCheck():
            needs["newest"] = Metric("newest", sql.value_of(body, None), _filter(body))
        case MetricCheck(query=None):
            needs = {"value": Metric("raw", sql.enclosed(str(body.expression)))}
        case MetricCheck():
            needs = {"value": Metric("cell", str(body.query))}
        case FailedRowsCheck(expression=None):
            needs = _failed_query(body)
        case FailedRowsCheck():
            failed = sql.both(_filter(body), sql.enclosed(str(body.expression).strip()))
            needs["failed"] = Metric("count", condition=failed)
    return needs


def _filter(body: Check) -> str | None:
    written = getattr(body, "filter", None)
    return sql.enclosed(written.strip()) if written else None


def _columns(body: Check, column: ContractColumn | None) -> tuple[str, ...]:
    """The column a check rests on, if it says nothing in SQL of its own."""
    expression = getattr(body, "column_expression", None) or (column.column_expression if column else None)
    return () if _filter(body) or expression or column is None else (column.name,)


def _rows(body: Check) -> Metric:
    return Metric("count", condition=_filter(body))


def _missing(body: Check, column: ContractColumn | None) -> Metric:
    value, (rules, _) = sql.value_of(body, column), sql.rules_of(body, column)
    listed = sql.listed_missing(value, rules)
    return Metric(
        "count",
        condition=sql.both(_filter(body), sql.missing(value, rules)),
        columns=_columns(body, column),
        null=not listed and not _filter(body),
        costly=rules.missing_format is not None,
    )


def _invalid(
    check: ContractCheck,
    body: InvalidCheck,
    column: ContractColumn | None,
    references: Mapping[str, Relation],
) -> dict[str, Metric]:
    value, (gone, rules) = sql.value_of(body, column), sql.rules_of(body, column)
    wrong = sql.invalid(value, rules)
    present = [_filter(body), *sql.there(value, gone)]
    needs = {"missing": _missing(body, column)}
    if wrong is not None:
        costly = any((rules.valid_format, rules.invalid_format, gone.missing_format))
        needs["invalid"] = Metric(
            "count", condition=sql.both(*present, wrong), columns=_columns(body, column), costly=costly
        )
    if rules.valid_reference_data is not None:
        written = sql.rules_of(check.body, column)[1].valid_reference_data or rules.valid_reference_data
        relation = sql.reference_relation(written, references)
        needs["unreferenced"] = Metric(
            "reference",
            value,
            sql.both(*present, f"{value} IS NOT NULL", f"NOT ({wrong})" if wrong else None),
            reference=(relation, rules.valid_reference_data.column),
            dataset=written.dataset,
        )
    return needs


def _distinct(body: ColumnDuplicateCheck, column: ContractColumn | None) -> Metric:
    value, (rules, _) = sql.value_of(body, column), sql.rules_of(body, column)
    expression = body.column_expression or (column.column_expression if column is not None else None)
    return Metric(
        "distinct",
        value,
        sql.both(_filter(body), *sql.there(value, rules), f"{value} IS NOT NULL"),
        (column.name,) if column is not None and expression is None else (),
    )


def _aggregate(body: AggregateCheck, column: ContractColumn | None) -> dict[str, Metric]:
    value, (gone, rules) = sql.value_of(body, column), sql.rules_of(body, column)
    wrong = sql.invalid(value, rules)
    condition = sql.both(_filter(body), *sql.there(value, gone), f"NOT ({wrong})" if wrong else None)
    function, _, of_length = body.function.partition("_")
    argument = f"length({value})" if of_length else value
    if function != "avg":
        kinds: dict[str, Kind] = {"sum": "sum", "min": "min", "max": "max"}
        return {"value": Metric(kinds[function], argument, condition)}
    total = {"sum": Metric("sum", argument, condition)}
    if condition is None:
        plain = _columns(body, column)
        return total | {"nulls": Metric("count", condition=f"{value} IS NULL", columns=plain, null=True)}
    return total | {"filled": Metric("count", condition=sql.both(condition, f"{value} IS NOT NULL"))}


def _failed_query(body: FailedRowsCheck) -> dict[str, Metric]:
    needs = {"failed": Metric("rows", str(body.query or body.keys_query))}
    if body.rows_tested_query is not None:
        needs["tested"] = Metric("cell", body.rows_tested_query)
    return needs

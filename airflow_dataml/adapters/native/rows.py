"""What makes a single row bad, as SQL, for those who move such rows or show a few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import conditions as sql
from airflow_dataml.adapters.native.binding import bind
from airflow_dataml.core.contract_checks import FailedRowsCheck, InvalidCheck, MissingCheck

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_checks import Check
    from airflow_dataml.core.contract_parts import ContractColumn
    from airflow_dataml.core.refs import Relation


def row_conditions(
    contract: Contract,
    *,
    variables: Mapping[str, Any] | None = None,
    references: Mapping[str, Relation] | None = None,
    data_timestamp: datetime | None = None,
) -> tuple[tuple[str, str], ...]:
    r"""Return, for every check that speaks of single rows, the condition of a row that breaks it.

    These are ``missing``, ``invalid`` and ``failed_rows`` with an expression; thresholds have no part in
    it. A condition goes into a ``WHERE`` or ``CASE`` over the table, may be NULL, and reads the table's
    columns by their bare names; one with a reference reads that table too.

    >>> from airflow_dataml.core.contract import Contract
    >>> contract = Contract.from_text("dataset: w/rides\ncolumns: [{name: km, checks: [missing: ]}]")
    >>> row_conditions(contract)
    (('columns.km.checks.missing', '("km" IS NULL)'),)

    :param references: dataset named in ``valid_reference_data`` -> the table to read instead.
    :raises ContractError: a variable or reference does not fit the contract.
    """
    bound = bind(contract, variables or {}, data_timestamp=data_timestamp)
    where = sql.enclosed(bound.filter) if bound.filter else None
    found = []
    for check, body, column in bound.checks():
        condition = _bad(body, column, references or {})
        if condition is not None:
            found.append((check.id, f"({sql.both(where, _filter(body), condition)})"))
    return tuple(found)


def _bad(body: Check, column: ContractColumn | None, references: Mapping[str, Relation]) -> str | None:
    if isinstance(body, FailedRowsCheck):
        return sql.enclosed(body.expression.strip()) if body.expression else None
    if not isinstance(body, MissingCheck | InvalidCheck):
        return None
    value, (gone, rules) = sql.value_of(body, column), sql.rules_of(body, column)
    if isinstance(body, MissingCheck):
        return sql.missing(value, gone)
    wrong = [condition for condition in (sql.invalid(value, rules),) if condition is not None]
    if rules.valid_reference_data is not None:
        relation = sql.reference_relation(rules.valid_reference_data, references)
        wrong.append(sql.unreferenced(value, rules.valid_reference_data.column, relation))
    return (
        sql.both(f"{value} IS NOT NULL", *sql.there(value, gone), f"({' OR '.join(wrong)})")
        if wrong
        else None
    )


def _filter(body: Check) -> str | None:
    written = getattr(body, "filter", None)
    return sql.enclosed(written.strip()) if written else None

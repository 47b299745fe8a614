"""What a contract says about single values, as SQL conditions."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_rules import Missing, Validity
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.contract_checks import Check
    from airflow_dataml.core.contract_parts import ContractColumn
    from airflow_dataml.core.contract_rules import ReferenceData

# Names of ours inside a contract's SQL; nobody's column is called so.
KEY = '"dataml key"'
REFERENCE = '"dataml reference"'


def literal(value: Any) -> str:
    """Write a value as SQL.

    >>> literal("O'Hare"), literal(True), literal(-3), literal(float("inf"))
    ("'O''Hare'", 'TRUE', '-3', "'inf'::double precision")
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{value}'::double precision"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"DATE '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


def enclosed(sql: str) -> str:
    """Put SQL of a contract into parentheses that a comment at its end does not swallow."""
    return f"({sql}\n)" if "--" in sql else f"({sql})"


def value_of(body: Check, column: ContractColumn | None) -> str:
    """Return the SQL of what a check on a column reads."""
    written = getattr(body, "column_expression", None)
    if written is None and column is not None:
        written = column.column_expression
    if written is not None:
        return enclosed(written)
    name = column.name if column is not None else getattr(body, "column", None)
    return quote_identifier(str(name))


def rules_of(body: Check, column: ContractColumn | None) -> tuple[Missing, Validity]:
    """Return what counts as missing and as valid: the check's own rules, or else the column's."""
    inherited: Validity = column if column is not None else Validity()
    return (
        body if isinstance(body, Missing) and (body.missing_values or body.missing_format) else inherited,
        body if isinstance(body, Validity) and body.defines_validity else inherited,
    )


def missing(value: str, rules: Missing) -> str:
    """Return the condition of a missing value."""
    return str(_any([f"{value} IS NULL", *listed_missing(value, rules)]))


def listed_missing(value: str, rules: Missing) -> list[str]:
    """Return the conditions of values that are there and count as missing."""
    clauses = []
    if rules.missing_values is not None:
        clauses.append(_in(value, rules.missing_values))
    if rules.missing_format is not None:
        clauses.append(f"{value} ~ {literal(rules.missing_format.regex)}")
    return clauses


def invalid(value: str, rules: Validity) -> str | None:
    """Return the condition of a value that breaks the rules, the reference aside; not true of NULL."""
    clauses = []
    if rules.valid_values is not None:
        clauses.append(f"NOT {_in(value, rules.valid_values)}")
    if rules.invalid_values is not None:
        clauses.append(_in(value, rules.invalid_values))
    if rules.valid_format is not None:
        clauses.append(f"NOT ({value} ~ {literal(rules.valid_format.regex)})")
    if rules.invalid_format is not None:
        clauses.append(f"{value} ~ {literal(rules.invalid_format.regex)}")
    bounds = (
        (rules.valid_min, f"{value} <"),
        (rules.valid_max, f"{value} >"),
        (rules.valid_length, f"length({value}) <>"),
        (rules.valid_min_length, f"length({value}) <"),
        (rules.valid_max_length, f"length({value}) >"),
    )
    clauses += [f"{left} {literal(bound)}" for bound, left in bounds if bound is not None]
    return _any(clauses)


def there(value: str, rules: Missing) -> list[str]:
    """Return the conditions, beside NOT NULL, of a value that is not missing."""
    return [f"NOT ({clause})" for clause in listed_missing(value, rules)]


def unreferenced(value: str, column: str, relation: Relation) -> str:
    """Return the condition of a value that the reference does not hold; true of NULL.

    The reference shows one column of a name of ours, so no name in ``value`` can be taken for one of its.
    """
    keys = f"(SELECT {quote_identifier(column)} FROM {relation.quoted}) AS {REFERENCE}({KEY})"
    return f"NOT EXISTS (SELECT 1 FROM {keys} WHERE {REFERENCE}.{KEY} = {value})"


def reference_relation(reference: ReferenceData, given: Mapping[str, Relation]) -> Relation:
    """Return the table to read for a reference: what the caller names, or else what the contract does."""
    words = reference.dataset.split("/")
    named = given.get(reference.dataset) or given.get(words[-1])
    return named or Relation(words[-2] if len(words) > 3 else "public", words[-1])


def both(*conditions: str | None) -> str | None:
    """Join conditions that must all hold; ``None`` where there is none."""
    given = [condition for condition in conditions if condition]
    return " AND ".join(given) if given else None


def _in(value: str, values: list[Any]) -> str:
    return f"({value} IN ({', '.join(map(literal, values))}))"


def _any(clauses: list[str]) -> str | None:
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else f"({' OR '.join(clauses)})"

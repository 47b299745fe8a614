"""Words of the Open Data Contract Standard and those of Soda's language that mean the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_rules import Range, Threshold
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.contract_rules import Comparison

API_VERSION = "v3.0.2"
# Names of custom properties under which an exported contract keeps what the standard has no words for.
CONTRACT_PROPERTY, COLUMN_PROPERTY = "sodaContract", "sodaColumn"
# Names of the table and column in a rule's SQL, as the releases of the standard wrote them.
OBJECT = re.compile(r"\$?\{(?:object|table)\}")
PROPERTY = re.compile(r"\$?\{(?:property|column)\}")

_OPERATORS = {
    "must_be": "mustBe",
    "must_not_be": "mustNotBe",
    "must_be_greater_than": "mustBeGreaterThan",
    "must_be_greater_than_or_equal": "mustBeGreaterOrEqualTo",
    "must_be_less_than": "mustBeLessThan",
    "must_be_less_than_or_equal": "mustBeLessOrEqualTo",
}
_BOUNDS = {f"must_be_{bound}": bound for bound in Range.model_fields}
_SODA = {odcs: soda for soda, odcs in _OPERATORS.items()}
OPERATORS = (*_SODA, "mustBeBetween", "mustNotBeBetween")
_WARNINGS = ("info", "low", "warn", "warning")
_LOGICAL = {
    "bigint": "integer", "integer": "integer", "smallint": "integer",
    "double precision": "number", "numeric": "number", "real": "number",
    "boolean": "boolean", "date": "date", "json": "object", "jsonb": "object",
    "timestamp with time zone": "date", "timestamp without time zone": "date",
    "bytea": "string", "character": "string", "character varying": "string", "inet": "string",
    "interval": "string", "text": "string", "time with time zone": "string", "time without time zone": "string",
    "uuid": "string",
}  # fmt: skip
_OTHER_NAMES = {
    "serial": "integer",
    "bigserial": "bigint",
    "smallserial": "smallint",
    "double": "double precision",
}
_UNITS = {"minute": "min", "hour": "h", "day": "d"}
_LONG_UNITS = {"min": "minute", "h": "hour", "hr": "hour", "d": "day"}


def logical_type(data_type: str) -> str | None:
    """Return the logical type of a Postgres type, if the standard has one.

    >>> logical_type("numeric(10, 2)"), logical_type("text[]"), logical_type("timestamptz"), logical_type("box")
    ('number', 'array', 'date', None)
    """
    base, _, array = normal_type(data_type)
    return "array" if array else _LOGICAL.get(base)


def postgres_type(physical: str) -> str | None:
    """Return a physical type as PostgreSQL names it, ``None`` if it has no such type.

    >>> postgres_type("VARCHAR(18)"), postgres_type("varchar[15]"), postgres_type("serial"), postgres_type("STRUCT")
    ('varchar(18)', 'varchar(15)', 'integer', None)
    """
    text = re.sub(r"\[(\d+)\]", r"(\1)", physical.strip().lower())
    text = _OTHER_NAMES.get(text, text)
    return text if logical_type(text) is not None else None


def operators_of(comparison: Comparison, *, default: str) -> dict[str, Any] | None:
    """Return a comparison in the standard's words; ``None`` where it has none.

    >>> operators_of(Threshold(must_be_between=Range(greater_than=1, less_than_or_equal=9)), default="")
    {'mustBeGreaterThan': 1, 'mustBeLessOrEqualTo': 9}
    """
    for name in comparison.comparisons:
        value = getattr(comparison, name)
        if not isinstance(value, Range):
            return None if isinstance(value, str) else {_OPERATORS[name]: value}
        low, high = value.bounds
        if isinstance(low, str) or isinstance(high, str):
            return None
        open_ends = value.greater_than is not None and value.less_than is not None
        if name == "must_be_between":
            bounds = {n: getattr(value, b) for n, b in _BOUNDS.items() if getattr(value, b) is not None}
            return (
                {"mustBeBetween": [low, high]} if open_ends else {_OPERATORS[n]: v for n, v in bounds.items()}
            )
        closed_ends = value.greater_than is None and value.less_than is None
        return {"mustNotBeBetween": [high, low]} if closed_ends else None
    return {"= 0": {"mustBe": 0}, "> 0": {"mustBeGreaterThan": 0}}.get(default)


def threshold_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule's comparison in Soda's words, empty where it has none.

    >>> threshold_of({"mustBeGreaterThan": 1, "mustBeLessThan": 9})
    {'must_be_between': {'greater_than': 1, 'less_than': 9}}

    :raises ValueError: it compares with what is no number, or in a way Soda has no words for.
    """
    given = {name: rule[name] for name in OPERATORS if rule.get(name) is not None}
    for name, value in given.items():
        pair = name in ("mustBeBetween", "mustNotBeBetween")
        numbers = value if isinstance(value, list) and pair else [value]
        if pair and len(numbers) != 2:
            msg = f"{name} needs two numbers, not {value!r}"
            raise ValueError(msg)
        if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
            msg = f"{name} compares with {value!r}, which is no number"
            raise ValueError(msg)
    if set(given) <= {"mustBeBetween"} and given:
        low, high = given["mustBeBetween"]
        return {"must_be_between": {"greater_than": low, "less_than": high}}
    if set(given) <= {"mustNotBeBetween"} and given:
        low, high = given["mustNotBeBetween"]
        outside = {"greater_than_or_equal": high, "less_than_or_equal": low}
        return {"must_be_not_between": outside}
    simple = {_SODA[name]: value for name, value in given.items() if name in _SODA}
    bounds = {_BOUNDS[name]: value for name, value in simple.items() if name in _BOUNDS}
    if len(given) == len(bounds) == 2:
        return {"must_be_between": bounds}
    if len(given) > 1:
        msg = f"{' and '.join(given)} together are no one comparison"
        raise ValueError(msg)
    return simple


def level_of(severity: object) -> str:
    """Return the level of a severity; anything not said to be harmless fails."""
    return "warn" if str(severity).lower() in _WARNINGS else "fail"


def sla_unit(unit: str) -> str:
    """Return a freshness unit as service levels write it."""
    return _UNITS[unit]


def freshness_unit(unit: object) -> str | None:
    """Return a service level's unit as Soda writes it.

    >>> freshness_unit("d"), freshness_unit("hours"), freshness_unit("y")
    ('day', 'hour', None)
    """
    word = str(unit).lower().removesuffix("s")
    return _LONG_UNITS.get(word, word if word in _UNITS else None)


def plain_threshold(given: Threshold | None) -> bool:
    """Whether a threshold has one comparison, of numbers, that fails."""
    return given is None or (given.additional is None and given.level == "fail")


def mappings(value: object) -> list[dict[str, Any]]:
    """Return a list's items, an empty one for each that is no mapping, so that places keep their numbers.

    >>> mappings([{"a": 1}, "b"]), mappings(None)
    ([{'a': 1}, {}], [])
    """
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def physical_name(body: Mapping[str, Any]) -> str:
    """Return what a table or property is called in the database."""
    return str(body.get("physicalName") or body["name"])

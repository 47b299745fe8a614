"""What a property of the Open Data Contract Standard promises without naming a rule."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.odcs_rules import Candidate
from airflow_dataml.core.odcs_terms import mappings, physical_name
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_dataml.core.contract_yaml import Path

    Refer = Callable[[str, str], tuple[str, str]]

Told = tuple["Path", str]
_VALIDITY = {"minLength": "valid_min_length", "maxLength": "valid_max_length"}
_BOUNDS = {"minimum": ("valid_min", "<"), "maximum": ("valid_max", ">")}
_EXCLUSIVE = {"exclusiveMinimum": ("minimum", "<="), "exclusiveMaximum": ("maximum", ">=")}
_ITEMS = {"minItems": "<", "maxItems": ">"}
# What ECMA-262 knows and PostgreSQL's expressions do not, or read otherwise.
_ECMA = re.compile(r"\\[bBpPkuc]|\(\?<?[A-Za-z]|\[\^?\]")


def column_promises(
    body: Mapping[str, Any], column: str, path: Path, *, alone: bool, refer: Refer
) -> Iterator[Candidate | Told]:
    """Read keys, nullability, uniqueness, listed values and references.

    :param alone: whether a primary key has no other column.
    :param refer: table and column as written -> dataset and column as they are.
    """
    is_key = bool(body.get("primaryKey"))
    if body.get("required") or is_key:
        yield Candidate(
            column, "missing", None, (*path, "required" if body.get("required") else "primaryKey")
        )
    if body.get("unique") or (is_key and alone):
        yield Candidate(column, "duplicate", None, (*path, "unique" if body.get("unique") else "primaryKey"))
    listed = body.get("enum") or _options(body).get("enum")
    if isinstance(listed, list):
        values = [item.get("value") if isinstance(item, dict) else item for item in listed]
        known = [value for value in values if value is not None]
        yield Candidate(column, "invalid", {"valid_values": known}, (*path, "enum"))
    for index, relationship in enumerate(mappings(body.get("relationships"))):
        yield _reference(relationship, column, (*path, "relationships", index), refer)


def _reference(relationship: Mapping[str, Any], column: str, path: Path, refer: Refer) -> Candidate | Told:
    to = str(relationship.get("to") or "").strip("/")
    words = re.split(r"[./]", to.replace("schema/", "").replace("properties/", ""))
    if relationship.get("type", "foreignKey") != "foreignKey" or len(words) != 2:
        return path, "is no foreign key of the form 'to: table.column'; left out"
    dataset, name = refer(*words)
    body = {"valid_reference_data": {"dataset": dataset, "column": name}}
    return Candidate(column, "invalid", body, path)


def referring(root: Mapping[str, Any], place: Sequence[str]) -> Refer:
    """Say what a table and a column of the document are called in the database.

    :param place: the parts of a dataset's name before its table.
    """
    known = {
        (str(table.get("name")), str(body.get("name"))): (physical_name(table), physical_name(body))
        for table in mappings(root["schema"])
        for body in mappings(table.get("properties"))
        if table.get("name") and body.get("name")
    }

    def refer(table: str, column: str) -> tuple[str, str]:
        table, column = known.get((table, column), (table, column))
        return "/".join([*place, table]), column

    return refer


def type_options(body: Mapping[str, Any], column: str, path: Path) -> Iterator[Candidate | Told]:
    """Read ``logicalTypeOptions``, each as a check of its own."""
    options, name = _options(body), quote_identifier(column)
    for option, value in options.items():
        where = (*path, "logicalTypeOptions", option)
        if value is None or value is False or option == "enum":
            continue
        if option in _VALIDITY:
            yield Candidate(column, "invalid", {_VALIDITY[option]: value}, where)
        elif option in _BOUNDS:
            yield from _bound(options, option, column, where)
        elif option in _EXCLUSIVE:
            # Before v3.1 it is true, and qualifies the bound beside it.
            if value is not True:
                yield _failing(column, option, f"{name} {_EXCLUSIVE[option][1]} {_literal(value)}", where)
        elif option == "pattern":
            body_ = {"valid_format": {"regex": value, "name": "pattern"}}
            yield Candidate(column, "invalid", body_, where)
            if _ECMA.search(str(value)):
                yield where, "is an expression of ECMA-262, which PostgreSQL may read otherwise; look at it"
        elif option == "multipleOf":
            yield _failing(column, option, f"mod({name}::numeric, {_literal(value)}) <> 0", where)
        elif option in _ITEMS:
            yield _failing(column, option, f"cardinality({name}) {_ITEMS[option]} {_literal(value)}", where)
        elif not (option == "format" and value == body.get("physicalType")):
            yield where, "no check says that; left out"


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    options = body.get("logicalTypeOptions")
    return options if isinstance(options, dict) else {}


def _bound(options: Mapping[str, Any], option: str, column: str, path: Path) -> Iterator[Candidate]:
    value, (key, wrong) = options[option], _BOUNDS[option]
    exclusive = options.get(f"exclusive{option.title()}") is True
    if isinstance(value, int | float) and not exclusive:
        yield Candidate(column, "invalid", {key: value}, path)
    else:
        compare = f"{wrong}=" if exclusive else wrong
        yield _failing(column, option, f"{quote_identifier(column)} {compare} {_literal(value)}", path)


def _failing(column: str, option: str, expression: str, path: Path) -> Candidate:
    body = {"qualifier": option, "name": f"{option} of {column}", "expression": expression}
    return Candidate(column, "failed_rows", body, path)


def _literal(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text = value.isoformat() if isinstance(value, date) else str(value)
    return "'" + text.replace("'", "''") + "'"

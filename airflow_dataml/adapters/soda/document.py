"""A contract's document, rewritten where soda-core 4.28 would misread it."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_checks import AggregateCheck
from airflow_dataml.core.contract_yaml import write_yaml
from airflow_dataml.core.errors import ContractError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractColumn
    from airflow_dataml.core.contract_rules import Validity
    from airflow_dataml.core.refs import Relation

_TYPE = re.compile(
    r"(?P<base>[^(\[]+?)\s*(?:\((?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\)\s*(?P<tail>[a-z ]*))?"
)
# The names that Soda's catalog query gives; its own list of synonyms lacks several.
_TYPES = {
    "bool": "boolean",
    "bpchar": "character",
    "char": "character",
    "decimal": "numeric",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}
_SIZES = {
    "character": ("character_maximum_length",),
    "character varying": ("character_maximum_length",),
    "numeric": ("numeric_precision", "numeric_scale"),
    "time": ("datetime_precision",),
    "timestamp": ("datetime_precision",),
}


def soda_text(
    contract: Contract, relation: Relation, *, database: str, references: Mapping[str, Relation]
) -> str:
    """Return the YAML to hand to Soda.

    Types are spelled as the catalog does, because ``timestamptz`` would differ from ``timestamp with
    time zone``. An aggregate over a column with valid values gets an expression that leaves the others
    out, because Soda would aggregate those too.

    :raises ContractError: a table, schema or database is called what Soda cannot be told.
    """
    for place in (relation, *references.values()):
        _check_words(contract, database, place)
    document = contract.document_for(relation, database=database, references=references)
    for column, written in zip(contract.columns, document["columns"], strict=True):
        written.update(catalog_type(column.data_type) if column.data_type is not None else {})
        for check in written.get("checks", []):
            if "aggregate" in check:
                _leave_out_invalid(column, check["aggregate"])
    return write_yaml(document)


def _check_words(contract: Contract, database: str, relation: Relation) -> None:
    """Refuse names that Soda would take apart: it splits at a slash and puts variables in."""
    for word in (database, relation.schema, relation.name):
        if "/" in word or "${" in word:
            msg = (
                f"{contract.source}: Soda has no way to name {word!r}, because a slash ends a name and ${{ begins a "
                "variable there: verify with engine='native'."
            )
            raise ContractError(msg)


def catalog_type(text: str) -> dict[str, Any]:
    """Split a Postgres type into the name the catalog has and its sizes.

    >>> catalog_type("timestamptz(3)")
    {'data_type': 'timestamp with time zone', 'datetime_precision': 3}
    >>> catalog_type("numeric(10, 2)")
    {'data_type': 'numeric', 'numeric_precision': 10, 'numeric_scale': 2}
    >>> catalog_type("text[]")
    {'data_type': 'ARRAY'}
    """
    plain = " ".join(text.lower().split())
    if plain.endswith("[]"):
        return {"data_type": "ARRAY"}
    found = _TYPE.fullmatch(plain)
    if found is None:
        return {"data_type": text}
    base = f"{found['base']} {found['tail'] or ''}".strip()
    name = _TYPES.get(base, base)
    sizes = [int(size) for size in (found["first"], found["second"]) if size is not None]
    keys = next((keys for start, keys in _SIZES.items() if name.startswith(start)), ())
    return {"data_type": name} | dict(zip(keys, sizes, strict=False))


def _leave_out_invalid(column: ContractColumn, body: dict[str, Any]) -> None:
    check = AggregateCheck.model_validate(body)
    validity = check if check.defines_validity else column
    missing = check if check.defines_missing else column
    value = check.column_expression or column.column_expression or quote_identifier(column.name)
    conditions = [*_valid(validity, value), *(f"NOT ({condition})" for condition in _missing(missing, value))]
    if validity.defines_validity and conditions:
        body["column_expression"] = f"CASE WHEN {' AND '.join(conditions)} THEN {value} END"


def _valid(rules: Validity, value: str) -> list[str]:
    conditions = []
    if rules.valid_values is not None:
        conditions.append(f"{value} IN ({_literals(rules.valid_values)})")
    if rules.invalid_values is not None:
        conditions.append(f"{value} NOT IN ({_literals(rules.invalid_values)})")
    if rules.valid_format is not None:
        conditions.append(f"{value} ~ {_literal(rules.valid_format.regex)}")
    if rules.invalid_format is not None:
        conditions.append(f"{value} !~ {_literal(rules.invalid_format.regex)}")
    bounds = (
        (rules.valid_min, f"{value} >="),
        (rules.valid_max, f"{value} <="),
        (rules.valid_length, f"length({value}) ="),
        (rules.valid_min_length, f"length({value}) >="),
        (rules.valid_max_length, f"length({value}) <="),
    )
    return conditions + [f"{left} {bound}" for bound, left in bounds if bound is not None]


def _missing(rules: Validity, value: str) -> list[str]:
    conditions = (
        [f"{value} IN ({_literals(rules.missing_values)})"] if rules.missing_values is not None else []
    )
    if rules.missing_format is not None:
        conditions.append(f"{value} ~ {_literal(rules.missing_format.regex)}")
    return conditions


def _literals(values: list[Any]) -> str:
    return ", ".join(map(_literal, values))


def _literal(value: Any) -> str:
    """Write a value as SQL.

    >>> _literal("O'Hare"), _literal(True), _literal(3)
    ("'O''Hare'", 'TRUE', '3')
    """
    if isinstance(value, bool):
        return str(value).upper()
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str | date) else str(value)

"""A contract in the Open Data Contract Standard: natively where it has the words, else as Soda's own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_checks import (
    Check,
    DuplicateCheck,
    FailedRowsCheck,
    FreshnessCheck,
    InvalidCheck,
    MetricCheck,
)
from airflow_dataml.core.contract_rules import VARIABLE, Missing, Threshold, Validity
from airflow_dataml.core.contract_text import write_readable
from airflow_dataml.core.odcs_terms import (
    API_VERSION,
    COLUMN_PROPERTY,
    CONTRACT_PROPERTY,
    logical_type,
    operators_of,
    sla_unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

_OPTIONS = {
    "string": {"valid_min_length": "minLength", "valid_max_length": "maxLength", "valid_format": "pattern"},
    "integer": {"valid_min": "minimum", "valid_max": "maximum"},
    "number": {"valid_min": "minimum", "valid_max": "maximum"},
}
_RULES = {"missing": "nullCheck", "duplicate": "duplicateCount", "row_count": "rowCount"}
_ZERO = {"mustBe": 0}


def odcs_document(
    contract: Contract,
    *,
    version: str = "1.0.0",
    status: str = "active",
    owner: str | None = None,
    host: str | None = None,
    port: int = 5432,
) -> dict[str, Any]:
    """Return a contract as a document of the standard; see :func:`airflow_dataml.core.odcs.export_odcs`."""
    source, *place, table = contract.dataset.split("/")
    # A server of type postgres must name all of its places.
    whole = host is not None and len(place) > 1
    server: dict[str, Any] = {"server": source, "type": "postgres" if whole else "custom"}
    server |= {"host": host, "port": port} if host else {}
    server |= {"database": "/".join(place[:-1])} if place[:-1] else {}
    server |= {"schema": place[-1]} if place else {}
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"dataml://dataset/{contract.dataset}")),
        "version": version,
        "status": status,
        "name": table,
        "servers": [server],
        "schema": [_table(contract, table)],
    }
    if levels := [level for check in contract.checks for level in _service_level(contract, check, table)]:
        document["slaProperties"] = levels
    if owner:
        document["team"] = [{"username": owner, "role": "owner"}]
    return document


def _table(contract: Contract, table: str) -> dict[str, Any]:
    written = contract.document
    natively = {"dataset", "columns", "checks" if written.get("checks") else "", *_described(written)}
    rest = {name: value for name, value in written.items() if name not in natively}
    columns = zip(contract.columns, written["columns"], strict=True)
    keys = _primary_key(contract)
    return {
        "name": table,
        "physicalName": table,
        "physicalType": "table",
        "logicalType": "object",
        **_described(written),
        "quality": _quality(contract, None, written.get("checks") or []),
        "properties": [_property(contract, column, body, keys) for column, body in columns],
        "customProperties": [{"property": CONTRACT_PROPERTY, "value": rest}],
    }


def _property(
    contract: Contract, column: ContractColumn, written: dict[str, Any], keys: tuple[str, ...]
) -> dict[str, Any]:
    type_ = {"physicalType": column.data_type} if column.data_type else {}
    logical = logical_type(column.data_type) if column.data_type else None
    natively = {"name", "checks", *_described(written), *(["data_type"] if type_ else [])}
    rest = {name: value for name, value in written.items() if name not in natively}
    found: dict[str, Any] = {"name": column.name}
    found |= {"logicalType": logical} if logical else {}
    found |= type_ | _described(written)
    if column.name in keys:
        found |= {"primaryKey": True, "primaryKeyPosition": keys.index(column.name) + 1}
    found |= {"required": True} if _refuses(contract, "missing", column.name) else {}
    found |= {"unique": True} if _refuses(contract, "duplicate", column.name) else {}
    if options := _options(contract, column, logical):
        found["logicalTypeOptions"] = options
    if quality := _quality(contract, column.name, written.get("checks") or []):
        found["quality"] = quality
    if rest:
        found["customProperties"] = [{"property": COLUMN_PROPERTY, "value": rest}]
    return found


def _described(written: dict[str, Any]) -> dict[str, Any]:
    text = written.get("description")
    return {"description": text} if isinstance(text, str) and text else {}


def _quality(contract: Contract, column: str | None, written: list[Any]) -> list[dict[str, Any]]:
    """Every check in Soda's own words, and before it in the standard's where it has them."""
    checks = [check for check in contract.checks if check.column == column]
    rules: list[dict[str, Any]] = []
    for check, body in zip(checks, written, strict=True):
        about: dict[str, Any] = {"name": check.body.name} if check.body.name else {}
        if check.level == "warn":
            about["severity"] = "warning"
        rules += [about | rule for rule in _native(contract, check)]
        rules.append({"type": "custom", **about, "engine": "soda", "implementation": _implementation(body)})
    return rules


def _implementation(body: Any) -> str:
    text = write_readable(body)
    return text if text.count("\n") > 1 else text.strip()


def _native(contract: Contract, check: ContractCheck) -> Iterator[dict[str, Any]]:
    body = check.body
    if not _is_plain(contract, body):
        return
    operators = operators_of(body.thresholds or Threshold(), default=body.default)
    if operators is None:
        return
    hard = operators == _ZERO and body.level == "fail"
    unit = {"unit": "percent"} if body.unit == "%" else {}
    if check.type in _RULES and not isinstance(body, DuplicateCheck):
        if not (hard and check.column):
            yield {"type": "library", "rule": _RULES[check.type], **operators, **unit}
    elif isinstance(body, InvalidCheck) and set(_facets(contract, check)) == {"valid_values"}:
        values = _facets(contract, check)["valid_values"]
        yield {"type": "library", "rule": "validValues", "validValues": values, **operators, **unit}
    elif isinstance(body, FailedRowsCheck) and body.expression and not unit:
        yield {
            "type": "sql",
            "query": f"SELECT COUNT(*) FROM ${{object}} WHERE {body.expression}",
            **operators,
        }
    elif isinstance(body, MetricCheck) and (body.expression or body.query):
        yield {
            "type": "sql",
            "query": body.query or f"SELECT {body.expression} FROM ${{object}}",
            **operators,
        }


def _is_plain(contract: Contract, body: Check) -> bool:
    """Whether a check looks at every row of the table, as rules of the standard do."""
    sql = " ".join(str(getattr(body, name, None) or "") for name in ("expression", "query"))
    filtered = contract.document.get("filter") or getattr(body, "filter", None)
    return not filtered and not getattr(body, "column_expression", None) and not VARIABLE.search(sql)


def _refuses(contract: Contract, type_: str, column: str) -> bool:
    """Whether a check of a type refuses every single miss in a column."""
    return any(
        check.type == type_ and check.column == column and _hard(contract, check) for check in contract.checks
    )


def _hard(contract: Contract, check: ContractCheck) -> bool:
    body = check.body
    zero = operators_of(body.thresholds or Threshold(), default=body.default) == _ZERO
    column = next((c for c in contract.columns if c.name == check.column), None)
    replaced = column is not None and column.column_expression
    return zero and body.level == "fail" and _is_plain(contract, body) and not replaced


def _facets(contract: Contract, check: ContractCheck) -> dict[str, Any]:
    """The rules of validity a check goes by: its own, or else its column's."""
    body = check.body
    column = next(c for c in contract.columns if c.name == check.column)
    rules = body if isinstance(body, Validity) and body.defines_validity else column
    names = [name for name in Validity.model_fields if name not in Missing.model_fields]
    return {name: getattr(rules, name) for name in names if getattr(rules, name) is not None}


def _options(contract: Contract, column: ContractColumn, logical: str | None) -> dict[str, Any]:
    """Bounds that hold for every value; where two checks bound one thing, the first is told."""
    options: dict[str, Any] = {}
    words = _OPTIONS.get(logical or "", {})
    for check in contract.checks:
        if check.type == "invalid" and check.column == column.name and _hard(contract, check):
            for name, value in _facets(contract, check).items():
                plain = value.regex if name == "valid_format" else value
                if name in words and not VARIABLE.search(str(plain)):
                    options.setdefault(words[name], plain)
    return options


def _primary_key(contract: Contract) -> tuple[str, ...]:
    """The columns that together name a row and are never missing."""
    return next(
        (
            tuple(check.body.columns)
            for check in contract.checks
            if isinstance(check.body, DuplicateCheck)
            and _hard(contract, check)
            and all(_refuses(contract, "missing", name) for name in check.body.columns)
        ),
        (),
    )


def _service_level(contract: Contract, check: ContractCheck, table: str) -> Iterator[dict[str, Any]]:
    body = check.body
    if not isinstance(body, FreshnessCheck) or not _is_plain(contract, body) or body.level != "fail":
        return
    limit = body.threshold.must_be_less_than
    limit = limit if limit is not None else body.threshold.must_be_less_than_or_equal
    if isinstance(limit, int | float):
        unit = sla_unit(body.threshold.unit)
        yield {"property": "freshness", "value": limit, "unit": unit, "element": f"{table}.{body.column}"}

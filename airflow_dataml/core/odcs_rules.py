"""Quality rules of the Open Data Contract Standard, read as checks of Soda's language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_dataml.core.contract_checks import COLUMN_CHECKS, DATASET_CHECKS
from airflow_dataml.core.contract_yaml import read_yaml
from airflow_dataml.core.errors import ContractError
from airflow_dataml.core.odcs_terms import OBJECT, OPERATORS, PROPERTY, level_of, threshold_of
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.core.contract_yaml import Path

_ABOUT = ("dimension", "businessImpact", "method", "tags")
_KNOWN = (
    *_ABOUT, *OPERATORS, "id", "name", "description", "type", "rule", "metric", "arguments", "validValues",
    "unit", "query", "engine", "implementation", "severity",
)  # fmt: skip
# One aggregate of one table, perhaps under a condition: it can run on whatever table is verified.
_SIMPLE = re.compile(
    r"select\s+(?P<what>.+?)\s+from\s+\0(?:\s+where\s+(?P<where>.+?))?\s*;?\Z", re.IGNORECASE | re.DOTALL
)
_BEYOND = re.compile(r"\b(?:select|join|group|having|order|limit|union|window|over)\b|\0", re.IGNORECASE)
_CALL = re.compile(r"\w+\s*\([^()]*\)\Z")
_COUNT = re.compile(r"count\s*\(\s*(?:\*|1)\s*\)\Z", re.IGNORECASE)


class Unsaid(ValueError):
    """A rule of the standard that Soda's language has no words for; the text says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A check that a place of the standard asks for.

    :param own: written in Soda's words; it is taken as it is.
    """

    column: str | None
    type: str
    body: dict[str, Any] | None
    path: Path
    own: bool = False

    @property
    def written(self) -> dict[str, Any]:
        """The check as a contract holds it."""
        return {self.type: self.body}


def check_of(rule: Mapping[str, Any], *, column: str | None, relation: Relation, path: Path) -> Candidate:
    """Read one rule of a table's or a property's ``quality``.

    :param column: the property's column; ``None`` for a rule on the table.
    :param relation: the table, where a query has to name it.
    :raises Unsaid: Soda has no such check, or the rule is not whole.
    """
    if not rule:
        msg = "is no rule of keys and values"
        raise Unsaid(msg)
    kind = rule.get("type") or ("sql" if "query" in rule else "library")
    if kind == "text":
        words = "is words, which no engine can check"
        raise Unsaid(words)
    if kind == "custom":
        return _custom(rule, column, path)
    if kind not in ("library", "sql"):
        msg = f"{kind!r} is no type of rule; known: library, sql, custom, text"
        raise Unsaid(msg)
    try:
        threshold = threshold_of(rule)
    except ValueError as err:
        raise Unsaid(str(err)) from err
    type_, body = _sql(rule, column, relation) if kind == "sql" else _library(rule, column, bool(threshold))
    if kind == "sql" and not threshold:
        msg = f"compares with nothing; write one of {', '.join(OPERATORS)}"
        raise Unsaid(msg)
    if kind == "library":
        threshold |= _metric(rule.get("unit"))
    if threshold.get("must_be") == 0 and type_ in ("missing", "duplicate", "invalid", "failed_rows"):
        threshold.pop("must_be")
        threshold.pop("metric", None)
    if level_of(rule.get("severity")) == "warn":
        threshold["level"] = "warn"
    full = _about(rule) | body | ({"threshold": threshold} if threshold else {})
    return _valid(Candidate(column, type_, full or None, path))


def unread_keys(rule: Mapping[str, Any]) -> list[str]:
    """The keys of a rule that say something and were not read."""
    return [name for name, value in rule.items() if name not in _KNOWN and value not in (None, [], "")]


def _about(rule: Mapping[str, Any]) -> dict[str, Any]:
    name = rule.get("name") or rule.get("description")
    attributes = {word: rule[word] for word in _ABOUT if rule.get(word)}
    about = {"name": str(name).strip()} if name else {}
    return about | ({"attributes": attributes} if attributes else {})


def _metric(unit: object) -> dict[str, Any]:
    if unit in (None, "rows", "row"):
        return {}
    if unit in ("percent", "%"):
        return {"metric": "percent"}
    msg = f"counts in {unit!r}; Soda counts in rows or percent"
    raise Unsaid(msg)


def _library(rule: Mapping[str, Any], column: str | None, compares: bool) -> tuple[str, dict[str, Any]]:
    name = str(rule.get("metric") or rule.get("rule"))
    arguments = rule["arguments"] if isinstance(rule.get("arguments"), dict) else {}
    read = (_ON_COLUMN if column is not None else _ON_TABLE).get(name)
    if read is None:
        where = "a property" if column is not None else "a table"
        known = ", ".join(_ON_COLUMN if column is not None else _ON_TABLE)
        msg = f"the library rule {name!r} is not known on {where}; known: {known}"
        raise Unsaid(msg)
    if not compares and name == "rowCount":
        msg = f"the rule {name!r} compares with nothing; write one of {', '.join(OPERATORS)}"
        raise Unsaid(msg)
    return read(rule, arguments)


def _missing(_: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    values = [value for value in arguments.get("missingValues") or () if value is not None]
    return "missing", {"missing_values": values} if values else {}


def _invalid(rule: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    values = rule.get("validValues") or arguments.get("validValues") or ()
    body: dict[str, Any] = {}
    if known := [value for value in values if value is not None]:
        body["valid_values"] = known
    if pattern := arguments.get("pattern"):
        body["valid_format"] = {"regex": pattern, "name": "pattern"}
    if not body:
        msg = "says nothing about which values are valid; Soda reads validValues and pattern"
        raise Unsaid(msg)
    return "invalid", body


def _repeated(_: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    columns = arguments.get("properties")
    if not columns:
        msg = "names no properties; a table's rows repeat in some columns, so write arguments: {properties: [...]}"
        raise Unsaid(msg)
    return "duplicate", {"columns": list(columns)}


_ON_COLUMN: dict[str, Callable[..., tuple[str, dict[str, Any]]]] = {
    "nullValues": _missing,
    "nullCheck": _missing,
    "missingValues": _missing,
    "duplicateValues": lambda *_: ("duplicate", {}),
    "duplicateCount": lambda *_: ("duplicate", {}),
    "unique": lambda *_: ("duplicate", {}),
    "invalidValues": _invalid,
    "validValues": _invalid,
}
_ON_TABLE: dict[str, Callable[..., tuple[str, dict[str, Any]]]] = {
    "rowCount": lambda *_: ("row_count", {}),
    "duplicateValues": _repeated,
    "duplicateCount": _repeated,
}


def _sql(rule: Mapping[str, Any], column: str | None, relation: Relation) -> tuple[str, dict[str, Any]]:
    query = str(rule.get("query") or "").strip()
    if not query:
        msg = "is a rule in SQL without a query"
        raise Unsaid(msg)
    if column is not None:
        query = PROPERTY.sub(lambda _: quote_identifier(column), query)
    query = OBJECT.sub("\0", query)
    found = _SIMPLE.match(query)
    what, where = (found["what"], found["where"]) if found else ("", None)
    if found is None or _BEYOND.search(f"{what} {where or ''}"):
        return "metric", {"query": query.replace("\0", relation.quoted)}
    if where is None:
        return "metric", {"expression": what}
    if _COUNT.match(what):
        return "failed_rows", {"expression": where}
    if _CALL.match(what):
        return "metric", {"expression": f"{what} FILTER (WHERE {where})"}
    return "metric", {"query": query.replace("\0", relation.quoted)}


def _custom(rule: Mapping[str, Any], column: str | None, path: Path) -> Candidate:
    engine, implementation = rule.get("engine"), rule.get("implementation")
    if engine != "soda":
        msg = f"is for the engine {engine!r}, and only soda's checks can be read"
        raise Unsaid(msg)
    try:
        is_text = isinstance(implementation, str)
        body = read_yaml(str(implementation), source="implementation").value if is_text else implementation
    except ContractError as err:
        raise Unsaid(str(err)) from err
    types = COLUMN_CHECKS if column is not None else DATASET_CHECKS
    if not isinstance(body, dict) or len(body) != 1 or next(iter(body)) not in types:
        msg = f"is not a check of Soda 4: one key out of {', '.join(types)}, and what belongs to it under it"
        raise Unsaid(msg)
    ((type_, inside),) = body.items()
    return _valid(Candidate(column, type_, inside, path, own=True))


def _valid(candidate: Candidate) -> Candidate:
    types = COLUMN_CHECKS if candidate.column is not None else DATASET_CHECKS
    try:
        types[candidate.type].model_validate(candidate.body or {})
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or candidate.type
        msg = f"makes no {candidate.type} check: {place}: {str(first['msg']).removeprefix('Value error, ')}"
        raise Unsaid(msg) from err
    return candidate

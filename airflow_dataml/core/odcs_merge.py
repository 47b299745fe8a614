"""Checks gathered from all over a document, put together so that nothing is promised twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_compare import Direction, Promise, compare_checks
from airflow_dataml.core.contract_text import write_readable
from airflow_dataml.core.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.core.odcs_rules import Candidate

# An old check implies a new one that is no stricter.
_IMPLIED = (Direction.LOOSER, Direction.OPENER, Direction.SOFT, Direction.WORDS)
_NUMBERED = "_candidate_"


def merge(document: dict[str, Any], candidates: Sequence[Candidate], *, source: str) -> dict[str, Any]:
    """Add checks to a contract's document: those in Soda's words as they are, others if they say something new.

    :param document: with its columns, without checks.
    :raises ContractError: the whole is no contract.
    """
    own = [candidate for candidate in candidates if candidate.own]
    others = [candidate for candidate in candidates if not candidate.own]
    promises = _promises(document, own, source), _promises(document, others, source)
    kept, said = list(own), list(promises[0])
    for candidate, promise in zip(others, promises[1], strict=True):
        if not any(_implies(known, promise) for known in said):
            kept.append(candidate)
            said.append(promise)
    return _document(document, _joined(kept), source)


def _promises(document: dict[str, Any], candidates: Sequence[Candidate], source: str) -> list[Promise]:
    """The checks as parts of a contract, in order; each gets a qualifier, so that none is there twice."""
    if not candidates:
        return []
    bodies = [
        (c.column, {c.type: dict(c.body or {}) | {"qualifier": f"{_NUMBERED}{index}"}})
        for index, c in enumerate(candidates)
    ]
    contract = _contract(
        {name: value for name, value in document.items() if name != "x-dataml"}, bodies, source
    )
    order = {str(check.body.qualifier): check for check in contract.checks}
    return [Promise(contract, order[f"{_NUMBERED}{index}"]) for index in range(len(candidates))]


def _implies(known: Promise, promise: Promise) -> bool:
    if (known.check.type, known.check.column) != (promise.check.type, promise.check.column):
        return False
    return all(finding.direction in _IMPLIED for finding in compare_checks(known, promise))


def _joined(kept: Sequence[Candidate]) -> list[tuple[str | None, dict[str, Any]]]:
    """Written checks; bounds of one column become one check, and no two have the same name."""
    bodies: list[tuple[str | None, dict[str, Any]]] = []
    bounds: dict[str | None, dict[str, Any]] = {}
    for candidate in kept:
        body = dict(candidate.body or {})
        if candidate.own or candidate.type != "invalid" or not _only_bounds(body):
            bodies.append((candidate.column, candidate.written))
        elif candidate.column in bounds and not set(bounds[candidate.column]) & set(body):
            bounds[candidate.column].update(body)
        else:
            bounds[candidate.column] = body
            bodies.append((candidate.column, {"invalid": body}))
    return _qualified(bodies)


def _only_bounds(body: dict[str, Any]) -> bool:
    return all(name.startswith("valid_") and name != "valid_reference_data" for name in body)


def _qualified(
    bodies: Sequence[tuple[str | None, dict[str, Any]]],
) -> list[tuple[str | None, dict[str, Any]]]:
    seen: set[tuple[str | None, str, str]] = set()
    found: list[tuple[str | None, dict[str, Any]]] = []
    for column, check in bodies:
        ((type_, body),) = check.items()
        wanted = str((body or {}).get("qualifier", ""))
        qualifier, number = wanted, 1
        while (column, type_, qualifier) in seen:
            number += 1
            qualifier = f"{wanted or 'odcs'}_{number}"
        seen.add((column, type_, qualifier))
        written = (
            body
            if qualifier == wanted
            else {"qualifier": qualifier} | {k: v for k, v in (body or {}).items() if k != "qualifier"}
        )
        found.append((column, {type_: written}))
    return found


def _document(
    document: dict[str, Any], bodies: Iterable[tuple[str | None, dict[str, Any]]], source: str
) -> dict[str, Any]:
    whole = _filled(document, bodies)
    _contract(document, bodies, source)
    return whole


def _filled(document: dict[str, Any], bodies: Iterable[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    checks: dict[str | None, list[dict[str, Any]]] = {}
    for column, body in bodies:
        checks.setdefault(column, []).append(body)
    columns = [
        column | ({"checks": checks[column["name"]]} if column["name"] in checks else {})
        for column in document["columns"]
    ]
    first = {name: document[name] for name in ("dataset", "description") if name in document}
    rest = {name: value for name, value in document.items() if name not in (*first, "columns", "checks")}
    listed = checks.get(None, document.get("checks"))
    return first | ({"checks": listed} if listed is not None else {}) | {"columns": columns} | rest


def _contract(
    document: dict[str, Any], bodies: Iterable[tuple[str | None, dict[str, Any]]], source: str
) -> Contract:
    try:
        return Contract.from_text(write_readable(_filled(document, bodies)), source="the contract")
    except ContractError as err:
        msg = f"{source} makes no contract: {err}"
        raise ContractError(msg) from err

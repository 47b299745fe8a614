"""A contract with the values of its variables put in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_dataml.core.contract_rules import VARIABLE, Comparison, Part, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_checks import Check, FreshnessCheck
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

Model = TypeVar("Model", bound=Part)
# What gives another answer tomorrow on the same rows, or reads more than the row it stands on.
_MOVING = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|age|random|nextval|"
    r"gen_random_uuid|txid_current|current_setting|pg_\w+)\s*\("
    r"|\b(?:current_(?:date|time|timestamp|user|role)|session_user|localtime|localtimestamp|select)\b"
    r"|'\s*(?:now|today|tomorrow|yesterday)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a contract asks for at one time, with nothing left to fill in.

    :param filter: condition on the rows the contract is about.
    :param bodies: check id -> what the check says, its variables replaced.
    :param problems: check id -> why it cannot be run, as a value that is no number.
    :param moments: the times that stand in the SQL in place of Soda's variables.
    :param data_timestamp: the time freshness is measured against.
    """

    contract: Contract
    filter: str | None
    columns: dict[str, ContractColumn]
    bodies: dict[str, Check]
    problems: dict[str, str]
    moments: tuple[str, ...]
    variables: dict[str, Any]
    now: datetime
    data_timestamp: datetime

    def checks(self) -> Iterator[tuple[ContractCheck, Check, ContractColumn | None]]:
        """Yield every check that can be run: as written, with its values, and its column."""
        for check in self.contract.checks:
            if check.id not in self.problems:
                yield check, self.bodies[check.id], self.columns.get(check.column or "")

    def moves(self, sql: str | None) -> bool:
        """Whether SQL may answer otherwise about the same rows, as time goes by or other tables change."""
        return sql is not None and (
            _MOVING.search(sql) is not None or any(moment in sql for moment in self.moments)
        )

    def measured_at(self, body: FreshnessCheck) -> datetime | None:
        """Return the time a freshness check counts back from; ``None`` where its variable holds no time."""
        if body.now_variable is None:
            return self.data_timestamp
        value = self.variables.get(body.now_variable)
        return parse_time(value) if isinstance(value, str) else None


def bind(
    contract: Contract, variables: Mapping[str, Any], *, data_timestamp: datetime | None = None
) -> Bound:
    """Put the values of its variables into a contract.

    :raises ContractError: a variable is missing, unknown or not the number it should be.
    """
    now = datetime.now(UTC)
    when = data_timestamp or now
    own = {"NOW": _iso(now), "DATA_TIMESTAMP": _iso(when)}
    values = contract.bind(variables)

    def look_up(namespace: str, name: str) -> Any:
        spaces: dict[str, Mapping[str, Any]] = {"var": values, "soda": own, "env": os.environ}
        return spaces.get(namespace, {}).get(name)

    def put(text: str) -> Any:
        return _put(text, look_up)

    for name in values:
        values[name] = put(values[name])

    written = contract.document.get("filter")
    bodies = {check.id: _fill(check.body, put) for check in contract.checks}
    columns = {column.name: _fill(column, put) for column in contract.columns}
    plain = str(put(written)).strip() if written else None
    return Bound(
        contract=contract,
        filter=plain,
        columns=columns,
        bodies=bodies,
        problems=dict(_problems(contract, columns, bodies, plain)),
        moments=tuple(own.values()),
        variables=values,
        now=now,
        data_timestamp=when,
    )


def parse_time(text: str) -> datetime | None:
    """Read an ISO time; ``None`` if it is none.

    >>> parse_time("2013-02-01T00:00:00Z")
    datetime.datetime(2013, 2, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def utc(time: datetime) -> datetime:
    """Return a time in UTC; one without a zone is taken to be in UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _iso(time: datetime) -> str:
    return utc(time).isoformat(timespec="seconds")


def _put(value: Any, look_up: Callable[[str, str], Any]) -> Any:
    """Replace variables in a text; one that stands alone keeps its type.

    >>> _put("${var.a}", lambda *_: 3), _put("km > ${ var.a }", lambda *_: 3), _put("${var.b}", lambda *_: None)
    (3, 'km > 3', '${var.b}')
    """
    if not isinstance(value, str):
        return value
    alone = VARIABLE.fullmatch(value)
    if alone is not None:
        found = look_up(*alone.groups())
        return value if found is None else found

    def replace(match: re.Match[str]) -> str:
        found = look_up(*match.groups())
        return match[0] if found is None else str(found)

    return VARIABLE.sub(replace, value)


def _fill(model: Model, put: Callable[[str], Any]) -> Model:
    update = {name: _filled(getattr(model, name), put) for name in model.model_fields_set}
    return model.model_copy(update=update)


def _filled(value: Any, put: Callable[[str], Any]) -> Any:
    if isinstance(value, Part):
        return _fill(value, put)
    if isinstance(value, list):
        return [_filled(item, put) for item in value]
    return put(value) if isinstance(value, str) else value


def _problems(
    contract: Contract, columns: Mapping[str, ContractColumn], bodies: Mapping[str, Check], where: str | None
) -> Iterator[tuple[str, str]]:
    for check in contract.checks:
        body = bodies[check.id]
        wrong = [text for text in _numbers(body.thresholds) if isinstance(text, bool | str)]
        left = [
            match[0]
            for text in (where or "", *_texts(body), *_texts(columns.get(check.column or "")))
            for match in VARIABLE.finditer(text)
        ]
        if left:
            yield check.id, f"there is no value for {left[0]}"
        elif wrong:
            yield check.id, f"a threshold must be a number, not {wrong[0]!r}"


def _numbers(comparison: Comparison | None) -> Iterator[Any]:
    for name in comparison.comparisons if comparison is not None else ():
        value = getattr(comparison, name)
        yield from value.bounds if isinstance(value, Range) else (value,)
    yield from _numbers(getattr(comparison, "additional", None)) if comparison is not None else ()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Part):
        for name in value.model_fields_set - {"checks", "attributes", "description"}:
            yield from _texts(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

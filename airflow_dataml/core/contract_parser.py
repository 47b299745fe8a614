"""The strict reader of contracts: every problem at once, each with its line, place and remedy."""

from __future__ import annotations

import difflib
import re
import typing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_dataml.core.contract_checks import COLUMN_CHECKS, DATASET_CHECKS, Check, FreshnessCheck
from airflow_dataml.core.contract_extension import EXTENSION
from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn, Document
from airflow_dataml.core.contract_rules import VARIABLE
from airflow_dataml.core.contract_yaml import Path, read_yaml
from airflow_dataml.core.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.contract_extension import Extension
    from airflow_dataml.core.contract_yaml import YamlText

Model = TypeVar("Model", bound=BaseModel)
_SHOWN = 10
_SHORT = re.compile(r"_(gt|lt)(e?)\Z")
_LONG = {"gt": "_greater_than", "lt": "_less_than", "e": "_or_equal", "": ""}
_SODA_VARIABLES = ("NOW", "DATA_TIMESTAMP")
_REASONS = {
    "scopes": "scopes run only with a closed Soda extension; write the condition as a 'filter'",
    "scope": "scopes run only with a closed Soda extension; write the condition as a 'filter'",
    "soda_runner": "Airflow schedules the verification",
    "soda_agent": "Airflow schedules the verification",
    "optional": "no open engine reads it; write 'schema: {allow_extra_columns: true}' and leave the column out",
}


class Parsed(NamedTuple):
    """What a contract file says.

    :param document: the YAML as plain values.
    """

    document: dict[str, Any]
    root: Document
    columns: tuple[ContractColumn, ...]
    checks: tuple[ContractCheck, ...]


def parse_contract(text: str, *, source: str) -> Parsed:
    """Read a contract, or list everything that is wrong with it.

    :raises ContractError: one line per problem: the source, the line, the place, and for an unknown key the known ones.
    """
    return _Parser(read_yaml(text, source=source)).parsed()


class _Parser:
    def __init__(self, text: YamlText) -> None:
        self._text = text
        self._problems: list[tuple[int, str]] = []

    def parsed(self) -> Parsed:
        document = self._text.value
        root = self._read(Document, document, ())
        columns, checks = self._columns(_list(document, "columns"))
        checks = [*self._checks(_list(document, "checks"), ("checks",), DATASET_CHECKS, None), *checks]
        self._check_identities(checks)
        if root is not None:
            self._check_variables(root, checks)
            self._check_extension(root.extension, columns, checks)
        if root is None or self._problems:
            raise self._error()
        return Parsed(self._text.value, root, tuple(columns), tuple(check for check, _ in checks))

    def _columns(self, items: list[Any]) -> tuple[list[ContractColumn], list[tuple[ContractCheck, Path]]]:
        columns: list[ContractColumn] = []
        checks: list[tuple[ContractCheck, Path]] = []
        for index, item in enumerate(items):
            path: Path = ("columns", index)
            column = self._read(ContractColumn, item, path)
            name = column.name if column is not None else str(index)
            checks += self._checks(_list(item, "checks"), (*path, "checks"), COLUMN_CHECKS, name)
            if name in {other.name for other in columns}:
                self._problem((*path, "name"), f"the column {name!r} is there twice")
            if column is not None:
                columns.append(column)
        return columns, checks

    def _checks(
        self, items: list[Any], path: Path, types: dict[str, type[Check]], column: str | None
    ) -> list[tuple[ContractCheck, Path]]:
        return [
            (check, (*path, index))
            for index, item in enumerate(items)
            if (check := self._one_check(item, (*path, index), types, column)) is not None
        ]

    def _one_check(
        self, item: Any, path: Path, types: dict[str, type[Check]], column: str | None
    ) -> ContractCheck | None:
        if isinstance(item, str):
            self._problem(path, f"write '{item}:' with a colon behind the check type")
            return None
        if not isinstance(item, dict) or len(item) != 1:
            self._problem(path, "a check is one key, its type, such as '- missing:'")
            return None
        ((name, body),) = item.items()
        if name not in types:
            places = ["the document's 'checks'", "a column's 'checks'"]
            here, there = places if column is None else reversed(places)
            elsewhere = name in (COLUMN_CHECKS if column is None else DATASET_CHECKS)
            unknown = self._unknown(name, types, "check type")
            self._problem((*path, name), f"goes under {there}, not under {here}" if elsewhere else unknown)
            return None
        check = self._read(types[name], {} if body is None else body, (*path, name))
        if check is None:
            return None
        words = ("columns", column) if column is not None else ()
        tail = (name,) if check.qualifier is None else (name, str(check.qualifier))
        return ContractCheck(".".join((*words, "checks", *tail)), name, column, check)

    def _check_identities(self, checks: list[tuple[ContractCheck, Path]]) -> None:
        seen: set[str] = set()
        for check, path in checks:
            if check.id in seen:
                self._problem(path, f"a second {check.id!r}; give it a 'qualifier' of its own")
            seen.add(check.id)
        if not checks and not self._problems:
            self._problem((), "holds no check; write at least 'checks: [{schema: }]'")

    def _check_variables(self, root: Document, checks: list[tuple[ContractCheck, Path]]) -> None:
        known = {"var": (*root.variables, "NOW"), "soda": _SODA_VARIABLES}
        for path, text in _texts(self._text.value, ()):
            for namespace, name in VARIABLE.findall(text):
                if namespace not in (*known, "env"):
                    self._problem(
                        path, self._unknown(namespace, ("var", "soda", "env"), "namespace of variables")
                    )
                elif namespace != "env" and name not in known[namespace]:
                    self._problem(
                        path, self._unknown(name, known[namespace], f"variable of ${{{namespace}.}}")
                    )
        for check, path in checks:
            now = check.body.now_variable if isinstance(check.body, FreshnessCheck) else None
            if now is not None and now not in known["var"]:
                place = (*path, check.type, "now_variable")
                self._problem(place, self._unknown(now, known["var"], "declared variable"))

    def _check_extension(
        self, extension: Extension, columns: list[ContractColumn], checks: list[tuple[ContractCheck, Path]]
    ) -> None:
        for path, name, what, known in extension.problems(columns, [check for check, _ in checks]):
            twice = f"a second {name!r}; give it a 'qualifier' of its own"
            self._problem((EXTENSION, *path), twice if known is None else self._unknown(name, known, what))

    def _read(self, model: type[Model], value: Any, path: Path) -> Model | None:
        if not isinstance(value, dict):
            self._problem(path, f"must be keys and values, not {value!r}")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as err:
            for detail in err.errors(include_url=False):
                location: Path = detail["loc"]
                self._problem((*path, *location), self._explain(model, location, dict(detail)))
            return None

    def _explain(self, model: type[BaseModel], location: Path, detail: dict[str, Any]) -> str:
        if detail["type"] == "extra_forbidden":
            return self._unknown(location[-1], _keys(_model_at(model, location[:-1])), "key")
        if detail["type"] == "missing":
            return "is required"
        if detail["type"] == "model_type":
            return f"must be keys and values, not {detail['input']!r}"
        message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        if detail["type"].endswith("too_short"):
            return "must not be empty"
        if detail["type"] == "value_error":
            return f"{message}, not {detail['input']!r}" if message.startswith("must") else message
        return f"must be {message[:1].lower()}{message[1:]}, not {detail['input']!r}"

    def _unknown(self, name: Any, known: typing.Iterable[str], what: str) -> str:
        names = sorted(known)
        spelled = _SHORT.sub(lambda found: _LONG[found[1]] + _LONG[found[2]], str(name))
        close = [spelled] if spelled in names else difflib.get_close_matches(spelled, names, n=3, cutoff=0.6)
        reason = f" ({_REASONS[name]})" if name in _REASONS else ""
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close and not reason else ""
        return f"{name!r} is not a known {what}{reason}.{hint} Known: {', '.join(names)}"

    def _problem(self, path: Path, message: str) -> None:
        self._problems.append((self._text.line(path), f"{self._text.where(path)}: {message}"))

    def _error(self) -> ContractError:
        shown = [text for _, text in sorted(self._problems, key=lambda problem: problem[0])][:_SHOWN]
        more = len(self._problems) - len(shown)
        return ContractError("\n".join(shown + ([f"... and {more} more"] if more else [])))


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inside in items:
        yield from _texts(inside, (*path, step))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], location: Path) -> type[BaseModel]:
    """The model that reads the mapping at a place inside another model's."""
    for step in location:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if step in fields:
            kinds = _models_in(fields[str(step)].annotation)
            model = kinds[0] if kinds else model
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]

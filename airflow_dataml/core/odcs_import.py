"""A document of the Open Data Contract Standard, read as a contract; what has no place in one is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_dataml.core.contract_yaml import read_yaml
from airflow_dataml.core.errors import ContractError, NotFoundError
from airflow_dataml.core.odcs_columns import column_promises, referring, type_options
from airflow_dataml.core.odcs_merge import merge
from airflow_dataml.core.odcs_rules import Candidate, Unsaid, check_of, unread_keys
from airflow_dataml.core.odcs_terms import (
    COLUMN_PROPERTY,
    CONTRACT_PROPERTY,
    freshness_unit,
    mappings,
    physical_name,
    postgres_type,
)
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.contract_yaml import Path, YamlText

_POSTGRES = ("postgres", "postgresql", "cloudsql", "custom")
# They name and date the document itself and promise nothing about the data.
_ROOT = (
    "apiVersion", "kind", "id", "version", "status", "name", "schema", "servers", "slaProperties", "description",
)  # fmt: skip
_TABLE = (
    "id", "name", "physicalName", "physicalType", "logicalType", "description", "quality", "properties",
    "customProperties", "relationships",
)  # fmt: skip
_PROPERTY = (
    "id", "name", "physicalName", "physicalType", "logicalType", "description", "primaryKey", "primaryKeyPosition",
    "required", "unique", "logicalTypeOptions", "quality", "customProperties", "relationships", "enum",
)  # fmt: skip
_SERVER = ("id", "server", "type", "host", "port", "database", "schema")


class Read(NamedTuple):
    """What a document of the standard says, in Soda's language.

    :param document: the contract as plain values.
    :param warnings: one line for each thing that has no place in it: source, line, place and reason.
    """

    document: dict[str, Any]
    warnings: tuple[str, ...]


def read_odcs(text: str, *, source: str, schema: str | None = None, server: str | None = None) -> Read:
    """Read a document of the standard; see :func:`airflow_dataml.core.odcs.import_odcs`."""
    reader = _Reader(read_yaml(text, source=source))
    document = reader.contract(schema, server)
    return Read(document, tuple(reader.warnings()))


class _Reader:
    def __init__(self, text: YamlText) -> None:
        self._text = text
        self._told: list[tuple[Path, str]] = []
        self._left: dict[str, list[Path]] = {}
        self._names: dict[str, str] = {}

    def contract(self, schema: str | None, server: str | None) -> dict[str, Any]:
        root = self._root()
        table, path = self._choose(root, schema)
        place = self._place(root, server)
        name = str(table.get("physicalName") or table["name"])
        relation = Relation(place[-1] if len(place) > 1 else "public", name)
        ours = _custom(table, CONTRACT_PROPERTY)
        document: dict[str, Any] = {"dataset": "/".join([*place, name])}
        if text := self._description(root, table):
            document["description"] = text
        properties = list(self._properties(table, path))
        self._names = {str(body["name"]): physical_name(body) for body, _ in properties}
        columns = [self._column(body, where, ours is not None) for body, where in properties]
        candidates = [
            *self._checks(table, path, relation, properties, referring(root, place)),
            *self._levels(root, table),
        ]
        if ours is None:
            candidates.append(Candidate(None, "schema", {"allow_other_column_order": True}, path))
        self._leave(root, _ROOT, ())
        self._leave(table, _TABLE, path)
        self._leave_custom(root, ())
        self._leave_custom(table, path)
        return merge(document | {"columns": columns} | (ours or {}), candidates, source=self._text.source)

    def warnings(self) -> Iterator[str]:
        told = [(self._text.line(path), f"{self._text.where(path)}: {why}") for path, why in self._told]
        for name, paths in self._left.items():
            more = f", here and in {len(paths) - 1} more places" if len(paths) > 2 else ", here and elsewhere"
            more = more if len(paths) > 1 else ""
            why = f"has no place in a contract of checks and is left out{more}"
            told.append((self._text.line((*paths[0], name)), f"{self._text.where((*paths[0], name))}: {why}"))
        return (text for _, text in sorted(told))

    def _root(self) -> dict[str, Any]:
        root = self._text.value
        wrong = ""
        if not isinstance(root, dict) or root.get("kind") != "DataContract":
            wrong = "is no document of the Open Data Contract Standard; it must say 'kind: DataContract'"
        elif not str(root.get("apiVersion")).startswith("v3."):
            wrong = f"is of apiVersion {root.get('apiVersion')!r}; only v3 can be read, so bring it to v3.0.2"
        elif not isinstance(root.get("schema"), list) or not root["schema"]:
            wrong = "describes no table; write at least one under 'schema'"
        if wrong:
            msg = f"{self._text.source} {wrong}."
            raise ContractError(msg)
        return dict(root)

    def _choose(self, root: dict[str, Any], wanted: str | None) -> tuple[dict[str, Any], Path]:
        tables = [table for table in mappings(root["schema"]) if table.get("name")]
        names = [str(table["name"]) for table in tables]
        if wanted is None and len(root["schema"]) == 1 and tables:
            wanted = names[0]
        if wanted is None:
            msg = f"{self._text.source} describes {len(names)} tables; name one: {', '.join(names)}."
            raise ContractError(msg)
        if wanted not in names:
            msg = f"{self._text.source}: {NotFoundError.from_available('table', wanted, names)}"
            raise ContractError(msg)
        table = tables[names.index(wanted)]
        return table, ("schema", root["schema"].index(table))

    def _place(self, root: dict[str, Any], wanted: str | None) -> list[str]:
        servers = [server for server in mappings(root.get("servers")) if server.get("server")]
        names = [str(server["server"]) for server in servers]
        if wanted is not None and wanted not in names:
            msg = f"{self._text.source}: {NotFoundError.from_available('server', wanted, names)}"
            raise ContractError(msg)
        if not servers:
            return ["dataml"]
        index = names.index(wanted) if wanted is not None else 0
        server, path = servers[index], ("servers", index)
        if server.get("type") not in _POSTGRES:
            self._tell((*path, "type"), f"{server.get('type')} is not PostgreSQL, where the checks will run")
        if wanted is None and len(names) > 1:
            self._tell(("servers",), f"the first of {len(names)} servers is taken: {names[0]}")
        self._leave(server, _SERVER, path)
        parts = [names[index], server.get("database"), server.get("schema")]
        return [str(part) for part in parts if part]

    def _description(self, root: dict[str, Any], table: dict[str, Any]) -> str:
        if table.get("description"):
            return str(table["description"])
        about = root.get("description") or {}
        if not isinstance(about, dict):
            return str(about)
        self._leave(about, ("purpose", "limitations", "usage"), ("description",))
        told = [str(about["purpose"])] if about.get("purpose") else []
        told += [f"{word.title()}: {about[word]}" for word in ("limitations", "usage") if about.get(word)]
        return "\n".join(told)

    def _properties(self, table: dict[str, Any], path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
        for index, body in enumerate(mappings(table.get("properties"))):
            where = (*path, "properties", index)
            if body.get("name"):
                yield body, where
            else:
                self._tell(where, "is no property with a name; left out")

    def _column(self, body: dict[str, Any], path: Path, ours: bool) -> dict[str, Any]:
        self._leave(body, _PROPERTY, path)
        self._leave_custom(body, path)
        column: dict[str, Any] = {"name": physical_name(body)}
        if body.get("description"):
            column["description"] = str(body["description"])
        physical = body.get("physicalType")
        data_type = physical if ours or not physical else postgres_type(str(physical))
        if data_type:
            column["data_type"] = data_type
        elif physical:
            self._tell(
                (*path, "physicalType"), f"{physical!r} is no type of PostgreSQL; any type is accepted"
            )
        elif body.get("logicalType") and not ours:
            why = f"{body['logicalType']!r} names no type of PostgreSQL; any type is accepted"
            self._tell((*path, "logicalType"), why)
        return column | (_custom(body, COLUMN_PROPERTY) or {})

    def _checks(
        self,
        table: dict[str, Any],
        path: Path,
        relation: Relation,
        properties: list[tuple[dict[str, Any], Path]],
        refer: Callable[[str, str], tuple[str, str]],
    ) -> Iterator[Candidate]:
        yield from self._rules(table, None, relation, path)
        keys = sorted(
            (_position(body), physical_name(body)) for body, _ in properties if body.get("primaryKey")
        )
        for body, where in properties:
            yield from self._rules(body, physical_name(body), relation, where)
            for candidate in column_promises(
                body, physical_name(body), where, alone=len(keys) == 1, refer=refer
            ):
                yield from self._said(candidate)
            for option in type_options(body, physical_name(body), where):
                yield from self._said(option)
        if len(keys) > 1:
            yield Candidate(None, "duplicate", {"columns": [name for _, name in keys]}, path)
        if table.get("relationships"):
            self._tell(
                (*path, "relationships"), "is left out; only a relationship of one property is checked"
            )

    def _rules(
        self, body: dict[str, Any], column: str | None, relation: Relation, path: Path
    ) -> Iterator[Candidate]:
        for index, rule in enumerate(mappings(body.get("quality"))):
            where = (*path, "quality", index)
            try:
                found = check_of(rule, column=column, relation=relation, path=where)
            except Unsaid as err:
                self._tell(where, f"{err}; left out")
            else:
                yield found if column is not None else self._in_table(found)
            for name in unread_keys(rule):
                self._left.setdefault(name, []).append(where)

    def _in_table(self, found: Candidate) -> Candidate:
        """A check of the whole table, with its columns as the table has them."""
        columns = (found.body or {}).get("columns")
        if found.own or not isinstance(columns, list):
            return found
        return replace(found, body=(found.body or {}) | {"columns": [self._names.get(c, c) for c in columns]})

    def _said(self, candidate: Candidate | tuple[Path, str]) -> Iterator[Candidate]:
        if isinstance(candidate, Candidate):
            yield candidate
        else:
            self._tell(*candidate)

    def _levels(self, root: dict[str, Any], table: dict[str, Any]) -> Iterator[Candidate]:
        for index, level in enumerate(mappings(root.get("slaProperties"))):
            path: Path = ("slaProperties", index)
            name, value = level.get("property"), level.get("value")
            of, _, column = str(level.get("element") or "").rpartition(".")
            unit = freshness_unit(level.get("unit"))
            if of and of not in (table["name"], table.get("physicalName")):
                continue
            if name != "freshness":
                self._tell(path, f"no check measures the service level {name!r}; left out")
            elif not column or unit is None or not isinstance(value, int | float):
                self._tell(
                    path, "freshness needs an element table.column, a number and a unit of min, h or d"
                )
            else:
                column = self._names.get(column, column)
                limit = {"unit": unit, "must_be_less_than_or_equal": value}
                yield Candidate(None, "freshness", {"column": column, "threshold": limit}, path)

    def _leave_custom(self, body: dict[str, Any], path: Path) -> None:
        for index, item in enumerate(mappings(body.get("customProperties"))):
            name = item.get("property")
            if name not in (CONTRACT_PROPERTY, COLUMN_PROPERTY):
                self._tell((*path, "customProperties", index), f"{name!r} says nothing to us; left out")

    def _leave(self, body: dict[str, Any], known: tuple[str, ...], path: Path) -> None:
        for name, value in body.items():
            silent = value is None or value is False or value in ("", [], {}, -1)
            if name not in (*known, "customProperties") and not silent:
                self._left.setdefault(name, []).append(path)

    def _tell(self, path: Path, why: str) -> None:
        self._told.append((path, why))


def _position(body: dict[str, Any]) -> int:
    position = body.get("primaryKeyPosition")
    return position if isinstance(position, int) else 0


def _custom(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    for item in mappings(body.get("customProperties")):
        if item.get("property") == name:
            value = item.get("value")
            kept = value if isinstance(value, dict) else {}
            return {key: rest for key, rest in kept.items() if key not in ("dataset", "columns", "name")}
    return None

"""Events with SQL, read again by a parser that knows the catalog's schemas.

What an event says of tables and columns of its SQL was guessed by its producer without schemas. Parsed with
them, a statement says which tables it reads (the target of an UPDATE, DELETE or MERGE too) and which columns
go where. Where the parser only knows tables, or does not understand the statement, the event stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_dataml.core.lineage_identity import is_ours
from airflow_dataml.core.openlineage import Claim, DatasetName, ObservedDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_dataml.core.column_lineage import ColumnParser, QueryLineage
    from airflow_dataml.core.openlineage import ObservedEvent

    Schema = tuple[tuple[str, str], ...]

_DIALECTS = {
    "postgres": "postgres", "postgresql": "postgres", "snowflake": "snowflake", "bigquery": "bigquery",
    "redshift": "redshift", "mysql": "mysql", "trino": "trino", "mssql": "tsql", "sqlserver": "tsql",
    "oracle": "oracle", "hive": "hive", "spark": "spark", "databricks": "databricks", "duckdb": "duckdb",
    "clickhouse": "clickhouse", "athena": "athena", "sqlite": "sqlite",
}  # fmt: skip


class SqlReading:
    """Amends events.

    :param parser: reads statements without running them, and keeps what it has read.
    """

    def __init__(self, parser: ColumnParser) -> None:
        self._parser = parser

    def amend(
        self,
        events: Sequence[ObservedEvent],
        *,
        schemas_of: Callable[[Sequence[DatasetName]], Mapping[DatasetName, Schema]],
    ) -> list[ObservedEvent]:
        """Return events with what their SQL says.

        :param schemas_of: the catalog's schemas of datasets.
        """
        read = {at: _Read(event, self._parser) for at, event in enumerate(events) if _readable(event)}
        self._read([*read.values()], schemas_of)
        return [read[at].rewritten() if at in read else event for at, event in enumerate(events)]

    def _read(
        self,
        read: Sequence[_Read],
        schemas_of: Callable[[Sequence[DatasetName]], Mapping[DatasetName, Schema]],
    ) -> None:
        self._fetch(read, {name for one in read for name in one.place.names}, schemas_of)
        for one in read:
            one.parse()
        # Tables that the producer overlooked.
        if overlooked := {name for one in read for name in one.unknown()}:
            found = self._fetch(read, overlooked, schemas_of)
            for one in read:
                if found & one.unknown():
                    one.parse()

    @staticmethod
    def _fetch(
        read: Sequence[_Read],
        names: set[DatasetName],
        schemas_of: Callable[[Sequence[DatasetName]], Mapping[DatasetName, Schema]],
    ) -> set[DatasetName]:
        if not names:
            return set()
        found = schemas_of(sorted(names))
        for one in read:
            one.catalog.append(found)
        return set(found)


@dataclass(slots=True)
class _Read:
    """The reading of one event.

    :param catalog: the catalog's schemas, as they were fetched.
    """

    event: ObservedEvent
    parser: ColumnParser
    place: _Place = field(init=False)
    catalog: list[Mapping[DatasetName, Schema]] = field(default_factory=list)
    told: tuple[QueryLineage | None, ...] = ()

    def __post_init__(self) -> None:
        self.place = _Place(self.event)

    def parse(self) -> None:
        """Read the statements with all that is known of tables."""
        if self.place.dialect is None:
            return
        schemas: dict[str, dict[str, str]] = {}
        for name in {*self.place.names, *self.unknown()}:
            if columns := self._columns(name):
                schemas[self.place.relation(name)] = dict(columns)
        self.told = self.parser.parse(
            self.event.sql or "",
            dialect=self.place.dialect,
            schemas=schemas,
            default_schema=self.place.schema,
        )

    def unknown(self) -> set[DatasetName]:
        """Return tables that statements read and the event does not name."""
        read = {relation for one in self.told if one for relation in one.inputs}
        return {self.place.dataset(relation) for relation in read} - self.place.names

    def _columns(self, name: DatasetName) -> Schema:
        """Return the columns a table had when the event was sent, else those the catalog has of it now."""
        said = next(
            (seen.columns for seen in self.event.datasets if seen.name == name and seen.columns), None
        )
        if said:
            return tuple((c.name, c.type) for c in said)
        return next((known for found in self.catalog if (known := found.get(name))), ())

    def rewritten(self) -> ObservedEvent:
        """Return the event with what the parser knows."""
        statements = [one for one in self.told if one is not None]
        understood = [one for one in statements if one.method not in ("table", "facet")]
        if not understood or len(understood) < len(statements):
            return self.event
        return _rewritten(self.event, understood, self.place)


class _Place:
    """Where the tables of an event's SQL are, by the datasets it names."""

    def __init__(self, event: ObservedEvent) -> None:
        first = (event.outputs or event.inputs)[0].name
        self._namespace = first.namespace
        self.names = {seen.name for seen in event.datasets}
        self.names |= {name for claim in event.claims for name in (claim.dst, *dict(claim.sources))}
        self._known = {self.relation(name): name for name in sorted(self.names)}
        self._database = ".".join(first.name.split(".")[:-2])
        self.dialect = _DIALECTS.get((event.dialect or first.namespace.split(":")[0]).lower())
        self.schema = self._default(event.sql or "")

    def _default(self, sql: str) -> str | None:
        """Return where bare names are: the schema of what the producer found that the text names without one."""
        bare = {
            relation.split(".")[0]
            for relation in self._known
            if "." in relation and not re.search(_qualified(relation), sql, re.IGNORECASE)
        }
        if len(bare) == 1:
            return bare.pop()
        return "public" if self.dialect == "postgres" else None

    @staticmethod
    def relation(name: DatasetName) -> str:
        """Return a dataset as a statement calls it: ``schema.table``."""
        return ".".join(name.name.split(".")[-2:])

    def dataset(self, relation: str) -> DatasetName:
        """Return the dataset of a table a statement names."""
        known = self._known.get(".".join(relation.split(".")[-2:]))
        if known:
            return known
        whole = relation.count(".") >= 2 or not self._database
        return DatasetName(self._namespace, relation if whole else f"{self._database}.{relation}")


def _rewritten(event: ObservedEvent, statements: Iterable[QueryLineage], place: _Place) -> ObservedEvent:
    described = {seen.name: seen for seen in event.datasets}
    inputs: dict[DatasetName, ObservedDataset] = {}
    outputs: dict[DatasetName, ObservedDataset] = {}
    claims: list[Claim] = []
    for statement in statements:
        target = place.dataset(statement.target) if statement.target else None
        sources = [(place.dataset(name), statement.column_map(name)) for name in statement.inputs]
        for name, _ in sources:
            inputs.setdefault(name, described.get(name) or ObservedDataset(name))
        if target:
            outputs.setdefault(target, described.get(target) or ObservedDataset(target))
            kept = tuple((name, columns if columns.flows else None) for name, columns in sources)
            claims.append(Claim(target, kept, complete=True))
    # Tables of temporary steps are inputs of nobody's; what the event names besides is left to it.
    for seen in event.inputs:
        if seen.name not in outputs and seen.name not in inputs:
            inputs[seen.name] = seen
    for seen in event.outputs:
        outputs.setdefault(seen.name, seen)
    claims += [claim for claim in event.claims if claim.dst not in {c.dst for c in claims}]
    return replace(
        event, inputs=tuple(inputs.values()), outputs=tuple(outputs.values()), claims=tuple(claims)
    )


def _readable(event: ObservedEvent) -> bool:
    """Say whether there is SQL to read; in that of our own operators names stand for versions, which they tell."""
    return bool(event.sql and event.datasets) and not any(map(is_ours, event.datasets))


def _qualified(relation: str) -> str:
    schema, table = map(re.escape, relation.split("."))
    return rf"\b{schema}\W{{0,3}}\.\W{{0,3}}{table}\b"

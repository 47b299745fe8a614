"""Events with SQL, read again by a parser that knows the catalog's schemas.

What an event says of tables and columns of its SQL was guessed by its producer without schemas. Parsed with
them, a statement says which tables it reads (the target of an UPDATE, DELETE or MERGE too) and which columns
go where. Where the parser only knows tables, or does not understand the statement, the event stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.openlineage import Claim, DatasetName, ObservedDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_dataml.core.column_lineage import ColumnParser, QueryLineage
    from airflow_dataml.core.openlineage import ObservedEvent

    Schema = tuple[tuple[str, str], ...]

_IN_PLACE = ("update", "delete", "merge")
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
        names = {seen.name for e in events if e.sql for seen in e.datasets}
        if not names:
            return list(events)
        catalog = schemas_of(sorted(names))
        return [self._amended(event, catalog) if event.sql and event.datasets else event for event in events]

    def _amended(self, event: ObservedEvent, catalog: Mapping[DatasetName, Schema]) -> ObservedEvent:
        place = _Place(event)
        schemas: dict[str, dict[str, str]] = {}
        for seen in event.datasets:
            columns = catalog.get(seen.name) or tuple((c.name, c.type) for c in seen.columns or ())
            if columns:
                schemas[place.relation(seen.name)] = dict(columns)
        if place.dialect is None:
            return event
        told = self._parser.parse(
            event.sql or "", dialect=place.dialect, schemas=schemas, default_schema=place.schema
        )
        statements = [one for one in told if one is not None]
        understood = [one for one in statements if one.method not in ("table", "facet")]
        if not understood or len(understood) < len(statements):
            return event
        return _rewritten(event, understood, place)


class _Place:
    """Where the tables of an event's SQL are, by the datasets it names."""

    def __init__(self, event: ObservedEvent) -> None:
        first = (event.outputs or event.inputs)[0].name
        self._namespace = first.namespace
        self._known = {self.relation(seen.name): seen.name for seen in event.datasets}
        parts = first.name.split(".")
        self._database = ".".join(parts[:-2])
        schemas = {seen.name.name.split(".")[-2] for seen in event.datasets if "." in seen.name.name}
        self.dialect = _DIALECTS.get((event.dialect or first.namespace.split(":")[0]).lower())
        default = "public" if self.dialect == "postgres" else None
        self.schema = schemas.pop() if len(schemas) == 1 else default

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
        if target and statement.statement in _IN_PLACE and target not in dict(sources):
            sources.append((target, statement.column_map(statement.target or "")))
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

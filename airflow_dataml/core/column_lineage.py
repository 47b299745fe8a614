"""Which columns a statement reads and writes, and the port of whoever can tell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Column

FlowKind = Literal["direct", "indirect"]
Via = Literal["value", "condition", "window", "filter", "join", "group", "sort"]
Method = Literal["declared", "analyzer", "sqlglot", "facet", "table"]
StatementKind = Literal["select", "insert", "create", "update", "delete", "merge", "copy", "other"]
# relation -> column -> type, in the order of the table's columns
Schemas = Mapping[str, Mapping[str, str]]

ANALYZER_CONFIDENCE = 1.0
PARSER_CONFIDENCE = 0.95
TABLE_CONFIDENCE = 0.3


@dataclass(frozen=True, slots=True, order=True)
class ColumnSource:
    """A column that something was made from.

    :param relation: ``schema.table`` of a table or view, as the catalog of schemas has it; with the database
        in front only where the statement names another one.
    :param kind: ``direct``, its values are in what comes out; ``indirect``, it decides what comes out.
    :param via: ``value``; or what it decides by: the condition of a CASE or FILTER, a window, a filter, a
        join, a grouping (DISTINCT too), a sort.
    """

    relation: str
    column: str
    kind: FlowKind = "direct"
    via: Via = "value"


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of one source went into which columns of one target.

    :param flows: target column, source column, kind and what by; an empty target column stands for every
        one, because what filters, joins, groups or sorts the rows decides all of them.
    """

    flows: tuple[tuple[str, str, FlowKind, Via], ...]
    method: Method
    confidence: float

    @property
    def mapping(self) -> list[list[str]]:
        """The flows as JSON, in the order that makes equal maps equal."""
        return [list(flow) for flow in sorted(set(self.flows))]

    @property
    def digest(self) -> str:
        """Content address: one statement run a thousand times has one."""
        text = json.dumps([self.mapping, self.method, self.confidence], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"mapping": self.mapping, "method": self.method, "confidence": self.confidence}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ColumnMap:
        """Read what ``to_dict`` wrote."""
        flows = tuple((flow[0], flow[1], flow[2], flow[3]) for flow in data["mapping"])
        return cls(flows, data["method"], data["confidence"])

    @classmethod
    def merged(cls, maps: Iterable[ColumnMap]) -> ColumnMap:
        """Return what several maps say of one source and one target; it is as sure as the least sure.

        >>> one, two = ColumnMap.declared([("a", "x")]), ColumnMap.declared([("b", "y")])
        >>> ColumnMap.merged([one, two]).mapping
        [['a', 'x', 'direct', 'value'], ['b', 'y', 'direct', 'value']]
        """
        found = list(maps)
        least = min(found, key=lambda m: (m.confidence, m.method))
        flows = sorted({flow for one in found for flow in one.flows})
        return cls(tuple(flows), least.method, least.confidence)

    @classmethod
    def declared(cls, columns: Iterable[tuple[str, str]]) -> ColumnMap:
        """Map of (target column, source column) that somebody wrote down."""
        return cls(tuple((out, src, "direct", "value") for out, src in columns), "declared", 1.0)


@dataclass(frozen=True, slots=True)
class QueryLineage:
    """What one statement reads and writes.

    :param outputs: columns that come out, or that are written, in order, each with the columns it is made
        from: those whose values are in it, and those that decide it alone (a CASE, a window).
    :param inputs: relations read; a written table only where its own rows are read.
    :param target: relation written; ``None`` for a SELECT.
    :param method: ``analyzer`` and ``sqlglot`` know columns; ``table`` knows relations alone, and may have
        guessed them from text.
    :param confidence: from 0 to 1 how sure this is.
    :param indirect: columns that decide which rows come out, for every output alike.
    :param statement: what kind of statement it is.
    :param reason: why columns are not known, where they are not.
    """

    outputs: tuple[tuple[str, tuple[ColumnSource, ...]], ...]
    inputs: tuple[str, ...]
    target: str | None
    method: Method
    confidence: float
    indirect: tuple[ColumnSource, ...] = ()
    statement: StatementKind = "select"
    reason: str | None = None

    def column_map(self, relation: str) -> ColumnMap:
        """Return what one relation gave to the outputs."""
        flows = [
            (name, source.column, source.kind, source.via)
            for name, sources in self.outputs
            for source in sources
            if source.relation == relation
        ]
        flows += [("", s.column, s.kind, s.via) for s in self.indirect if s.relation == relation]
        return ColumnMap(tuple(sorted(set(flows))), self.method, self.confidence)

    def direct(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return output column -> (relation, column) whose values are in it."""
        return {
            name: tuple((s.relation, s.column) for s in sources if s.kind == "direct")
            for name, sources in self.outputs
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "statement": self.statement,
            "target": self.target,
            "inputs": list(self.inputs),
            "outputs": [{"column": n, "sources": [_source(s) for s in found]} for n, found in self.outputs],
            "indirect": [_source(s) for s in self.indirect],
            "method": self.method,
            "confidence": self.confidence,
            "reason": self.reason,
        }


class ColumnParser(Protocol):
    """Something that reads statements without running them; it never raises on SQL it does not know."""

    def parse(
        self,
        sql: str,
        *,
        dialect: str = "postgres",
        schemas: Schemas | None = None,
        default_schema: str | None = None,
    ) -> tuple[QueryLineage | None, ...]:
        """Return one entry per statement of a text, ``None`` for one that moves no data (SET, COMMIT).

        :param dialect: whose SQL it is, by sqlglot's names: postgres, snowflake, spark, bigquery, duckdb ...
        :param schemas: the columns of tables and views by ``schema.table`` or bare name; what is not there
            costs columns their sources.
        :param default_schema: where a bare name is; names come out with it.
        """


class ColumnMaps(Protocol):
    """What the ledger can tell and keep of columns."""

    def analyze(
        self,
        query: str,
        *,
        inputs: Mapping[str, Sequence[Column]],
        parameters: Mapping[str, Any] | None = None,
    ) -> QueryLineage:
        """Return the lineage of a query over named inputs, from the database's own analysis; nothing is run.

        :param inputs: name in the query -> its columns; it comes out as ``pg_temp.name``.
        :raises DataMLError: the database does not understand the query, or did not answer in time.
        """

    def keep(self, part_id: int, maps: Mapping[int, ColumnMap]) -> None:
        """Remember which columns of which versions went into a part."""

    def of_parts(self, part_ids: Sequence[int]) -> dict[int, ColumnMap]:
        """Return, for every version that some parts were made from, which of its columns went into them."""


def _source(source: ColumnSource) -> dict[str, str]:
    return {"relation": source.relation, "column": source.column, "kind": source.kind, "via": source.via}

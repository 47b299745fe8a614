"""Column lineage of one analysed query tree of PostgreSQL."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.analyzer_nodes import TAG, Node, number
from airflow_dataml.core.column_flows import NOTHING, ROUNDS, Flows, Output, combine, merged, through

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.core.column_lineage import Via

SELECT, UPDATE, INSERT, DELETE, MERGE = 1, 2, 3, 4, 5
_EXCEPT = "3"
_MULTIPLE = "3"
_SUBLINKS_WITHOUT_VALUES = ("0",)
# Part of a node that decides rather than gives: node, field -> how.
_DECIDING: dict[tuple[str, str], Via] = {
    ("CASEEXPR", "arg"): "condition",
    ("CASEWHEN", "expr"): "condition",
    ("AGGREF", "aggfilter"): "condition",
    ("WINDOWFUNC", "aggfilter"): "condition",
}


class Kind(enum.IntEnum):
    """Kinds of range table entries, by the server's numbers."""

    RELATION, SUBQUERY, JOIN, FUNCTION, TABLE_FUNCTION, VALUES, CTE, NAMED_STORE, RESULT, GROUP = range(10)


@dataclass(slots=True)
class Catalog:
    """Names of relations by their oid, and what a statement has read so far.

    :param relations: oid -> (name, column number -> column).
    """

    relations: Mapping[int, tuple[str, Mapping[int, str]]]
    inputs: set[str] = field(default_factory=set)
    # Statements that write within a WITH, once each.
    writing: dict[int, Node] = field(default_factory=dict)

    def columns(self, oid: int) -> tuple[str, Mapping[int, str]]:
        """Return name and columns of a relation."""
        return self.relations.get(oid, (f"oid:{oid}", {}))


class Query:
    """One level of a query: its range table, and the levels around it."""

    def __init__(self, tree: Node, catalog: Catalog, outer: Query | None = None) -> None:
        self.tree = tree
        self.catalog = catalog
        self.outer = outer
        self.table: list[Node] = tree.get("rtable") or []
        self._outputs: dict[int, Output] = {}
        self._named: dict[str, Output] = {}
        self._excluded: dict[int, dict[int, Flows]] = {}

    def output(self) -> Output:
        """Return the columns of a SELECT, and what decides its rows."""
        rows = self.rows()
        targets = self.targets(self.tree.get("targetList"))
        names = tuple(t.get("resname") or "?column?" for t in targets)
        operations = self.tree.get("setOperations")
        if operations:
            whole = self._operation(operations)
            columns = whole.columns
            sort = merged(columns[number(t, "resno") - 1] for t in self._referenced("sortClause", columns))
            return Output(names, columns, rows | whole.rows | through(sort, "sort"))
        return Output(names, tuple(self.flows(t.get("expr")) for t in targets), rows)

    def rows(self) -> Flows:
        """Return what decides which rows there are: filters, joins, groupings and sorts."""
        tree = self.tree
        parts = [self._from(tree.get("jointree"))]
        for name in ("havingQual", "limitOffset", "limitCount"):
            parts.append(self.flows(tree.get(name), "filter"))
        if not tree.get("setOperations"):
            vias: tuple[tuple[str, Via], ...] = (
                ("groupClause", "group"),
                ("distinctClause", "group"),
                ("sortClause", "sort"),
            )
            parts += [
                self.flows(target.get("expr"), via)
                for clause, via in vias
                for target in self._referenced(clause)
            ]
        return merged(parts)

    def targets(self, targets: list[Node] | None) -> list[Node]:
        """Return the entries of a target list that come out."""
        return [t for t in targets or () if t.get("resjunk") != "true"]

    def flows(self, node: Any, via: Via = "value") -> Flows:
        """Return every column below a node, and what it is there for."""
        found: set[Any] = set()
        stack: list[tuple[Any, Via]] = [(node, via)]
        while stack:
            here, how = stack.pop()
            if isinstance(here, list):
                stack.extend((item, how) for item in here)
            elif isinstance(here, dict):
                found |= self._step(here, how, stack)
        return frozenset(found)

    def exclude(self, position: int, columns: dict[int, Flows]) -> None:
        """Let a range table entry stand for the row that an INSERT wanted to write."""
        self._excluded[position] = columns

    def _step(self, node: Node, via: Via, stack: list[tuple[Any, Via]]) -> Flows:
        tag = node[TAG]
        if tag == "VAR":
            return through(self._variable(node), via)
        if tag == "SUBLINK":
            stack.append((node.get("testexpr"), via))
            inner = Query(node["subselect"], self.catalog, self).output()
            valued = merged(inner.columns) if node["subLinkType"] not in _SUBLINKS_WITHOUT_VALUES else NOTHING
            return through(valued | inner.rows, via)
        if tag == "PARAM":
            return through(self._assigned_together(node), via)
        if tag == "AGGREF":
            return self._aggregate(node, via, stack)
        if tag == "WINDOWFUNC":
            stack.extend((item, _decided(via, "window")) for item in self._window(number(node, "winref")))
        for name, child in node.items():
            if child.__class__ in (dict, list):
                stack.append((child, _decided(via, _DECIDING.get((tag, name), "value"))))
        return NOTHING

    def _aggregate(self, node: Node, via: Via, stack: list[tuple[Any, Via]]) -> Flows:
        ordered = {number(item, "tleSortGroupRef") for item in node.get("aggorder") or ()}
        for target in node.get("args") or ():
            # An ordered-set aggregate has what it sorts as its argument.
            if node.get("aggkind") != "n" or target.get("resjunk") != "true":
                stack.append((target["expr"], via))
            if node.get("aggkind") == "n" and number(target, "ressortgroupref") in ordered:
                stack.append((target["expr"], _decided(via, "sort")))
        stack.append((node.get("aggdirectargs"), via))
        stack.append((node.get("aggfilter"), _decided(via, "condition")))
        return NOTHING

    def _window(self, reference: int) -> Iterator[Any]:
        for window in self.tree.get("windowClause") or ():
            if number(window, "winref") == reference:
                for clause in ("partitionClause", "orderClause"):
                    yield from (t["expr"] for t in self._targets_of(window.get(clause)))
                yield from (window.get("startOffset"), window.get("endOffset"))

    def _assigned_together(self, node: Node) -> Flows:
        """``SET (a, b) = (SELECT ...)``: which query and which of its columns is in one number."""
        if node.get("paramkind") != _MULTIPLE:
            return NOTHING
        query, column = divmod(number(node, "paramid"), 1 << 16)
        for target in self.tree.get("targetList") or ():
            link = target["expr"]
            if link[TAG] == "SUBLINK" and number(link, "subLinkId") == query:
                inner = Query(link["subselect"], self.catalog, self).output()
                return inner.columns[column - 1] | inner.rows
        return NOTHING

    def _variable(self, node: Node) -> Flows:
        level: Query | None = self
        for _ in range(number(node, "varlevelsup")):
            level = level.outer if level else None
        if level is None or not 0 < number(node, "varno") <= len(level.table):
            return NOTHING
        return level.column(number(node, "varno"), number(node, "varattno"))

    def column(self, position: int, attribute: int) -> Flows:
        """Return what a column of a range table entry is made from; 0 is the whole row, below are ctid and so on."""
        if attribute < 0:
            return NOTHING
        if position in self._excluded:
            columns = self._excluded[position]
            return columns.get(attribute, NOTHING) if attribute else merged(columns.values())
        entry = self.table[position - 1]
        kind = Kind(number(entry, "rtekind"))
        if kind is Kind.RELATION:
            name, known = self.catalog.columns(number(entry, "relid"))
            wanted = (
                [known[attribute]] if attribute in known else list(known.values()) if not attribute else []
            )
            return frozenset((name, column, "value") for column in wanted)
        if kind in (Kind.JOIN, Kind.GROUP):
            parts = entry.get("joinaliasvars" if kind is Kind.JOIN else "groupexprs") or []
            return self.flows(parts[attribute - 1] if attribute else parts)
        given = self._given(position, entry, kind)
        if not attribute or kind is Kind.FUNCTION:
            return merged(given.columns)
        return given.columns[attribute - 1] if attribute <= len(given.columns) else NOTHING

    def _given(self, position: int, entry: Node, kind: Kind) -> Output:
        if position in self._outputs:
            return self._outputs[position]
        if kind is Kind.SUBQUERY:
            found = Query(entry["subquery"], self.catalog, self).output()
        elif kind is Kind.CTE:
            return self._cte(entry)
        elif kind is Kind.VALUES:
            rows = entry.get("values_lists") or []
            found = Output(
                (), tuple(merged(self.flows(value) for value in column) for column in zip(*rows, strict=True))
            )
        elif kind is Kind.FUNCTION:
            found = Output((), (self.flows(entry.get("functions")),))
        elif kind is Kind.TABLE_FUNCTION:
            flows = self.flows(entry.get("tablefunc"))
            width = len((entry.get("eref") or {}).get("colnames") or ())
            found = Output((), (flows,) * width)
        else:
            found = Output((), ())
        self._outputs[position] = found
        return found

    def _cte(self, entry: Node) -> Output:
        level: Query | None = self
        for _ in range(number(entry, "ctelevelsup")):
            level = level.outer if level else None
        return level.named(entry["ctename"]) if level else Output((), ())

    def named(self, name: str) -> Output:
        """Return what a query of the WITH gives; one that reads itself is read until nothing new comes."""
        if name in self._named:
            return self._named[name]
        found = next(c for c in self.tree.get("cteList") or () if c.get("ctename") == name)
        tree = found["ctequery"]
        if number(tree, "commandType", SELECT) != SELECT:
            return self._written(name, tree)
        self._named[name] = before = Output((), ())
        for _ in range(ROUNDS):
            after = Query(tree, self.catalog, self).output()
            self._named[name] = after
            if found.get("cterecursive") != "true" or after == before:
                break
            before = after
        return self._named[name]

    def _written(self, name: str, tree: Node) -> Output:
        self.catalog.writing[id(tree)] = tree
        inner = Query(tree, self.catalog, self)
        returned = self.targets(tree.get("returningList"))
        columns = tuple(inner.flows(t.get("expr")) for t in returned)
        self._named[name] = Output(tuple(t["resname"] for t in returned), columns)
        return self._named[name]

    def _operation(self, node: Node) -> Output:
        if node[TAG] == "RANGETBLREF":
            position = number(node, "rtindex")
            return self._given(position, self.table[position - 1], Kind.SUBQUERY)
        left, right = self._operation(node["larg"]), self._operation(node["rarg"])
        return combine(left, right, subtracts=node["op"] == _EXCEPT)

    def _from(self, node: Node | None) -> Flows:
        if node is None:
            return NOTHING
        if node[TAG] == "RANGETBLREF":
            return self._read(number(node, "rtindex"))
        if node[TAG] == "JOINEXPR":
            sides = self._from(node.get("larg")) | self._from(node.get("rarg"))
            return sides | self.flows(node.get("quals"), "join")
        parts = [self._from(item) for item in node.get("fromlist") or ()]
        # A MERGE before release 17 keeps its ON here.
        via: Via = "join" if number(self.tree, "commandType", SELECT) == MERGE else "filter"
        return merged(parts) | self.flows(node.get("quals"), via)

    def _read(self, position: int) -> Flows:
        entry = self.table[position - 1]
        kind = Kind(number(entry, "rtekind"))
        if kind is Kind.RELATION:
            self.catalog.inputs.add(self.catalog.columns(number(entry, "relid"))[0])
            return NOTHING
        if kind in (Kind.SUBQUERY, Kind.CTE):
            return self._given(position, entry, kind).rows
        if kind in (Kind.FUNCTION, Kind.TABLE_FUNCTION, Kind.VALUES):
            # Functions and values may hold queries of their own, which are read.
            self._given(position, entry, kind)
        return NOTHING

    def _referenced(self, clause: str, columns: tuple[Flows, ...] | None = None) -> list[Node]:
        found = self._targets_of(self.tree.get(clause))
        return [t for t in found if columns is None or number(t, "resno") <= len(columns)]

    def _targets_of(self, clause: list[Node] | None) -> list[Node]:
        wanted = {number(item, "tleSortGroupRef") for item in clause or ()}
        return [t for t in self.tree.get("targetList") or () if number(t, "ressortgroupref") in wanted - {0}]


def relations_of(trees: Any) -> set[int]:
    """Return the oids of all relations that trees name."""
    found: set[int] = set()
    stack = [trees]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            if here.get("rtekind") == "0":
                found.add(number(here, "relid"))
            stack.extend(child for child in here.values() if isinstance(child, dict | list))
    return found - {0}


def _decided(outer: Via, inner: Via) -> Via:
    return inner if outer == "value" else outer

"""What stands in FROM: tables, queries, functions, joins, and queries of a WITH."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from airflow_dataml.adapters.sqlglot.expressions import Expressions, named
from airflow_dataml.adapters.sqlglot.names import Item, Unresolved
from airflow_dataml.adapters.sqlglot.scopes import Scope, Tree
from airflow_dataml.core.column_flows import NOTHING, ROUNDS, Flows, Output, merged, through

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.adapters.sqlglot.clock import Clock
    from airflow_dataml.adapters.sqlglot.names import Names

WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_EMPTY = Output((), ())


@dataclass(slots=True)
class With:
    """A query of a WITH, read when something asks for it."""

    query: exp.Expr
    names: tuple[str, ...]
    around: Env
    recursive: bool
    output: Output | None = None


@dataclass(frozen=True, slots=True)
class Env:
    """What a query can name besides tables: queries of WITH, and columns of the queries around it."""

    withs: Mapping[str, With]
    scope: Scope | None = None


class Sources(ABC):
    """Reads what the queries of one statement read from; queries themselves are read by ``query``.

    ``inputs`` collects the tables, ``writing`` the statements within a WITH that write, ``guessed`` whether a
    table was not in the catalog.
    """

    def __init__(self, names: Names, clock: Clock) -> None:
        self.names = names
        self.clock = clock
        self.inputs: set[str] = set()
        self.writing: dict[int, tuple[exp.Expr, Env]] = {}
        self.guessed = False

    @abstractmethod
    def query(self, node: exp.Expr, env: Env) -> Output:
        """Return what a query gives."""

    @abstractmethod
    def entered(self, node: exp.Expr, env: Env) -> Env:
        """Return what is named within a statement that has a WITH."""

    @abstractmethod
    def returned(self, node: exp.Expr, env: Env) -> Output:
        """Return what the RETURNING of a statement that writes gives."""

    def expressions(self, env: Env) -> Expressions:
        """Return a reader of expressions whose queries see what ``env`` names."""
        return Expressions(
            self.names, self.clock, lambda node, scope: self.query(node, Env(env.withs, scope))
        )

    def joined(self, start: Tree, joins: list[exp.Expr], env: Env, scope: Scope) -> Flows:
        """Join tables to those a scope has; returns what the joins are on."""
        rows: list[Flows] = []
        done, group = Tree([], []), start
        for join in joins:
            if not isinstance(join, exp.Join):
                continue
            comma = not any(join.args.get(k) for k in ("on", "using", "method", "side", "kind"))
            if comma:
                # A comma binds less than JOIN: what USING names is looked for in this group alone.
                done, group = done.beside(group), Tree([], [])
            scope.tree = done.beside(group)
            right = self.entry_of(join.this, env, scope, rows)
            method, side = str(join.method).upper(), str(join.side).upper()
            using = [self.names.fold(name) for name in join.args.get("using") or ()]
            if method == "NATURAL":
                using = group.common(right)
            for name in using:
                rows.append(through(group.column(name) | right.column(name), "join"))
            group = group.on_columns(right, using, side) if using else group.beside(right)
            scope.tree = done.beside(group)
            rows.append(self.expressions(env).flows(join.args.get("on"), scope, "join"))
        scope.tree = done.beside(group)
        return merged(rows)

    def source(self, node: exp.Expr, env: Env, scope: Scope) -> Flows:
        """Add an entry of FROM with its joins to a scope; returns what decides its rows."""
        rows: list[Flows] = []
        tree = self.entry_of(node, env, scope, rows)
        base = scope.tree
        scope.tree = base.beside(tree)
        return merged(rows)

    def relation(self, table: exp.Table) -> tuple[str, Output | None]:
        """Return a table's name, and its columns where they are known."""
        name = self.names.relation(table)
        columns = self.names.columns(name)
        if columns is None:
            return name, None
        return name, Output(columns, tuple(frozenset({(name, c, "value")}) for c in columns))

    def item(self, table: exp.Table, output: Output | None, name: str) -> Item:
        """Return a table under the name that the statement gives it."""
        alias = table.args.get("alias")
        known = (
            self.names.fold(alias.this)
            if alias is not None and alias.this is not None
            else self.names.fold(table.this)
        )
        if output is None:
            self.guessed = True
            return Item(known, _EMPTY, relation=name)
        return Item(known, output.renamed(self.aliases(alias)))

    def starred(self, found: tuple[Tree, Flows], node: exp.Expr) -> Output:
        """Return all columns of joined tables."""
        tree, rows = found
        if tree.columns is None:
            msg = f"the columns of {node.sql()[:60]} are not known"
            raise Unresolved(msg)
        return Output(tuple(n for n, _ in tree.columns), tuple(f for _, f in tree.columns), rows)

    def entry_of(self, node: exp.Expr, env: Env, scope: Scope, rows: list[Flows]) -> Tree:
        """Return an entry of FROM, with the joins it holds itself."""
        if isinstance(node, exp.Table):
            tree, decided = self.table(node, env, scope)
            rows.append(decided)
            return tree
        if (
            isinstance(node, exp.Subquery)
            and isinstance(node.this, exp.Table | exp.Subquery)
            and not node.alias
        ):
            inner = Scope(outer=scope.outer)
            rows.append(
                self.joined(
                    self.entry_of(node.this, env, inner, rows), node.args.get("joins") or [], env, inner
                )
            )
            return inner.tree
        if node.args.get("pivots"):
            msg = "a PIVOT"
            raise Unresolved(msg)
        alias = node.args.get("alias")
        given, loose = self._given(node, env, scope)
        rows.append(given.rows)
        name = self.names.fold(alias.this) if alias is not None and alias.this is not None else ""
        item = Item(name, given.renamed(self.aliases(alias)), loose=loose)
        tree = tree_of(item)
        if nested := node.args.get("joins"):
            inner = Scope(outer=scope.outer)
            rows.append(self.joined(tree, nested, env, inner))
            return inner.tree
        return tree

    def _given(self, node: exp.Expr, env: Env, scope: Scope) -> tuple[Output, bool]:
        if isinstance(node, exp.Lateral):
            inside = node.this
            if isinstance(inside, exp.Query | exp.Values):
                return self.query(inside, Env(env.withs, scope)), False
            return self._function([inside], node, env, scope), True
        if isinstance(node, exp.Query | exp.Values):
            return self.query(node, env), False
        return self._function([node], node, env, scope), True

    def _function(self, calls: list[exp.Expr], node: exp.Expr, env: Env, scope: Scope) -> Output:
        """A function's columns are all made of its arguments; it is named as the statement says."""
        read = self.expressions(env)
        flows = merged(
            read.flows(part, scope)
            for call in calls
            for part in call.iter_expressions()
            if part.arg_key != "alias"
        )
        alias = node.args.get("alias")
        names = self.aliases(alias)
        if not names:
            own = (
                self.names.fold(alias.this)
                if alias is not None and alias.this is not None
                else named(calls[0], self.names)
            )
            names = (own,)
        if isinstance(extra := node.args.get("offset"), exp.Identifier):
            names = (*names, self.names.fold(extra))
        return Output(names, (flows,) * len(names))

    def table(self, node: exp.Table, env: Env, scope: Scope) -> tuple[Tree, Flows]:
        """Return a table with the joins it holds itself, and what decides its rows."""
        if node.args.get("pivots"):
            msg = "a PIVOT"
            raise Unresolved(msg)
        item, rows = self._entry(node, env, scope)
        tree = tree_of(item)
        if joins := node.args.get("joins"):
            inner = Scope(outer=scope.outer)
            rows |= self.joined(tree, joins, env, inner)
            return inner.tree, rows
        return tree, rows

    def _entry(self, node: exp.Table, env: Env, scope: Scope) -> tuple[Item, Flows]:
        alias = node.args.get("alias")
        called = self.names.fold(alias.this) if alias is not None and alias.this is not None else ""
        calls = [t.this for t in node.args.get("rows_from") or ()] or (
            [node.this] if isinstance(node.this, exp.Func) else []
        )
        if calls:
            name = called or named(calls[0], self.names)
            return Item(name, self._function(calls, node, env, scope), loose=True), NOTHING
        own = self.names.fold(node.this)
        if not node.args.get("db") and own in env.withs:
            given = self._with(env.withs[own])
            return Item(called or own, given.renamed(self.aliases(alias))), given.rows
        name, output = self.relation(node)
        self.inputs.add(name)
        return self.item(node, output, name), NOTHING

    def _with(self, entry: With) -> Output:
        if entry.output is not None:
            return entry.output
        if isinstance(entry.query, WRITES):
            entry.output = self.returned(entry.query, entry.around).renamed(entry.names)
            return entry.output
        # One that reads itself finds nothing in its first part.
        entry.output = _EMPTY
        whole = entry.query.unnest()
        if entry.recursive and isinstance(whole, exp.SetOperation):
            env = self.entered(whole, entry.around)
            entry.output = self.query(whole.this, env).renamed(entry.names)
            for _ in range(ROUNDS):
                before = entry.output
                entry.output = self.query(whole, entry.around).renamed(entry.names)
                if entry.output == before:
                    break
            return entry.output
        entry.output = self.query(entry.query, entry.around).renamed(entry.names)
        return entry.output

    def aliases(self, alias: exp.Expr | None) -> tuple[str, ...]:
        """Return the names that an alias gives to columns."""
        columns = alias.args.get("columns") or () if alias is not None else ()
        return tuple(self.names.fold(c.this if isinstance(c, exp.ColumnDef) else c) for c in columns)


def tree_of(item: Item) -> Tree:
    """Return one entry of FROM, joined to nothing yet."""
    if item.relation is not None:
        return Tree([item], None)
    return Tree([item], list(zip(item.output.names, item.output.columns, strict=True)))

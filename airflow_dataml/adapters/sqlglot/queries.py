"""Column lineage of queries: SELECT, set operations and VALUES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from airflow_dataml.adapters.sqlglot.expressions import named
from airflow_dataml.adapters.sqlglot.names import Unresolved
from airflow_dataml.adapters.sqlglot.scopes import Scope, Tree
from airflow_dataml.adapters.sqlglot.sources import WRITES, Env, Sources, With, tree_of
from airflow_dataml.core.column_flows import NOTHING, Flows, Output, combine, merged, through

if TYPE_CHECKING:
    from airflow_dataml.adapters.sqlglot.expressions import Expressions

_CONTAINERS = (exp.Tuple, exp.Paren, exp.Rollup, exp.Cube, exp.GroupingSets)
# More columns than any table has: a query that doubles them again and again.
_WIDEST = 20_000


class Queries(Sources):
    """Reads the queries of one statement."""

    def query(self, node: exp.Expr, env: Env) -> Output:
        """Return what a query gives.

        :raises Unresolved: a name has no known origin, or it is no query that is known.
        """
        self.clock.tick()
        env = self.entered(node, env)
        if isinstance(node, exp.Subquery):
            return self._bracket(node, env)
        if isinstance(node, exp.Select):
            return self._select(node, env)
        if isinstance(node, exp.SetOperation):
            subtracts = isinstance(node, exp.Except)
            if node.args.get("by_name"):
                msg = "a set operation by name"
                raise Unresolved(msg)
            both = combine(self.query(node.this, env), self.query(node.expression, env), subtracts=subtracts)
            return self._ordered(node, both, env)
        if isinstance(node, exp.Values):
            return self._values(node, env)
        if isinstance(node, exp.Paren):
            return self.query(node.this, env)
        if isinstance(node, exp.Table):
            return self.starred(self.table(node, env, Scope(outer=env.scope)), node)
        msg = f"{type(node).__name__} is no query"
        raise Unresolved(msg)

    def entered(self, node: exp.Expr, env: Env) -> Env:
        """Return what is named within a statement that has a WITH."""
        clause = node.args.get("with_")
        if clause is None:
            return env
        recursive = bool(clause.args.get("recursive"))
        known = dict(env.withs)
        inner = Env(known, env.scope)
        for cte in clause.expressions:
            alias = cte.args.get("alias")
            name = self.names.fold(alias.this) if alias is not None and alias.this is not None else cte.alias
            around = inner if recursive else Env(dict(known), env.scope)
            known[name] = With(cte.this, self.aliases(alias), around, recursive)
            if isinstance(cte.this, WRITES):
                self.writing.setdefault(id(cte.this), (cte.this, around))
        return inner

    def returned(self, node: exp.Expr, env: Env) -> Output:
        """Return what the RETURNING of a statement that writes gives; the rows it wrote, by the table's columns."""
        clause = node.args.get("returning")
        scope = Scope()
        table = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if not isinstance(table, exp.Table):
            msg = "a statement that writes to no table"
            raise Unresolved(msg)
        name, output = self.relation(table)
        scope.tree = tree_of(self.item(table, output, name))
        for extra in (node.args.get("from_"), *(node.args.get("using") or ())):
            if isinstance(extra, exp.Expr):
                self.source(extra.this if isinstance(extra, exp.From) else extra, env, scope)
        select = exp.Select(expressions=[e.copy() for e in clause.expressions] if clause is not None else [])
        names, columns = self._selected(select, scope, self.expressions(env))
        return Output(tuple(names), tuple(columns))

    def _bracket(self, node: exp.Subquery, env: Env) -> Output:
        if isinstance(node.this, exp.Table):
            return self.starred(self.table(node.this, env, Scope(outer=env.scope)), node)
        inner = self.query(node.this, env)
        return self._ordered(node, inner, env)

    def _select(self, node: exp.Select, env: Env) -> Output:
        scope = Scope(outer=env.scope)
        args = node.args
        scope.windows = {self.names.fold(w.this): w for w in args.get("windows") or ()}
        rows: list[Flows] = []
        tree = Tree()
        if (start := args.get("from_")) is not None:
            tree = self.entry_of(start.this, env, scope, rows)
        rows.append(self.joined(tree, args.get("joins") or [], env, scope))
        for lateral in args.get("laterals") or ():
            rows.append(self.source(lateral, env, scope))
        read = self.expressions(env)
        names, columns = self._selected(node, scope, read)
        for clause in ("where", "having", "qualify", "prewhere"):
            part = args.get(clause)
            rows.append(read.flows(part.this if part is not None else None, scope, "filter"))
        rows += [read.flows(args.get(clause), scope, "filter") for clause in ("limit", "offset", "connect")]
        positions = Output(tuple(names), tuple(columns))
        rows += self._grouped(node, positions, scope, read)
        rows += self._sorted(args.get("order"), positions, scope, read)
        self.guessed = self.guessed or scope.guessed
        return Output(positions.names, positions.columns, merged(rows))

    def _selected(self, node: exp.Select, scope: Scope, read: Expressions) -> tuple[list[str], list[Flows]]:
        names: list[str] = []
        columns: list[Flows] = []
        for item in node.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star):
                pairs = self._expanded(item, star, scope)
            else:
                pairs = [
                    (
                        named(item, self.names),
                        read.flows(item.this if isinstance(item, exp.Alias) else item, scope),
                    )
                ]
                if isinstance(item, exp.Alias):
                    scope.aliases.setdefault(pairs[0][0], pairs[0][1])
            names += [name for name, _ in pairs]
            columns += [flows for _, flows in pairs]
            self.clock.tick(len(pairs))
            if len(names) > _WIDEST:
                msg = f"more than {_WIDEST} columns"
                raise Unresolved(msg)
        return names, columns

    def _expanded(self, item: exp.Expr, star: exp.Star, scope: Scope) -> list[tuple[str, Flows]]:
        if isinstance(item, exp.Column):
            entry = scope.item(self.names.fold(item.args["table"]))
            if entry is None or entry.relation is not None:
                msg = f"the columns of {item.sql()} are not known"
                raise Unresolved(msg)
            pairs = list(zip(entry.output.names, entry.output.columns, strict=True))
        elif scope.tree.columns is None:
            msg = "the columns of * are not known"
            raise Unresolved(msg)
        else:
            pairs = scope.tree.columns
        left_out = {self._bare(c) for c in star.args.get("except_") or ()}
        renamed = {
            self._bare(c.this): self.names.fold(c.args["alias"]) for c in star.args.get("rename") or ()
        }
        if star.args.get("replace"):
            msg = "* REPLACE"
            raise Unresolved(msg)
        return [(renamed.get(name, name), flows) for name, flows in pairs if name not in left_out]

    def _bare(self, node: exp.Expr) -> str:
        return self.names.fold(node.this if isinstance(node, exp.Column) else node)

    def _grouped(self, node: exp.Select, given: Output, scope: Scope, read: Expressions) -> list[Flows]:
        found: list[Flows] = []
        if (distinct := node.args.get("distinct")) is not None:
            on = distinct.args.get("on")
            if on is None:
                found += [through(flows, "group") for flows in given.columns]
            else:
                parts = on.expressions if isinstance(on, exp.Tuple) else [on]
                found += [through(self._output_first(p, given, scope, read), "group") for p in parts]
        group = node.args.get("group")
        if group is None:
            return found
        stack: list[exp.Expr] = list(group.iter_expressions())
        while stack:
            part = stack.pop()
            self.clock.tick()
            if isinstance(part, _CONTAINERS):
                stack.extend(part.iter_expressions())
            elif (flows := self._position(part, given)) is not None:
                found.append(through(flows, "group"))
            else:
                found.append(read.flows(part, scope, "group"))
        if group.args.get("all"):
            found += [
                through(f, "group")
                for e, f in zip(node.expressions, given.columns, strict=False)
                if not e.find(exp.AggFunc)
            ]
        return found

    def _sorted(self, order: exp.Expr | None, given: Output, scope: Scope, read: Expressions) -> list[Flows]:
        parts = order.expressions if order is not None else ()
        return [
            through(
                self._output_first(p.this if isinstance(p, exp.Ordered) else p, given, scope, read), "sort"
            )
            for p in parts
        ]

    def _output_first(self, part: exp.Expr, given: Output, scope: Scope, read: Expressions) -> Flows:
        """A number or a bare name of an output column means that; an expression reads the input."""
        part = part.unnest()
        if (flows := self._position(part, given)) is not None:
            return flows
        if (
            isinstance(part, exp.Column)
            and not part.args.get("table")
            and isinstance(part.this, exp.Identifier)
        ):
            name = self.names.fold(part.this)
            if name in given.names:
                return given.columns[given.names.index(name)]
        return read.flows(part, scope)

    def _position(self, part: exp.Expr, given: Output) -> Flows | None:
        if not isinstance(part, exp.Literal) or not part.is_int:
            return None
        at = int(part.name) - 1
        return given.columns[at] if 0 <= at < len(given.columns) else NOTHING

    def _ordered(self, node: exp.Expr, given: Output, env: Env) -> Output:
        """A set operation or bracket with its own ORDER BY, which names output columns alone."""
        scope = Scope(outer=env.scope, aliases=dict(zip(given.names, given.columns, strict=True)))
        read = self.expressions(env)
        rows = self._sorted(node.args.get("order"), given, scope, read)
        rows += [read.flows(node.args.get(clause), scope, "filter") for clause in ("limit", "offset")]
        return Output(given.names, given.columns, given.rows | merged(rows))

    def _values(self, node: exp.Values, env: Env) -> Output:
        read, scope = self.expressions(env), env.scope or Scope()
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        width = max((len(row) for row in rows), default=0)
        columns = [merged(read.flows(row[i], scope) for row in rows if i < len(row)) for i in range(width)]
        return Output(tuple(f"column{i + 1}" for i in range(width)), tuple(columns))

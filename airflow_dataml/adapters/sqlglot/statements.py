"""Column lineage of whole statements: what is read, what is written, by which columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_dataml.adapters.sqlglot.names import Item, Unresolved
from airflow_dataml.adapters.sqlglot.queries import Queries
from airflow_dataml.adapters.sqlglot.scopes import Scope, Tree
from airflow_dataml.adapters.sqlglot.sources import Env
from airflow_dataml.core.column_flows import NOTHING, Flows, Output, merged, sources, through
from airflow_dataml.core.column_lineage import PARSER_CONFIDENCE, QueryLineage

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.sqlglot.clock import Clock
    from airflow_dataml.adapters.sqlglot.names import Names
    from airflow_dataml.core.column_lineage import StatementKind

# Some table was not in the catalog, and its columns are told by the statement alone.
GUESSED_CONFIDENCE = 0.7


@dataclass(slots=True)
class Written:
    """What a statement that writes does, in the making.

    :param reads_target: rows that are there already decide or give what is written.
    """

    target: str | None
    kind: StatementKind
    columns: dict[str, Flows] = field(default_factory=dict)
    rows: list[Flows] = field(default_factory=list)
    reads_target: bool = False

    def assign(self, name: str, flows: Flows) -> None:
        """Write a column, which several branches may do."""
        self.columns[name] = self.columns.get(name, NOTHING) | flows


def lineage_of(node: exp.Expr, *, names: Names, clock: Clock) -> list[QueryLineage | None]:
    """Return the lineage of a parsed statement, after those of statements in its WITH that write.

    :raises Unresolved: a name has no known origin.
    :raises OutOfTime: reading takes too long.
    """
    reader = Queries(names, clock)
    last = _statement(reader, node)
    if last is None:
        return [None]
    found: list[QueryLineage | None] = []
    for inner, env in reader.writing.values():
        fresh = Queries(names, clock)
        written = _write(fresh, inner, env)
        found.append(_finished(fresh, written) if written is not None else None)
    return [*found, *last]


def _statement(reader: Queries, node: exp.Expr) -> list[QueryLineage | None] | None:
    env = Env({})
    if isinstance(node, exp.TruncateTable):
        tables = [t for t in node.expressions if isinstance(t, exp.Table)]
        return [_finished(reader, Written(reader.names.relation(t), "delete")) for t in tables]
    if isinstance(node, exp.Query | exp.Values):
        return [_selected(reader, node, env)]
    written = _write(reader, node, env)
    return None if written is None else [_finished(reader, written)]


def _selected(reader: Queries, node: exp.Expr, env: Env) -> QueryLineage:
    output = reader.query(node, env)
    into = node.args.get("into")
    if into is not None and isinstance(into.this, exp.Table):
        target = reader.names.relation(into.this)
        reader.names.learn(target, output.names)
        return _result(reader, output, target, "create")
    return _result(reader, output, None, "select")


def _write(reader: Queries, node: exp.Expr, env: Env) -> Written | None:
    env = reader.entered(node, env)
    read = next((read for class_, read in _WRITERS if isinstance(node, class_)), None)
    return read(reader, node, env) if read is not None else None


def _insert(reader: Queries, node: exp.Insert, env: Env) -> Written:
    table, listed = _target(reader, node.this)
    target, known = reader.relation(table)
    written = Written(target, "insert")
    query = node.args.get("expression")
    given = (
        reader.query(query, env) if isinstance(query, exp.Query | exp.Values | exp.Table) else Output((), ())
    )
    if listed or known is not None:
        columns = listed or (known.names if known is not None else ())
        if len(given.columns) > len(columns):
            msg = f"{target} has fewer columns than are inserted"
            raise Unresolved(msg)
    else:
        reader.guessed, columns = True, given.names
    for name, flows in zip(columns, given.columns, strict=False):
        written.assign(name, flows)
    written.rows.append(given.rows)
    if (conflict := node.args.get("conflict")) is not None and conflict.expressions:
        _conflict(reader, conflict, env, written, (table, target, known))
    return written


def _conflict(
    reader: Queries,
    conflict: exp.Expr,
    env: Env,
    written: Written,
    into: tuple[exp.Table, str, Output | None],
) -> None:
    table, name, known = into
    proposed = Item("excluded", Output(tuple(written.columns), tuple(written.columns.values())), loose=False)
    scope = Scope(tree=Tree([reader.item(table, known, name)], None))
    # Columns of the row that was refused are named with ``excluded`` in front alone.
    scope.outer = Scope(tree=Tree([proposed], None))
    written.reads_target = True
    _assign(reader, conflict.expressions, env, scope, written)
    where = conflict.args.get("where")
    written.rows.append(
        reader.expressions(env).flows(where.this if where is not None else None, scope, "filter")
    )


def _create(reader: Queries, node: exp.Create, env: Env) -> Written | None:
    query = node.args.get("expression")
    if str(node.args.get("kind")).upper() not in ("TABLE", "VIEW") or not isinstance(
        query, exp.Query | exp.Values
    ):
        if isinstance(node.this, exp.Schema) and isinstance(node.this.this, exp.Table):
            columns = [c for c in node.this.expressions if isinstance(c, exp.ColumnDef)]
            name = reader.names.relation(node.this.this)
            reader.names.learn(name, tuple(reader.names.fold(c.this) for c in columns))
        return None
    table, listed = _target(reader, node.this)
    given = reader.query(query, env).renamed(listed)
    written = Written(reader.names.relation(table), "create", rows=[given.rows])
    for name, flows in zip(given.names, given.columns, strict=True):
        written.assign(name, flows)
    if written.target is not None:
        reader.names.learn(written.target, given.names)
    return written


def _update(reader: Queries, node: exp.Update, env: Env) -> Written:
    written, scope = _opened(reader, node.this, "update", env)
    if (start := node.args.get("from_")) is not None:
        written.rows.append(_beside(reader, start.this, env, scope))
    _assign(reader, node.expressions, env, scope, written)
    return _filtered(reader, node, env, scope, written)


def _delete(reader: Queries, node: exp.Delete, env: Env) -> Written:
    written, scope = _opened(reader, node.this, "delete", env)
    for extra in node.args.get("using") or ():
        written.rows.append(_beside(reader, extra, env, scope))
    return _filtered(reader, node, env, scope, written)


def _merge(reader: Queries, node: exp.Merge, env: Env) -> Written:
    written, scope = _opened(reader, node.this, "merge", env)
    written.rows.append(_beside(reader, node.args["using"], env, scope))
    read = reader.expressions(env)
    written.rows.append(read.flows(node.args.get("on"), scope, "join"))
    target = scope.tree.items[0]
    for when in node.args["whens"].expressions:
        written.rows.append(read.flows(when.args.get("condition"), scope, "filter"))
        action = when.args.get("then")
        if isinstance(action, exp.Update):
            _assign(reader, action.expressions, env, scope, written)
        elif isinstance(action, exp.Insert):
            values = action.expression.expressions if isinstance(action.expression, exp.Tuple) else []
            named = action.this.expressions if isinstance(action.this, exp.Tuple) else []
            columns = [_column(reader, n) for n in named] or list(target.output.names)
            for name, value in zip(columns, values, strict=False):
                written.assign(name, read.flows(value, scope))
    return written


def _copy(reader: Queries, node: exp.Copy, env: Env) -> Written:
    inside = node.this
    if isinstance(inside, exp.Query):
        given = reader.query(inside, env)
        return Written(None, "copy", dict(zip(given.names, given.columns, strict=True)), [given.rows])
    table, listed = _target(reader, inside)
    if node.args.get("kind"):
        # Rows come from outside, unless a dialect lets them come from a query.
        return Written(reader.names.relation(table), "copy")
    name, known = reader.relation(table)
    reader.inputs.add(name)
    columns = listed or (known.names if known is not None else ())
    return Written(None, "copy", {c: frozenset({(name, c, "value")}) for c in columns})


def _opened(reader: Queries, node: exp.Expr, kind: StatementKind, env: Env) -> tuple[Written, Scope]:
    if not isinstance(node, exp.Table):
        msg = f"{kind} of something that is no table"
        raise Unresolved(msg)
    name, known = reader.relation(node)
    scope = Scope(outer=env.scope, tree=Tree([reader.item(node, known, name)], None))
    rows = reader.joined(scope.tree, node.args.get("joins") or [], env, scope)
    return Written(name, kind, rows=[rows], reads_target=True), scope


def _beside(reader: Queries, node: exp.Expr, env: Env, scope: Scope) -> Flows:
    """Read the other tables of a statement, which bring their own joins; its target is named beside them."""
    own = Scope(outer=scope)
    rows = reader.source(node, env, own)
    rows |= reader.joined(own.tree, [], env, own)
    scope.tree = scope.tree.beside(own.tree)
    return rows


def _assign(reader: Queries, pairs: list[exp.Expr], env: Env, scope: Scope, written: Written) -> None:
    read = reader.expressions(env)
    for pair in pairs:
        if not isinstance(pair, exp.EQ | exp.PropertyEQ):
            msg = f"an assignment {pair.sql()[:60]}"
            raise Unresolved(msg)
        left, right = pair.this, pair.expression
        if not isinstance(left, exp.Tuple):
            written.assign(_column(reader, left), read.flows(right, scope))
            continue
        parts = _parts(reader, right, env, scope)
        for at, name in enumerate(left.expressions):
            written.assign(_column(reader, name), parts[at] if at < len(parts) else NOTHING)


def _parts(reader: Queries, node: exp.Expr, env: Env, scope: Scope) -> list[Flows]:
    """Return what each of several values assigned together is made from."""
    if isinstance(node, exp.Query):
        given = reader.query(node, Env(env.withs, scope))
        return [flows | given.rows for flows in given.columns]
    values = node.expressions if isinstance(node, exp.Tuple | exp.Anonymous) else [node.unnest()]
    return [reader.expressions(env).flows(value, scope) for value in values]


def _filtered(reader: Queries, node: exp.Expr, env: Env, scope: Scope, written: Written) -> Written:
    where = node.args.get("where")
    written.rows.append(
        reader.expressions(env).flows(where.this if where is not None else None, scope, "filter")
    )
    reader.guessed = reader.guessed or scope.guessed
    return written


def _target(reader: Queries, node: exp.Expr) -> tuple[exp.Table, tuple[str, ...]]:
    listed: tuple[str, ...] = ()
    if isinstance(node, exp.Schema):
        columns = [c.this if isinstance(c, exp.ColumnDef) else c for c in node.expressions]
        listed = tuple(reader.names.fold(c) for c in columns if isinstance(c, exp.Identifier))
        node = node.this
    if not isinstance(node, exp.Table):
        msg = f"a target {node.sql()[:60]}"
        raise Unresolved(msg)
    return node, listed


def _column(reader: Queries, node: exp.Expr) -> str:
    if isinstance(node, exp.Column):
        return reader.names.fold(node.this)
    if isinstance(node, exp.Identifier):
        return reader.names.fold(node)
    if isinstance(node, exp.Bracket | exp.Dot):
        return _column(reader, node.this)
    msg = f"an assignment to {node.sql()[:60]}"
    raise Unresolved(msg)


def _finished(reader: Queries, written: Written) -> QueryLineage:
    if written.reads_target and written.target is not None:
        reader.inputs.add(written.target)
    output = Output(tuple(written.columns), tuple(written.columns.values()), merged(written.rows))
    return _result(reader, output, written.target, written.kind)


def _result(reader: Queries, output: Output, target: str | None, kind: StatementKind) -> QueryLineage:
    used = merged([*output.columns, output.rows])
    return QueryLineage(
        outputs=tuple((n, sources(f)) for n, f in zip(output.names, output.columns, strict=True)),
        inputs=tuple(sorted(reader.inputs | {relation for relation, _, _ in used})),
        target=target,
        method="sqlglot",
        confidence=GUESSED_CONFIDENCE if reader.guessed else PARSER_CONFIDENCE,
        indirect=sources(through(output.rows, "value")),
        statement=kind,
    )


_WRITERS: tuple[tuple[Any, Callable[[Queries, Any, Env], Written | None]], ...] = (
    (exp.Insert, _insert),
    (exp.Create, _create),
    (exp.Update, _update),
    (exp.Delete, _delete),
    (exp.Merge, _merge),
    (exp.Copy, _copy),
)

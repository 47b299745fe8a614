"""Exact column lineage: PostgreSQL's own analysis of a statement, which it never runs.

The statement becomes the body of a temporary SQL function. To store one the server parses and analyses it,
with its search path, its views, its functions and its rules of names, and keeps the analysed tree; the tree is
read and everything is rolled back. Nothing is planned or executed.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres import analyzer_text
from airflow_dataml.adapters.postgres.analyzer_nodes import Node, number, read
from airflow_dataml.adapters.postgres.analyzer_tree import (
    INSERT,
    MERGE,
    SELECT,
    Catalog,
    Query,
    relations_of,
)
from airflow_dataml.core.column_flows import NOTHING, Flows, merged, sources, through
from airflow_dataml.core.column_lineage import ANALYZER_CONFIDENCE, QueryLineage
from airflow_dataml.core.errors import DataMLError, SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.column_lineage import StatementKind
    from airflow_dataml.core.datasets import Column

# A statement in the body of a function can be analysed since then.
_OLDEST = 140000
_FUNCTION = "dataml_analyzed"
_KINDS: dict[int, StatementKind] = {1: "select", 2: "update", 3: "insert", 4: "delete", 5: "merge"}
# What reading a tree of a release that nobody has seen may come to.
_UNFORESEEN = (KeyError, IndexError, ValueError, TypeError, AttributeError, StopIteration, RecursionError)
_NAMES = """
SELECT c.oid::bigint AS oid, CASE WHEN n.oid = pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname END || '.' ||
       c.relname AS name, array_agg(a.attnum) AS numbers, array_agg(a.attname::text) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = ANY (%s::bigint[]::oid[]) GROUP BY c.oid, n.oid, n.nspname, c.relname
"""


class _Undo(Exception):
    """Everything is known; take back what was needed to learn it."""


class PostgresAnalyzer:
    """Column lineage from the server's analysed query trees.

    It has no side effect, also within a transaction of the caller's: what it makes is rolled back, and locks
    go with it. Names in the result are ``schema.table`` as the search path resolved them, ``pg_temp.name``
    for what is temporary.

    :param connection: to the database whose tables the statements name.
    :param timeout_s: how long one text may take the server, waiting for locks included.
    """

    def __init__(self, connection: Connection, *, timeout_s: float = 5.0) -> None:
        self._db = connection
        self._timeout_ms = int(timeout_s * 1000)

    def analyze(
        self,
        sql: str,
        *,
        default_schema: str | None = None,
        tables: Mapping[str, Sequence[Column]] | None = None,
    ) -> tuple[QueryLineage | None, ...]:
        """Return one entry per statement, ``None`` for one that moves no rows.

        Statements that write within a WITH have entries of their own, before the one they are in. What an
        earlier statement creates is there for a later one.

        :param default_schema: searched first; the connection's search path alone unless given.
        :param tables: bare names that stand for tables of these columns, before any other of the name; they
            come out as ``pg_temp.name``.
        :raises SpecError: the server does not know a name, or the statement is none of its own.
        :raises BackendError: it did not answer in time.
        """
        found: list[QueryLineage | None] = []
        with self._rolled_back(default_schema):
            for name, columns in (tables or {}).items():
                body = ", ".join(f"{quote_identifier(c.name)} {c.type}" for c in columns)
                self._db.execute(f"CREATE TEMP TABLE {quote_identifier(name)} ({body})")
            texts = analyzer_text.statements(sql)
            for position, text in enumerate(texts):
                found.extend(self._statement(text))
                if position + 1 < len(texts):
                    self._pretend(text)
        return tuple(found)

    def _statement(self, text: str) -> list[QueryLineage | None]:
        verb = analyzer_text.verb(text)
        if verb in analyzer_text.UTILITIES:
            return [None]
        if verb == "truncate":
            return [
                QueryLineage(
                    (), (), self._qualified(name), "analyzer", ANALYZER_CONFIDENCE, statement="delete"
                )
                for name in analyzer_text.truncated(text)
            ]
        if verb not in ("create", "copy"):
            return list(self._analyzed(text))
        made = analyzer_text.created(text)
        if made is None:
            return [None]
        target = self._qualified(made.name) if made.name else None
        if made.query is None:
            return [QueryLineage((), (), target, "analyzer", ANALYZER_CONFIDENCE, statement="copy")]
        kind: StatementKind = "create" if made.verb == "create" else "copy"
        *before, last = self._analyzed(made.query)
        names = (*made.columns, *(name for name, _ in last.outputs[len(made.columns) :]))
        outputs = tuple((name, found) for name, (_, found) in zip(names, last.outputs, strict=False))
        return [*before, replace(last, outputs=outputs, target=target, statement=kind)]

    def _analyzed(self, text: str) -> list[QueryLineage]:
        tree = self._tree(text)
        relations = self._relations(tree)
        catalog = Catalog(relations)
        try:
            last = _lineage(tree, catalog)
            inner = [_lineage(node, Catalog(relations)) for node in catalog.writing.values()]
        except _UNFORESEEN as err:
            msg = f"the tree that PostgreSQL at {self._db.target} made of {text[:80]!r} is not understood ({err!r}): use the parser (extra 'lineage')."
            raise SpecError(msg) from err
        return [*inner, last]

    def _tree(self, text: str) -> Node:
        with self._savepoint():
            body = (
                f"CREATE FUNCTION pg_temp.{_FUNCTION}() RETURNS void LANGUAGE sql BEGIN ATOMIC {text}\n; END"
            )
            # A prepared statement is one statement: a text that ends the body early cannot add another.
            self._db.raw.execute(body.encode(), prepare=False, binary=True)
            row = self._db.one(
                """SELECT prosqlbody::text AS body FROM pg_proc
                   WHERE proname = %s AND pronamespace = pg_my_temp_schema()""",
                [_FUNCTION],
            )
        trees = _flat(read(row["body"] or ""))
        if len(trees) != 1:
            msg = f"a statement was read as {len(trees)} ({text[:80]!r}): give one SELECT, INSERT, UPDATE, DELETE or MERGE."
            raise SpecError(msg)
        return trees[0]

    def _relations(self, tree: Node) -> dict[int, tuple[str, dict[int, str]]]:
        rows = self._db.rows(_NAMES, [sorted(relations_of(tree))])
        return {
            row["oid"]: (
                row["name"],
                {n: c for n, c in sorted(zip(row["numbers"], row["columns"], strict=True)) if n is not None}
                if row["numbers"] != [None]
                else {},
            )
            for row in rows
        }

    def _qualified(self, name: tuple[str, ...]) -> str:
        if len(name) > 1:
            return ".".join(name[-2:])
        schema = self._db.scalar("SELECT current_schema()")
        return f"{schema}.{name[0]}"

    def _pretend(self, text: str) -> None:
        """Make the empty shape of what a statement would create, for the statements after it."""
        made = analyzer_text.created(text)
        if analyzer_text.verb(text) != "create" or (made is not None and made.verb != "create"):
            return
        words = [t.text.lower() for t in analyzer_text.scan(text)[:6]]
        if "table" not in words and "view" not in words:
            return
        if made is not None and ("view" not in words or "materialized" in words):
            # Without rows the query is not run.
            text = analyzer_text.without_data(text)
        try:
            with self._savepoint(keep=True):
                self._db.raw.execute(text.encode(), prepare=False, binary=True)
        except DataMLError:
            # It is there already; then the statements after it mean that.
            return

    @contextmanager
    def _rolled_back(self, default_schema: str | None) -> Iterator[None]:
        if self._db.raw.info.server_version < _OLDEST:
            msg = f"PostgreSQL at {self._db.target} is older than 14, which cannot analyse a statement without running it: use the parser (extra 'lineage')."
            raise SpecError(msg)
        try:
            with self._db.transaction():
                self._db.execute(
                    "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
                    [str(self._timeout_ms), str(self._timeout_ms)],
                )
                if default_schema is not None:
                    self._db.execute(
                        """SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'),
                                             true)""",
                        [default_schema],
                    )
                yield
                raise _Undo
        except _Undo:
            return

    @contextmanager
    def _savepoint(self, *, keep: bool = False) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._db.transaction():
                yield self._db.raw
                if not keep:
                    raise _Undo
        except _Undo:
            return


def _lineage(tree: Node, catalog: Catalog) -> QueryLineage:
    command = number(tree, "commandType", SELECT)
    query = Query(tree, catalog)
    written: dict[str, Flows]
    if command == SELECT:
        whole = query.output()
        outputs = list(zip(whole.names, whole.columns, strict=True))
        rows, target = whole.rows, None
    else:
        entry = query.table[number(tree, "resultRelation") - 1]
        target = catalog.columns(number(entry, "relid"))[0]
        written, extra = _written(query, command)
        outputs, rows = list(written.items()), query.rows() | extra
        if command != INSERT or _updates(tree):
            catalog.inputs.add(target)
    for cte in tree.get("cteList") or ():
        # Whatever a WITH writes is written, read or not.
        if number(cte["ctequery"], "commandType", SELECT) != SELECT:
            query.named(cte["ctename"])
    # What a WITH wrote and gave back is read too, though nothing names its table.
    used = merged([rows, *(flows for _, flows in outputs)])
    return QueryLineage(
        outputs=tuple((name, sources(flows)) for name, flows in outputs),
        inputs=tuple(sorted(catalog.inputs | {relation for relation, _, _ in used})),
        target=target,
        method="analyzer",
        confidence=ANALYZER_CONFIDENCE,
        indirect=sources(rows),
        statement=_KINDS[command],
    )


def _written(query: Query, command: int) -> tuple[dict[str, Flows], Flows]:
    """Columns a statement writes, and what else decides which rows."""
    tree = query.tree
    if command == MERGE:
        return _merged(query)
    written = _assigned(query, tree.get("targetList"))
    conflict: Node = tree.get("onConflict") or {}
    if command != INSERT or not _updates(tree):
        return written, NOTHING
    proposed = {number(t, "resno"): query.flows(t["expr"]) for t in query.targets(tree.get("targetList"))}
    query.exclude(number(conflict, "exclRelIndex"), proposed)
    for name, flows in _assigned(query, conflict.get("onConflictSet")).items():
        written[name] = written.get(name, NOTHING) | flows
    return written, query.flows(conflict.get("onConflictWhere"), "filter")


def _merged(query: Query) -> tuple[dict[str, Flows], Flows]:
    written: dict[str, Flows] = {}
    rows = [query.flows(query.tree.get("mergeJoinCondition"), "join")]
    for action in query.tree.get("mergeActionList") or ():
        rows.append(query.flows(action.get("qual"), "filter"))
        for name, flows in _assigned(query, action.get("targetList")).items():
            written[name] = written.get(name, NOTHING) | flows
    return written, merged(rows)


def _assigned(query: Query, targets: list[Node] | None) -> dict[str, Flows]:
    found: dict[str, Flows] = {}
    for target in query.targets(targets):
        found[target["resname"]] = found.get(target["resname"], NOTHING) | through(
            query.flows(target["expr"]), "value"
        )
    return found


def _updates(tree: Node) -> bool:
    conflict: Node = tree.get("onConflict") or {}
    return bool(conflict.get("onConflictSet"))


def _flat(trees: list[Any]) -> list[Node]:
    found: list[Node] = []
    for item in trees:
        found.extend(_flat(item) if isinstance(item, list) else [item] if isinstance(item, dict) else [])
    return found

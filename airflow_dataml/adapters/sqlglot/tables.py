"""The tables of a statement whose columns are not known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_dataml.core.column_lineage import TABLE_CONFIDENCE, QueryLineage

if TYPE_CHECKING:
    from airflow_dataml.adapters.sqlglot.names import Names
    from airflow_dataml.core.column_lineage import StatementKind

# Nobody understood the text; names after FROM and the like may be something else.
TEXT_CONFIDENCE = 0.1
_KINDS: tuple[tuple[Any, StatementKind], ...] = (
    (exp.Insert, "insert"),
    (exp.Create, "create"),
    (exp.Update, "update"),
    (exp.Delete, "delete"),
    (exp.Merge, "merge"),
    (exp.Copy, "copy"),
    (exp.Query, "select"),
)
_WORDS = "AS FROM GROUP HAVING INTO JOIN LATERAL ON ORDER SELECT SET UNION UNNEST USING VALUES WHERE WITH"
_NAME = rf'(?:"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|(?!(?:{_WORDS.replace(" ", "|")})\b)[A-Za-z_][\w$]*)'
_READ = re.compile(
    rf"\b(?:FROM|JOIN|USING)\s+(?:ONLY\s+|LATERAL\s+)?({_NAME}(?:\s*\.\s*{_NAME})*)(?!\s*\()", re.IGNORECASE
)
_WRITE = re.compile(
    rf"\b(INSERT\s+(?:OVERWRITE\s+)?(?:INTO\s+)?(?:TABLE\s+)?|UPDATE\s+(?:ONLY\s+)?|DELETE\s+FROM\s+(?:ONLY\s+)?"
    rf"|MERGE\s+INTO\s+|COPY\s+(?:INTO\s+)?|CREATE\s+(?:OR\s+REPLACE\s+)?(?:\w+\s+){{0,3}}?(?:TABLE|VIEW)\s+"
    rf"(?:IF\s+NOT\s+EXISTS\s+)?)({_NAME}(?:\s*\.\s*{_NAME})*)",
    re.IGNORECASE,
)
# One that is never closed goes to the end, so that no text is gone through twice.
_STRINGS = re.compile(r"'(?:[^']|'')*(?:'|$)|--[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|$)")
_MOVING = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|MERGE|COPY|CREATE)\b", re.IGNORECASE)
# Text beyond that is machine-made; its first tables say enough.
_LONGEST = 100_000


def tables_of(node: exp.Expr, names: Names, reason: str) -> QueryLineage | None:
    """Return which tables a parsed statement reads and writes."""
    kind = next((kind for class_, kind in _KINDS if isinstance(node, class_)), None)
    if kind is None:
        return None
    written = node.this.this if isinstance(node.this, exp.Schema) else node.this
    into = node.args.get("into")
    written = into.this if into is not None else written
    target = (
        names.relation(written)
        if (isinstance(written, exp.Table) and kind != "select") or into is not None
        else None
    )
    withs = {
        names.fold(c.args["alias"].this)
        for c in node.find_all(exp.CTE)
        if c.args.get("alias") is not None and c.args["alias"].this is not None
    }
    inputs = {
        names.relation(table)
        for table in node.find_all(exp.Table)
        if table is not written
        and isinstance(table.this, exp.Identifier)
        and (table.args.get("db") or names.fold(table.this) not in withs)
    }
    if target is not None and kind in ("update", "delete", "merge"):
        inputs.add(target)
    if kind == "copy" and target is not None and not node.args.get("kind"):
        inputs, target = {*inputs, target}, None
    return QueryLineage((), tuple(sorted(inputs)), target, "table", TABLE_CONFIDENCE, (), kind, reason)


def tables_in_text(text: str, names: Names, reason: str) -> QueryLineage | None:
    """Return the names after FROM, JOIN, INTO and the like in a text that nobody could parse."""
    plain = _STRINGS.sub(" ", text[:_LONGEST])
    if not _MOVING.search(plain):
        return None
    write = _WRITE.search(plain)
    target = _spelled(write.group(2), names) if write else None
    kind: StatementKind = _verb(write.group(1)) if write else "select"
    inputs = {_spelled(found, names) for found in _READ.findall(plain)}
    if target is not None and kind not in ("update", "delete", "merge"):
        inputs.discard(target)
    if target is not None and kind in ("update", "delete", "merge"):
        inputs.add(target)
    return QueryLineage((), tuple(sorted(inputs)), target, "table", TEXT_CONFIDENCE, (), kind, reason)


def _verb(text: str) -> StatementKind:
    kinds: dict[str, StatementKind] = {
        "insert": "insert", "update": "update", "delete": "delete", "merge": "merge", "copy": "copy",
    }  # fmt: skip
    return kinds.get(text.split(maxsplit=1)[0].lower(), "create")


def _spelled(text: str, names: Names) -> str:
    parts = []
    for part in re.findall(_NAME, text):
        quoted = part[0] in '"`['
        parts.append(exp.to_identifier(part[1:-1] if quoted else part, quoted=quoted))
    fields = dict(zip(("this", "db", "catalog"), parts[::-1], strict=False))
    return names.relation(exp.Table(**fields))

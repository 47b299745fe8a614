"""Just enough of PostgreSQL's grammar to cut a text into statements and a command from its query."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*)
      | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')
      | (?P<dollar>\$(?P<tag>[A-Za-z_\u0080-\uffff]?[\w\u0080-\uffff]*)\$)
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_NOISE = {
    "or", "replace", "global", "local", "temp", "temporary", "unlogged", "recursive", "materialized",
    "if", "not", "exists",
}  # fmt: skip

# Statements that move no rows.
UTILITIES = frozenset({
    "abort", "alter", "analyze", "begin", "call", "checkpoint", "close", "cluster", "comment", "commit",
    "deallocate", "declare", "discard", "do", "drop", "end", "execute", "explain", "fetch", "grant",
    "import", "listen", "load", "lock", "move", "notify", "prepare", "reassign", "refresh", "reindex",
    "release", "reset", "revoke", "rollback", "savepoint", "security", "set", "show", "start",
    "unlisten", "vacuum",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a name in quotes, or a sign, and where it stands; ``depth`` counts brackets around it."""

    text: str
    start: int
    end: int
    depth: int
    kind: str


@dataclass(frozen=True, slots=True)
class Created:
    """A command that makes or fills something from a query.

    :param name: parts of the name of what is written; none for COPY of a query to somewhere.
    :param columns: names given to the columns.
    :param query: the query; ``None`` where rows come from outside.
    """

    verb: str
    name: tuple[str, ...]
    columns: tuple[str, ...]
    query: str | None


def statements(text: str) -> list[str]:
    """Cut a text at the semicolons between statements.

    >>> statements("select ';' ; update t set a = $$;$$ -- ;")
    ["select ';'", 'update t set a = $$;$$ -- ;']
    """
    found, start, block = [], 0, 0
    tokens = scan(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        word = token.text.lower()
        if word == "atomic" and before is not None and before.text.lower() == "begin":
            block += 1
        elif block and word in ("case", "end"):
            block += 1 if word == "case" else -1
        if token.text == ";" and token.depth == 0 and not block:
            found.append(text[start : token.start])
            start = token.end
    found.append(text[start:])
    return [piece.strip() for piece in found if scan(piece)]


def scan(text: str) -> list[Token]:
    """Return the tokens of a text without white space and comments."""
    found, position, depth = [], 0, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            break
        start, end, kind = position, match.end(), match.lastgroup or "other"
        if match["space"]:
            position = _after_comment(text, end) if match["space"] == "/*" else end
            continue
        if match["dollar"]:
            close = text.find(match["dollar"], end)
            end, kind = (len(text) if close < 0 else close + len(match["dollar"])), "string"
        depth -= match["other"] in (")", "]")
        found.append(Token(text[start:end], start, end, max(depth, 0), kind))
        depth += match["other"] in ("(", "[")
        position = end
    return found


def verb(text: str) -> str:
    """Return the first word of a statement, or a bracket."""
    tokens = scan(text[:4096]) or scan(text)
    return tokens[0].text.lower() if tokens else ""


def created(text: str) -> Created | None:
    """Read CREATE TABLE AS, CREATE VIEW and COPY; ``None`` for whatever moves no rows.

    >>> created("CREATE TABLE s.t (a) WITH (fillfactor = 70) AS SELECT 1 WITH NO DATA")
    Created(verb='create', name=('s', 't'), columns=('a',), query='SELECT 1')
    """
    tokens = scan(text)
    word = tokens[0].text.lower() if tokens else ""
    if word == "copy":
        return _copied(text, tokens)
    if word != "create":
        return None
    rest = [t for t in tokens[1:8] if t.text.lower() not in _NOISE]
    if not rest or rest[0].text.lower() not in ("table", "view"):
        return None
    at = tokens.index(rest[0]) + 1
    while at < len(tokens) and tokens[at].text.lower() in ("if", "not", "exists"):
        at += 1
    name, at = _name(tokens, at)
    columns = _listed(tokens, at)
    body = next(
        (t for t in tokens[at:] if t.depth == 0 and t.kind == "word" and t.text.lower() == "as"), None
    )
    if body is None:
        return None
    return Created("create", name, columns, _without_tail(text[body.end :]))


def without_data(text: str) -> str:
    """Return CREATE TABLE AS so that it makes the table and runs no query.

    >>> without_data("create table t as select 1 WITH DATA")
    'create table t as select 1 WITH NO DATA'
    """
    return f"{_without_tail(text)} WITH NO DATA"


def truncated(text: str) -> list[tuple[str, ...]]:
    """Return the tables that a TRUNCATE empties.

    >>> truncated('truncate table only s.a, "B" cascade')
    [('s', 'a'), ('B',)]
    """
    tokens = [t for t in scan(text)[1:] if t.text.lower() not in ("table", "only", "*")]
    found, at = [], 0
    while at < len(tokens) and tokens[at].kind in ("word", "quoted"):
        name, at = _name(tokens, at)
        found.append(name)
        if at >= len(tokens) or tokens[at].text != ",":
            break
        at += 1
    return found


def _copied(text: str, tokens: list[Token]) -> Created | None:
    if len(tokens) > 1 and tokens[1].text == "(":
        close = next((t for t in tokens[2:] if t.text == ")" and t.depth == 0), None)
        query = text[tokens[1].end : close.start] if close else None
        return Created("copy", (), (), query)
    name, at = _name(tokens, 1)
    columns = _listed(tokens, at)
    direction = next(
        (t.text.lower() for t in tokens[at:] if t.depth == 0 and t.text.lower() in ("from", "to")), ""
    )
    if direction == "to":
        listed = text[tokens[at].end : _close(tokens, at).start] if columns else "*"
        source = text[tokens[1].start : tokens[at - 1].end]
        return Created("copy", (), (), f"SELECT {listed} FROM {source}")
    return Created("copy", name, columns, None) if direction == "from" else None


def _name(tokens: list[Token], at: int) -> tuple[tuple[str, ...], int]:
    parts = []
    while at < len(tokens) and tokens[at].kind in ("word", "quoted"):
        parts.append(_plain(tokens[at]))
        at += 1
        if at >= len(tokens) or tokens[at].text != ".":
            break
        at += 1
    return tuple(parts), at


def _listed(tokens: list[Token], at: int) -> tuple[str, ...]:
    if at >= len(tokens) or tokens[at].text != "(":
        return ()
    inner = tokens[at + 1 : tokens.index(_close(tokens, at))]
    names = [t for t in inner if t.text != ","]
    # Columns with types are a table's definition, which has no query.
    if len(names) * 2 - 1 != len(inner):
        return ()
    return tuple(_plain(t) for t in names)


def _close(tokens: list[Token], at: int) -> Token:
    depth = tokens[at].depth
    return next((t for t in tokens[at + 1 :] if t.text == ")" and t.depth == depth), tokens[-1])


def _without_tail(query: str) -> str:
    words = [t for t in scan(query) if t.depth == 0]
    tail = [t.text.lower() for t in words[-3:]]
    if tail[-3:] == ["with", "no", "data"]:
        query = query[: words[-3].start]
    elif tail[-2:] == ["with", "data"]:
        query = query[: words[-2].start]
    return query.strip()


def _plain(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text.lower()


def _after_comment(text: str, position: int) -> int:
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if match.group() == "/*" else -1
        if not depth:
            return match.end()
    return len(text)

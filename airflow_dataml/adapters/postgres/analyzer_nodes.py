"""PostgreSQL's node trees, as its catalog prints them, read into plain dictionaries and lists."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

Node: TypeAlias = dict[str, Any]

TAG = "!"
_TOKEN = re.compile(r"[(){}]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def read(text: str) -> list[Any]:
    r"""Return the trees of a text; a node is a dictionary with its kind under ``TAG``.

    >>> read('({VAR :varno 1 :name "a\\ b" :bits (b 8) :null <>})')
    [[{'!': 'VAR', 'varno': '1', 'name': 'a b', 'bits': ['b', '8'], 'null': None}]]
    """
    root: list[Any] = []
    stack: list[tuple[Any, str | None]] = []
    container: Any = root
    key: str | None = None
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if piece in "({":
            stack.append((container, key))
            container, key = ([], None) if piece == "(" else ({}, None)
        elif piece in ")}":
            done = container
            container, key = stack.pop()
            _put(container, key, done)
        elif not isinstance(container, dict):
            container.append(_atom(piece))
        elif not container:
            container[TAG] = piece
        elif piece[0] == ":" and (key is None or key in container):
            # A label is always followed by a value, so a name that begins with a colon is one.
            key = piece[1:]
        else:
            _put(container, key, _atom(piece))
    return root


def integers(value: Any) -> list[int]:
    """Return a list of numbers, which the server prints with a letter in front."""
    return [int(item) for item in value or () if item not in {"i", "o", "x", "b"}]


def number(node: Node, field: str, default: int = 0) -> int:
    """Return a field that is a number."""
    value = node.get(field)
    return default if value is None else int(value)


def _put(container: Any, key: str | None, value: Any) -> None:
    if isinstance(container, list):
        container.append(value)
    elif key is not None:
        # A constant is its length and its bytes; nobody asks for them.
        container.setdefault(key, value)


def _atom(piece: str) -> str | None:
    if piece == "<>":
        return None
    if len(piece) > 1 and piece[0] == piece[-1] == '"':
        piece = piece[1:-1]
    return _ESCAPE.sub(r"\1", piece) if "\\" in piece else piece

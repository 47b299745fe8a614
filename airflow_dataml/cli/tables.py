"""Plain text for people: aligned tables, fields, times and counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = "  "
_EMPTY = "-"


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing found.") -> str:
    """Return rows under headers, numbers to the right.

    >>> print(table(["name", "rows"], [["a", 1200], ["bb", None]]))
    NAME   ROWS
    a     1,200
    bb        -
    """
    found = [list(row) for row in rows]
    if not found:
        return empty
    times = [any(isinstance(row[i], datetime) for row in found) for i in range(len(headers))]
    titles = [name.upper() + (" (UTC)" if time else "") for name, time in zip(headers, times, strict=True)]
    cells = [titles, *([show(value) for value in row] for row in found)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    right = [
        any(isinstance(row[i], int | float) for row in found)
        and all(isinstance(row[i], int | float | None) for row in found)
        for i in range(len(headers))
    ]
    lines = (
        _GAP.join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def fields(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return names and values in two columns; what is not known is left out.

    >>> print(fields([("rows", 3), ("owner", None), ("uri", "dataml://dataset/a")]))
    rows  3
    uri   dataml://dataset/a
    """
    found = [(name, show(value)) for name, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in found), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in found)


def show(value: Any) -> str:
    """Return one value as people read it; times are UTC.

    >>> show(datetime(2013, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2013-01-02 03:04:05'
    """
    if value is None or value == "":
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, dict | list | tuple):
        words = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return (", ".join(value) or _EMPTY) if words else json.dumps(value, default=plain)
    return str(value)


def plain(value: Any) -> Any:
    """Return what JSON has no word for: times as ISO in UTC, anything else as text.

    >>> plain(datetime(2013, 1, 2, tzinfo=UTC))
    '2013-01-02T00:00:00+00:00'
    """
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def size(count: int) -> str:
    """Return a number of bytes as people say it.

    >>> size(512), size(20_480), size(3 << 20)
    ('512 B', '20.0 KiB', '3.0 MiB')
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"

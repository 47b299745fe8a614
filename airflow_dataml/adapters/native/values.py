"""Measured values as plain JSON: exact, comparable, and mergeable where their nature allows it.

A count is an integer. Any other value is its class and its text, ``["number", "12.5"]``; ``None`` is SQL's
NULL. Numbers are kept to the last digit. Sums of floating-point numbers depend on the order PostgreSQL
adds them in: two measurements of the same n rows may differ by n times 2**-53 of the sum of magnitudes.
"""

from __future__ import annotations

import math
import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native.binding import parse_time, utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Value = int | list[str] | None
_CLASSES = {
    "smallint": "number",
    "integer": "number",
    "bigint": "number",
    "numeric": "number",
    "real": "real",
    "double precision": "float",
    "boolean": "boolean",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "name": "text",
    "date": "time",
    "timestamp without time zone": "time",
    "timestamp with time zone": "time",
}
# Wide enough for the sum of any two values of PostgreSQL's numeric.
_EXACT = Context(prec=150_000, Emin=-(10**6), Emax=10**6)


class UnmergeableError(Exception):
    """The value of a whole does not follow from these values of its parts."""


def plain(kind: str, text: str | None) -> Value:
    """Keep a value PostgreSQL wrote as text.

    >>> plain("numeric", "12.50"), plain("timestamp with time zone", "2013-01-31 12:00:00+00"), plain("real", "0.1")
    (['number', '12.5'], ['time', '2013-01-31T12:00:00+00:00'], ['float', '0.10000000149011612'])
    """
    if text is None:
        return None
    found = _CLASSES.get(kind, kind)
    if found == "number":
        return ["number", text.rstrip("0").rstrip(".") if "." in text else text]
    if found in ("float", "real"):
        number = float(text)
        wide = struct.unpack("f", struct.pack("f", number))[0] if found == "real" else number
        return ["float", repr(wide)]
    if found == "time":
        time = parse_time(text)
        if time is None:
            return ["other", text]
        return ["time", (utc(time) if time.tzinfo is not None else time).isoformat()]
    return [found, text]


def python(value: Value) -> Any:
    """Return the value as Python has it: a number, a truth, a text; a time stays text.

    >>> python(["number", "3"]), python(["number", "0.1"]), python(["float", "nan"])
    (3, Decimal('0.1'), nan)
    """
    if not isinstance(value, list):
        return value
    found, text = value
    if found == "number":
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    if found == "float":
        return float(text)
    return text == "true" if found == "boolean" else text


def number(value: Any) -> Any:
    """Return a finite number, also one written as text; ``None`` for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    finite = isinstance(value, int | float | Decimal) and _finite(value)
    return value if finite else None


def time_of(value: Value) -> datetime | None:
    """Return the time a value is, or is written as."""
    if not isinstance(value, list) or value[0] not in ("time", "text"):
        return None
    return parse_time(value[1])


def merge(kind: str, values: Sequence[Value]) -> Value:
    """Return the value of a whole from those of its parts.

    >>> merge("sum", [["number", "0.1"], None, ["number", "0.2"]]), merge("count", [2, 3]), merge("max", [None])
    (['number', '0.3'], 5, None)

    :raises UnmergeableError: the values are neither numbers nor times.
    """
    if kind == "count":
        return sum(value for value in values if isinstance(value, int))
    known = [value for value in values if isinstance(value, list)]
    if not known:
        return None
    classes = {value[0] for value in known}
    if len(classes) > 1 or not classes <= {"number", "float", "time"}:
        raise UnmergeableError(*sorted(classes))
    if kind == "sum":
        return _sum(classes.pop(), [value[1] for value in known])
    return (min if kind == "min" else max)(known, key=_order)


def mean(total: Value, count: int) -> Any:
    """Return an average, rounded once; ``None`` of nothing."""
    found = number(python(total)) if count else python(total)
    if found is None or not count:
        return None if total is None or not count else float("nan")
    if isinstance(found, float):
        return found / count
    return float(Context(prec=40).divide(Decimal(found), Decimal(count)))


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (OverflowError, ValueError):
        return False


def _sum(found: str, texts: list[str]) -> Value:
    if found == "time":
        raise UnmergeableError(found)
    if found == "float":
        return ["float", repr(sum(map(float, texts)))]
    if not all(_finite(Decimal(text)) for text in texts):
        odd = {text for text in texts if not _finite(Decimal(text))}
        return ["number", odd.pop() if len(odd) == 1 else "NaN"]
    total = Decimal(0)
    for text in texts:
        total = _EXACT.add(total, Decimal(text))
    return plain("numeric", f"{total:f}")


def _order(value: list[str]) -> tuple[bool, Any]:
    """PostgreSQL's order: what is not a number comes after every number."""
    if value[0] == "time":
        time = parse_time(value[1])
        return False, utc(time) if time is not None else None
    found = python(value)
    odd = math.isnan(found)
    return odd, 0 if odd else found

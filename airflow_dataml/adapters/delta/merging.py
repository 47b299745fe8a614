"""Which files a merge may touch, from their keys alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.delta.types import arrow_type
from airflow_dataml.core.extras import load
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_dataml.core.datasets import Column, Part

# Of these, Arrow and PostgreSQL agree on which values are equal.
_WHOLE = ("smallint", "integer", "bigint")
_EXACT = (
    "boolean", "date", "text", "character varying", "uuid", "timestamp with time zone",
    "timestamp without time zone",
)  # fmt: skip


def values_of(columns: Iterable[Column], batches: Iterable[Any]) -> dict[str, Any]:
    """Return the values of a batch's keys as Arrow arrays, by column."""
    pyarrow = load("pyarrow", extra="delta")
    columns = list(columns)
    found = list(batches)
    return {
        c.name: pyarrow.chunked_array([batch.column(c.name) for batch in found], arrow_type(c)).unique()
        for c in columns
    }


def may_touch(
    part: Part,
    keys: Mapping[str, tuple[str, Any]],
    read: Callable[[list[str]], Iterator[Any]],
) -> bool:
    """Whether a part may hold a key of a batch; never false when it does.

    :param keys: type and values of each key column of the batch.
    :param read: yields batches of some columns of the part's file.
    """
    types = {c.name: c.type for c in part.columns}
    if not set(keys) <= set(types):
        return False
    testable = [name for name, (type_, _) in keys.items() if _comparable(type_, types[name])]
    if not testable:
        return True
    compute = load("pyarrow.compute", extra="delta")
    for batch in read(testable):
        hits = None
        for name in testable:
            column = batch.column(name)
            found = compute.is_in(column, value_set=keys[name][1].cast(column.type, safe=False))
            hits = found if hits is None else compute.and_(hits, found)
        if compute.any(hits).as_py():
            return True
    return False


def _comparable(one: str, other: str) -> bool:
    left, right = normal_type(one)[0], normal_type(other)[0]
    # A number too wide for the file's column comes out as another one there: a file more is read, none less.
    return (left in _WHOLE and right in _WHOLE) or (left == right and left in _EXACT)

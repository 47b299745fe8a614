"""Scans: rows on their way through a model, a block of columns at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.features import CodedColumn

#: Stands in a coded column for every value that was not asked for; no text of a database can be it.
UNSEEN = "\x00unseen"


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What is read of every row.

    :param numeric: columns read as float64, NaN where missing.
    :param coded: column -> the values told apart; every other value is ``UNSEEN``. ``None`` tells all apart,
        for which the distinct values are asked for first.
    :param keys: columns carried to the result as the server wrote them, looked at by nobody.
    """

    numeric: tuple[str, ...]
    coded: Mapping[str, Sequence[str] | None]
    keys: tuple[str, ...]
    block_rows: int = 8192


@dataclass(frozen=True, slots=True, eq=False)
class ScanBlock:
    """Rows that were read.

    :param keys: the key columns of each row, in the server's own form.
    """

    rows: int
    columns: dict[str, Any]
    keys: Any


@dataclass(frozen=True, slots=True, eq=False)
class KeyedBlock:
    """Rows to write: the keys of a scanned block, and a value per row for every further column.

    :param keys: as the scan gave them.
    :param values: column -> an array as long as the block (integers, floats with NaN for null, 16 bytes each of
        a uuid, coded texts, which may be JSON), or one value for all rows.
    """

    rows: int
    keys: Any
    values: dict[str, Any] = field(default_factory=dict)


def coded_values(codes: Any, values: Sequence[str]) -> CodedColumn:
    """A coded column of a scan: ``len(values)`` is the code of whatever was not asked for."""
    from airflow_dataml.core.features import CodedColumn

    unseen = len(codes) and codes.max() == len(values)
    return CodedColumn(codes=codes, values=(*values, UNSEEN) if unseen else tuple(values))

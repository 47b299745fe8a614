"""What is between two versions of a dataset: schema, rows, distributions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.profiles import counted, covered
from airflow_dataml.core.schemas import normal_type, widens
from airflow_dataml.core.statistics import count_into, equal_share_bins, psi

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.schemas import SchemaDiff
    from airflow_dataml.core.stores import RowDiff

MASK = "***"
_BINS = 20
_FLOATS = ("real", "double precision")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", *_FLOATS)
_STATISTICS = ("nulls", "distinct", "mean", "std", "min", "max")


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """One column of one version, in a few numbers; what its type does not have is ``None``."""

    nulls: int
    distinct: int | None = None
    mean: float | None = None
    std: float | None = None
    min: Any = None
    max: Any = None


@dataclass(frozen=True, slots=True)
class DistributionDelta:
    """How the values of one column moved.

    :param old: ``None`` for a column that is new; ``new`` for one that is gone.
    :param psi: population stability index of the two histograms; ``None`` where they have no bins in common.
    """

    column: str
    old: ColumnStatistics | None
    new: ColumnStatistics | None
    psi: float | None = None

    @property
    def moved(self) -> bool:
        """Whether any number differs."""
        return self.old != self.new or bool(self.psi)


@dataclass(frozen=True, slots=True)
class VersionSide:
    """A version as a diff names it."""

    ref: str
    rows: int | None
    fingerprint: str | None

    @classmethod
    def of(cls, version: Version) -> VersionSide:
        """Take from a version what a diff says of it."""
        return cls(version.ref, version.rows, version.fingerprint)


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """Everything that is between two versions.

    :param rows: ``None`` where rows were not compared; ``unread`` says why.
    :param columns: distributions of every column, in the order readers know.
    :param masked: columns whose values samples and extremes do not show.
    """

    old: VersionSide
    new: VersionSide
    schema: SchemaDiff
    rows: RowDiff | None
    columns: tuple[DistributionDelta, ...] = ()
    masked: tuple[str, ...] = ()
    unread: str | None = None

    @property
    def same(self) -> bool:
        """Whether schema and rows are equal."""
        return not self.schema.changes and self.rows is not None and self.rows.same

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "old": asdict(self.old),
            "new": asdict(self.new),
            "same": self.same,
            "schema": self.schema.to_dict(),
            "rows": self.rows.to_dict() if self.rows else None,
            "columns": [asdict(c) for c in self.columns],
            "masked": list(self.masked),
            "unread": self.unread,
        }


def common_columns(old: Sequence[Column], new: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns two schemas share, in a type that holds the values of both.

    >>> common_columns([Column("a", "integer"), Column("b", "text")], [Column("a", "bigint")])
    (Column(name='a', type='bigint'),)
    >>> common_columns([Column("a", "date")], [Column("a", "integer")])
    (Column(name='a', type='text'),)
    """
    types = {c.name: c.type for c in old}
    return tuple(Column(c.name, _common_type(types[c.name], c.type)) for c in new if c.name in types)


def _common_type(old: str, new: str) -> str:
    if widens(old, new):
        return new
    if widens(new, old):
        return old
    kinds = {normal_type(old)[0], normal_type(new)[0]}
    if kinds <= set(_NUMBERS) and not any(normal_type(t)[2] for t in (old, new)):
        return "double precision" if kinds & set(_FLOATS) else "numeric"
    return "text"


def distribution_deltas(
    old: Mapping[str, Any], new: Mapping[str, Any], *, columns: Sequence[str]
) -> tuple[DistributionDelta, ...]:
    """Compare two profiles column by column.

    :param columns: those to compare; one that a profile does not have is taken for one its version lacks.

    >>> one = {"rows": 2, "columns": {"c": {"nulls": 0, "distinct": 1, "values": [["a", 2]], "other": 0}}}
    >>> two = {"rows": 2, "columns": {"c": {"nulls": 1, "distinct": 1, "values": [["a", 1]], "other": 0}}}
    >>> distribution_deltas(one, two, columns=["c"])[0].new
    ColumnStatistics(nulls=1, distinct=1, mean=None, std=None, min=None, max=None)
    """
    deltas = []
    for name in columns:
        before, after = old["columns"].get(name), new["columns"].get(name)
        if before is None and after is None:
            continue
        sides = (_statistics(before, old["rows"]), _statistics(after, new["rows"]))
        deltas.append(DistributionDelta(name, *sides, psi=_psi(before, after)))
    return tuple(deltas)


def _statistics(column: Mapping[str, Any] | None, rows: int) -> ColumnStatistics | None:
    if column is None:
        return None
    n, total, squares = rows - column["nulls"], column.get("sum"), column.get("squares")
    mean = std = None
    if n and total is not None:
        mean = float(total) / n
        if squares is not None:
            std = math.sqrt(max(float(squares) / n - mean**2, 0.0))
    return ColumnStatistics(
        column["nulls"], column.get("distinct"), mean, std, column.get("min"), column.get("max")
    )


def _psi(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> float | None:
    if before is None or after is None:
        return None
    sides = _bins(before, after)
    if sides is None or not all(sum(side) for side in sides):
        return None
    # Shares of a sample are as uncertain as the sample is small.
    sizes = [counted(c) / (covered(c) or 1) for c in (before, after)]
    left, right = ([count * size for count in side] for side, size in zip(sides, sizes, strict=True))
    value = 0.0 if left == right else psi(left, right)
    return round(value, 6)


def _bins(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[int], list[int]] | None:
    """Counts of both sides in the same bins; none for moments, which always move."""
    if all(side.get("grid") and side.get("cells") for side in (before, after)):
        if before["grid"] != after["grid"]:
            return None
        edges, lowest = equal_share_bins(before["cells"], bins=_BINS), before["cells"][0][0]
        sides = [count_into(side["cells"], edges, lowest=lowest) for side in (before, after)]
        kept = [pair for pair in zip(*sides, strict=True) if any(pair)]
        return [left for left, _ in kept], [right for _, right in kept]
    if not all("values" in side for side in (before, after)):
        return None
    old, new = dict(before["values"]), dict(after["values"])
    top = list(dict.fromkeys([*list(old)[:_BINS], *list(new)[:_BINS]]))
    rest = [sum(known.values()) + side.get("other", 0) for known, side in ((old, before), (new, after))]
    left, right = [old.get(v, 0) for v in top], [new.get(v, 0) for v in top]
    return [*left, rest[0] - sum(left)], [*right, rest[1] - sum(right)]


def masked(diff: VersionDiff, columns: Collection[str]) -> VersionDiff:
    """Return a diff whose samples and extremes hide the values of some columns; what changed still shows.

    :param columns: those that neither version has are passed over.
    """
    if not columns:
        return diff
    rows = diff.rows
    if rows is not None:
        rows = replace(
            rows,
            samples={kind: [_hide(row, columns) for row in found] for kind, found in rows.samples.items()},
        )
    deltas = tuple(_hide_extremes(c) if c.column in columns else c for c in diff.columns)
    return replace(diff, rows=rows, columns=deltas, masked=tuple(sorted(columns)))


def _hide(row: Any, columns: Collection[str]) -> Any:
    if isinstance(row, list):
        return [_hide(one, columns) for one in row]
    return {name: MASK if name in columns and value is not None else value for name, value in row.items()}


def _hide_extremes(delta: DistributionDelta) -> DistributionDelta:
    old, new = (
        replace(side, min=MASK, max=MASK, mean=None, std=None) if side else None
        for side in (delta.old, delta.new)
    )
    return replace(delta, old=old, new=new)

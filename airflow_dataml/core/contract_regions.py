"""The values a threshold lets through, as intervals that can be compared.

An end of an interval is ``(value, side)``: side 0 is the value itself, 1 just above it, -1 just below,
so that open and closed ends sort as numbers do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.contract_rules import VARIABLE, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_dataml.core.contract_rules import Comparison

End = tuple[float, int]
_LOWEST, _HIGHEST = (-math.inf, 0), (math.inf, 0)


@dataclass(frozen=True, slots=True)
class Region:
    """Disjoint intervals in ascending order; both ends belong to each.

    >>> Region.of(low=(0, 1)).within(Region.of(low=(0, 0)))
    True
    """

    intervals: tuple[tuple[End, End], ...] = ((_LOWEST, _HIGHEST),)

    @classmethod
    def of(cls, low: End = _LOWEST, high: End = _HIGHEST) -> Region:
        """Everything between two ends."""
        return cls(((low, high),) if low <= high else ())

    def within(self, other: Region) -> bool:
        """Whether every value here is also there."""
        return all(
            any(wide[0] <= low and high <= wide[1] for wide in other.intervals)
            for low, high in self.intervals
        )

    def both(self, other: Region) -> Region:
        """The values in this region and in another."""
        pairs = [
            (max(one[0], two[0]), min(one[1], two[1])) for one in self.intervals for two in other.intervals
        ]
        return Region(tuple(sorted(pair for pair in pairs if pair[0] <= pair[1])))

    def times(self, factor: float) -> Region:
        """The same region in a smaller unit."""
        return Region(
            tuple(((low[0] * factor, low[1]), (high[0] * factor, high[1])) for low, high in self.intervals)
        )

    def whole(self) -> Region:
        """The same region of whole numbers, so that ``< 1`` and ``= 0`` are one for counts.

        >>> Region.of(low=(0, 0), high=(1, -1)).whole() == Region.of(low=(0, 0), high=(0, 0))
        True
        """
        ends = [(_whole(low, up=True), _whole(high, up=False)) for low, high in self.intervals]
        return Region(tuple(pair for pair in ends if pair[0] <= pair[1]))


EVERYTHING = Region()
NOTHING_WRONG = Region.of(low=(0, 0), high=(0, 0))


def region_of(
    comparison: Comparison | None, *, default: str, resolve: Callable[[str], float | None]
) -> Region | None:
    """Return the values a comparison lets through; ``None`` where a bound is not known yet.

    :param default: what a check compares with that writes nothing, ``= 0`` or ``> 0``; empty for everything.
    :param resolve: a variable's name -> its number, if it has one.

    >>> region_of(None, default="> 0", resolve={}.get) == Region.of(low=(0, 1))
    True
    """
    for name in comparison.comparisons if comparison is not None else ():
        try:
            return _Bounds(resolve).region(name, getattr(comparison, name))
        except LookupError:
            return None
    return {"": EVERYTHING, "= 0": NOTHING_WRONG, "> 0": Region.of(low=(0, 1))}.get(default)


class _Bounds:
    def __init__(self, resolve: Callable[[str], float | None]) -> None:
        self._resolve = resolve

    def region(self, name: str, value: object) -> Region:
        if isinstance(value, Range):
            low, high = self._ends(value)
            inside = name == "must_be_between"
            return Region.of(low=low, high=high) if inside else Region(((_LOWEST, high), (low, _HIGHEST)))
        number = self._number(value)
        if name == "must_not_be":
            return Region(((_LOWEST, (number, -1)), ((number, 1), _HIGHEST)))
        if name == "must_be":
            return Region.of(low=(number, 0), high=(number, 0))
        side = 0 if name.endswith("or_equal") else 1
        return Region.of(low=(number, side)) if "greater" in name else Region.of(high=(number, -side))

    def _ends(self, given: Range) -> tuple[End, End]:
        low, high = (self._number(bound) for bound in given.bounds)
        return (low, int(given.greater_than is not None)), (high, -int(given.less_than is not None))

    def _number(self, value: object) -> float:
        if isinstance(value, int | float):
            return value
        found = VARIABLE.fullmatch(str(value))
        number = self._resolve(found[2]) if found is not None and found[1] == "var" else None
        if number is None:
            raise LookupError
        return number


def _whole(end: End, *, up: bool) -> End:
    value, side = end
    if math.isinf(value):
        return end
    if up:
        return (math.floor(value) + 1 if side > 0 else math.ceil(value), 0)
    return (math.ceil(value) - 1 if side < 0 else math.floor(value), 0)


def meet(regions: Iterable[Region]) -> Region:
    """The values in every region."""
    result = EVERYTHING
    for region in regions:
        result = result.both(region)
    return result

"""Parts by the range of their keys: what cannot meet need not be joined, and small joins are cheap ones."""

from __future__ import annotations

import bisect
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Part

_INTEGERS = ("smallint", "integer", "bigint")
# Each slice is a join of its own in one statement, which must not take longer to plan than to run.
_MOST = 64
# Rows that may be read again because their part lies across a cut and has no index, as a share of all rows.
_AGAIN = 0.25
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part, or those of its rows that a condition lets through."""

    part: Part
    where: str = ""


@dataclass(slots=True)
class Slice:
    """Rows of both sides whose keys lie between two cuts."""

    old: list[Piece] = field(default_factory=list)
    new: list[Piece] = field(default_factory=list)

    @property
    def joined(self) -> bool:
        """Whether it must be read: else whole parts of one side meet nobody."""
        return bool(self.old and self.new) or any(p.where for p in (*self.old, *self.new))


def slices_of(db: Connection, old: Sequence[Part], new: Sequence[Part], *, key: str) -> list[Slice]:
    """Cut both sides at the same keys, so that equal keys are in one slice.

    Only integer keys are looked at: others seldom come in ranges. With an index over the key, as parts have
    over the keys of their layout, the range of a part costs two look-ups.

    :param key: the first of the key columns.
    """
    ranges = _ranges(db, (*old, *new), key) if len(old) + len(new) > 2 else None
    if ranges is None:
        return [Slice([Piece(p) for p in old], [Piece(p) for p in new])]
    cuts = choose_cuts([(ranges[p.part_id], p.rows) for p in (*old, *new)])
    slices = [Slice() for _ in range(len(cuts) + 1)]
    for part in old:
        for i, piece in _pieces(part, ranges[part.part_id], cuts, key):
            slices[i].old.append(piece)
    for part in new:
        for i, piece in _pieces(part, ranges[part.part_id], cuts, key):
            slices[i].new.append(piece)
    return [s for s in slices if s.old or s.new]


def choose_cuts(parts: Sequence[tuple[Range, int]]) -> list[int]:
    """Return the keys to cut before: where parts have ended, others begin, and few rows lie across.

    :param parts: range and rows of each part.

    >>> choose_cuts([((1, 9), 100), ((10, 19), 100), ((1, 9), 100), ((10, 19), 100), ((5, 15), 2)])
    [10]
    >>> choose_cuts([((1, 19), 100), ((10, 19), 100)])
    []
    """
    across, ended = 0, False
    reaching: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []
    for (low, high), rows in sorted(parts):
        while reaching and reaching[0][0] < low:
            across -= heapq.heappop(reaching)[1]
            ended = True
        if ended:
            places.append((across, low))
            ended = False
        heapq.heappush(reaching, (high, rows))
        across += rows
    budget = _AGAIN * sum(rows for _, rows in parts)
    cuts: list[int] = []
    for cost, low in sorted(places):
        budget -= cost
        if budget < 0:
            break
        cuts.append(low)
    step = -(-len(cuts) // (_MOST - 1)) or 1
    return sorted(cuts)[::step]


def _pieces(part: Part, span: Range, cuts: Sequence[int], key: str) -> list[tuple[int, Piece]]:
    first, last = (bisect.bisect_right(cuts, end) for end in span)
    if first == last:
        return [(first, Piece(part))]
    name = quote_identifier(key)
    pieces = [(first, Piece(part, f"{name} < {cuts[first]} OR {name} IS NULL"))]
    pieces += [
        (i, Piece(part, f"{name} >= {cuts[i - 1]} AND {name} < {cuts[i]}")) for i in range(first + 1, last)
    ]
    return [*pieces, (last, Piece(part, f"{name} >= {cuts[last - 1]}"))]


def _ranges(db: Connection, parts: Sequence[Part], key: str) -> Mapping[int, Range] | None:
    types = [next((c.type for c in part.columns if c.name == key), "") for part in parts]
    if any(normal_type(type_)[0] not in _INTEGERS or normal_type(type_)[2] for type_ in types):
        return None
    name = quote_identifier(key)
    rows = db.rows(
        " UNION ALL ".join(
            f"SELECT {i} AS i, min({name})::bigint AS low, max({name})::bigint AS high FROM {part.relation.quoted}"
            for i, part in enumerate(parts)
        )
    )
    # A part of nulls alone meets nobody, wherever it is.
    return {parts[r["i"]].part_id: (r["low"] or 0, r["high"] or 0) for r in rows}

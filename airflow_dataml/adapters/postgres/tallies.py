"""The profile of a numeric column that is being written, counted on its way there.

What comes out is what ``profiles`` reads from a small table, hashes included, and rests on every row however
many there are; so nothing written has to be read again, and it adds up with profiles the server made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.extras import load
from airflow_dataml.core.profiles import CELLS, HASH_BITS, SKETCH, distinct

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Column

_EXTRA = "monitoring"
_LARGEST = 1e130
_START = 0x9E3779B9 + 8 + 3923095
_MASK = (1 << HASH_BITS) - 1


class Tally:
    """Counts of one column of doubles; a block costs some fifteen nanoseconds a value.

    :param column: of type ``double precision``.
    :param grid: edges of the histogram.
    """

    def __init__(self, column: Column, grid: tuple[float, float]) -> None:
        np = load("numpy", extra=_EXTRA)
        self._column, self._grid = column, grid
        self._n = self._absent = self._nonfinite = 0
        self._sum = self._mean = self._spread = 0.0
        self._low, self._high = np.inf, -np.inf
        self._cells = np.zeros(CELLS + 2, dtype=np.int64)
        self._hashes, self._counts = np.empty(0, np.uint64), np.empty(0, np.int64)

    def add(self, values: Any) -> None:
        """Count a block of values; NaN is null."""
        np = load("numpy", extra=_EXTRA)
        present = values[~np.isnan(values)]
        known = present[np.abs(present) <= _LARGEST]
        self._absent += len(values) - len(present)
        self._nonfinite += len(present) - len(known)
        if not len(known):
            return
        self._add_moments(known)
        low, high = self._grid
        place = np.clip(np.floor((known - low) / (high - low) * CELLS) + 1, 0, CELLS + 1)
        self._cells += np.bincount(place.astype(np.int64), minlength=CELLS + 2)
        hashes = hash_doubles(known) & np.uint64(_MASK)
        if len(self._hashes) == SKETCH:
            hashes = hashes[hashes <= self._hashes[-1]]
        found, counts = np.unique(hashes, return_counts=True)
        merged, where = np.unique(np.concatenate([self._hashes, found]), return_inverse=True)
        total = np.bincount(where, weights=np.concatenate([self._counts, counts])).astype(np.int64)
        self._hashes, self._counts = merged[:SKETCH], total[:SKETCH]

    def _add_moments(self, known: Any) -> None:
        n, mean, spread = len(known), float(known.mean()), float(known.var()) * len(known)
        apart, both = mean - self._mean, self._n + n
        # Chan's way: squares about the mean do not cancel, as sums of squares would.
        self._spread += spread + apart**2 * self._n * n / both
        self._mean += apart * n / both
        self._n = both
        self._sum += float(known.sum())
        self._low, self._high = min(self._low, float(known.min())), max(self._high, float(known.max()))

    def profile(self) -> dict[str, Any]:
        """The column's profile, see ``core.profiles``."""
        body: dict[str, Any] = {
            "type": self._column.type,
            "kind": "numeric",
            "nulls": self._absent + self._nonfinite,
        }
        if self._nonfinite:
            body["nonfinite"] = self._nonfinite
        if not self._n:
            empty: dict[str, Any] = {
                "min": None,
                "max": None,
                "sum": 0,
                "squares": 0,
                "grid": None,
                "cells": [],
            }
            return body | empty | {"distinct": 0, "sketch": {"n": 0, "hashes": []}}
        cells = [[cell, count] for cell, count in enumerate(self._cells.tolist()) if count]
        hashes = [list(pair) for pair in zip(self._hashes.tolist(), self._counts.tolist(), strict=True)]
        sketch = {"n": self._n, "hashes": hashes}
        return body | {
            "min": self._low,
            "max": self._high,
            "sum": self._sum,
            "squares": self._spread + self._sum**2 / self._n,
            "grid": list(self._grid),
            "cells": cells,
            "distinct": distinct(sketch, total=self._n),
            "sketch": sketch,
        }


def hash_doubles(values: Any) -> Any:
    """PostgreSQL's ``hashfloat8extended(., 0)`` of finite numbers, as ``uint64``.

    Bob Jenkins' lookup3 of the eight bytes, of which only the last mixing is left for a seed of 0.
    """
    np = load("numpy", extra=_EXTRA)
    words = np.ascontiguousarray(values, dtype="<f8").view("<u4").reshape(-1, 2)
    start = np.uint32(_START & 0xFFFFFFFF)
    a, b = words[:, 0] + start, words[:, 1] + start
    c = np.full_like(a, start)
    for one, other, turn in (
        ("c", "b", 14), ("a", "c", 11), ("b", "a", 25), ("c", "b", 16), ("a", "c", 4), ("b", "a", 14), ("c", "b", 24),
    ):  # fmt: skip
        target, source = (({"a": a, "b": b, "c": c})[name] for name in (one, other))
        target ^= source
        target -= (source << np.uint32(turn)) | (source >> np.uint32(32 - turn))
    hashes = (b.astype(np.uint64) << np.uint64(32)) | c
    # Both zeros hash to the seed.
    hashes[np.asarray(values) == 0] = 0
    return hashes

"""Fitting an encoding to rows that come in blocks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_dataml.core.features import (
    FeatureEncoding,
    as_coded,
    as_numbers,
    categorical_encoding,
    column_of,
    counts_of,
    known_of,
    numeric_encoding,
)
from airflow_dataml.core.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_dataml.core.features import Columns, Feature


class EncodingFit:
    """A fit from blocks of rows, for columns that do not fit in memory.

    Vocabularies and missing fractions are exactly those of :meth:`FeatureEncoding.fit`. So are means and
    deviations of a single block; those of several are merged, and differ from it by rounding alone, in about
    the last two of sixteen digits. Memory: every distinct value of a categorical column is kept with its count.

    >>> from airflow_dataml.core.features import Feature
    >>> fitting = EncodingFit([Feature(name="delay"), Feature(name="carrier", kind="categorical")])
    >>> fitting.add({"delay": [1.0, None], "carrier": ["UA", "AA"]})
    >>> fitting.add({"delay": [3.0, 9.0], "carrier": ["AA", "UA"]}, rows=1)
    >>> fitting.encoding().numeric[0].mean, fitting.encoding().categorical[0].vocabulary
    (2.0, ('AA', 'UA'))
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self._features = tuple(features)
        self._moments = {f.name: Moments() for f in self._features if f.kind == "numeric"}
        self._tallies: dict[str, Counter[str]] = {
            f.name: Counter() for f in self._features if f.kind == "categorical"
        }
        self._rows = 0

    def add(self, columns: Columns, *, rows: int | None = None) -> None:
        """Learn from one more block.

        :param rows: how many rows, from the block's first, to learn from; all where ``None``.
        """
        length = 0
        for name, moments in self._moments.items():
            values = as_numbers(name, column_of(columns, name))[:rows]
            length = len(values)
            moments.add(known_of(values))
        for name, tally in self._tallies.items():
            coded = as_coded(column_of(columns, name))
            length = len(coded.codes[:rows])
            tally.update(counts_of(coded, rows))
        self._rows += length

    def encoding(self) -> FeatureEncoding:
        """Return what all blocks together say."""
        return FeatureEncoding(
            numeric=tuple(numeric_encoding(name, found, self._rows) for name, found in self._moments.items()),
            categorical=tuple(categorical_encoding(name, tally) for name, tally in self._tallies.items()),
        )

"""Features and their encoding: how named columns become the two arrays a model reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.errors import NotFoundError, TrainingSpecError
from airflow_dataml.core.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Integers: TypeAlias = npt.NDArray[np.int64]

VOCABULARY_LIMIT = 512
LARGEST_MAGNITUDE = 1e30
_NEAR_LARGEST = 0.99e30
FLOAT32_RESOLUTION = 1e-7
_FLAGS = {"t": 1.0, "true": 1.0, "f": 0.0, "false": 0.0}


class Feature(BaseModel):
    """One input column of a model.

    :param name: the column's name in the dataset, as the database spells it.
    :param kind: ``numeric`` is standardised; ``categorical`` is looked up in a vocabulary, whatever
        the column's database type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    kind: Literal["numeric", "categorical"] = "numeric"


@dataclass(frozen=True, slots=True, eq=False)
class CodedColumn:
    """A column of repeated values, stored once each: ``values[codes]``, where code -1 is missing."""

    codes: npt.NDArray[Any]
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def to_objects(self) -> npt.NDArray[Any]:
        """The column spelled out: an object array of ``str`` and ``None``."""
        import numpy as np

        spelled: npt.NDArray[Any] = np.array([*self.values, None], dtype=object)
        return spelled.take(self.codes, mode="wrap")


if TYPE_CHECKING:
    Column: TypeAlias = Sequence[Any] | npt.NDArray[Any] | CodedColumn
    Columns: TypeAlias = Mapping[str, Column]


class NumericEncoding(BaseModel):
    """What a model knows about a numeric column; a missing value is read as the mean.

    :param mean: mean over the training rows that have a value; 0 where none has.
    :param std: population standard deviation over the same rows; 1 where it would be 0.
    :param missing_fraction: share of training rows without a usable value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    mean: float
    std: float = Field(gt=0)
    missing_fraction: float = Field(ge=0, le=1)


class CategoricalEncoding(BaseModel):
    """What a model knows about a categorical column.

    :param vocabulary: the most frequent values of the training rows, most frequent first. The value
        at position ``i`` is encoded ``i + 1``; 0 stands for missing, rare and unseen values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    vocabulary: tuple[str, ...]


class FeatureEncoding(BaseModel):
    """The fitted, storable map from named columns to the arrays of a model.

    Numeric values leave :meth:`encode` as they are: the model itself standardises them, so the
    exported graph cannot be fed with another mean. Only the vocabularies are applied here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    numeric: tuple[NumericEncoding, ...] = ()
    categorical: tuple[CategoricalEncoding, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that :meth:`encode` reads."""
        return (*(column.name for column in self.numeric), *(column.name for column in self.categorical))

    @classmethod
    def fit(cls, features: Iterable[Feature], columns: Columns, *, rows: int | None = None) -> Self:
        """Learn means, deviations and vocabularies.

        :param rows: how many rows, from the first, to learn from; all where ``None``. The rows kept
            for validation must not be among them.

        >>> encoding = FeatureEncoding.fit(
        ...     [Feature(name="delay"), Feature(name="carrier", kind="categorical")],
        ...     {"delay": [1.0, None, 3.0], "carrier": ["AA", "UA", "AA"]},
        ... )
        >>> encoding.numeric[0].mean, encoding.categorical[0].vocabulary
        (2.0, ('AA', 'UA'))
        """
        numeric: list[NumericEncoding] = []
        categorical: list[CategoricalEncoding] = []
        for feature in features:
            column = column_of(columns, feature.name)
            if feature.kind == "numeric":
                numeric.append(_fit_numeric(feature.name, as_numbers(feature.name, column)[:rows]))
            else:
                categorical.append(categorical_encoding(feature.name, counts_of(as_coded(column), rows)))
        return cls(numeric=tuple(numeric), categorical=tuple(categorical))

    def encode(self, columns: Columns) -> tuple[npt.NDArray[np.float32], Integers]:
        """Return ``numeric`` ([rows, numeric columns], NaN where missing) and ``categorical`` ([rows, ..]).

        :param columns: at least the columns of :attr:`columns`; others are ignored.

        >>> encoding = FeatureEncoding(
        ...     categorical=(CategoricalEncoding(name="carrier", vocabulary=("AA", "UA")),)
        ... )
        >>> encoding.encode({"carrier": ["UA", None, "??"]})[1].tolist()
        [[2], [0], [0]]
        """
        import numpy as np

        rows = self._rows(columns)
        numeric = np.empty((rows, len(self.numeric)), dtype=np.float32)
        categorical = np.empty((rows, len(self.categorical)), dtype=np.int64)
        with np.errstate(over="ignore"):
            for place, number in enumerate(self.numeric):
                numeric[:, place] = as_numbers(number.name, column_of(columns, number.name))
        # One look at all columns; what is near the limit, hardly ever anything, is looked at exactly.
        far = (numeric > _NEAR_LARGEST) | (numeric < -_NEAR_LARGEST)
        for place in np.flatnonzero(far.any(axis=0)).tolist() if far.any() else ():
            name = self.numeric[place].name
            numeric[:, place] = _usable(as_numbers(name, column_of(columns, name)))
        for place, category in enumerate(self.categorical):
            coded = as_coded(column_of(columns, category.name))
            index = {value: number for number, value in enumerate(category.vocabulary, start=1)}
            lookup = np.array([*(index.get(value, 0) for value in coded.values), 0], dtype=np.int64)
            categorical[:, place] = lookup[coded.codes]
        return numeric, categorical

    def _rows(self, columns: Columns) -> int:
        lengths = {name: len(column_of(columns, name)) for name in self.columns}
        if len(set(lengths.values())) > 1:
            msg = f"feature columns have different lengths: {lengths}; give every column one value per row."
            raise TrainingSpecError(msg)
        return next(iter(lengths.values()), 0)


def column_of(columns: Columns, name: str) -> Column:
    """Return a column by its name, or say which names are near it."""
    if name not in columns:
        raise NotFoundError.from_available(what="feature column", name=name, available=columns)
    return columns[name]


def as_numbers(name: str, column: Column) -> Floats:
    """Return a column as float64, NaN where it is missing; ``t`` and ``f`` count as 1 and 0.

    >>> as_numbers("late", ["t", None, "f", "2.5"]).tolist()
    [1.0, nan, 0.0, 2.5]
    """
    import numpy as np

    if isinstance(column, CodedColumn):
        numbers = np.append(as_numbers(name, np.array(column.values, dtype=object)), np.nan)
        return numbers.take(column.codes, mode="wrap")
    array = column if isinstance(column, np.ndarray) else np.array(column, dtype=object)
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return np.fromiter((_number(name, value) for value in array), np.float64, len(array))


def _number(name: str, value: object) -> float:
    try:
        if value is None:
            return math.nan
        return _FLAGS[value] if value in _FLAGS else float(value)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError) as err:
        msg = f"column {name!r} holds {value!r}, which is no number; declare it kind: categorical, or cast it in the dataset."
        raise TrainingSpecError(msg) from err


def as_coded(column: Column) -> CodedColumn:
    """Return a column with each distinct value stored once, as the text Postgres would print.

    >>> coded = as_coded(["b", "a", None, "b"])
    >>> coded.codes.tolist(), coded.values
    ([0, 1, -1, 0], ('b', 'a'))
    """
    import numpy as np

    if isinstance(column, CodedColumn):
        return column
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        distinct, inverse = np.unique(column, return_inverse=True)
        seen, codes = distinct.tolist(), inverse.astype(np.int64)
    else:
        first: dict[Any, int] = {value: place for place, value in enumerate(dict.fromkeys(column))}
        seen, codes = list(first), np.fromiter(map(first.__getitem__, column), np.int64, len(column))
    texts = [_text(value) for value in seen]
    values = tuple(dict.fromkeys(text for text in texts if text is not None))
    place_of = {text: place for place, text in enumerate(values)}
    recode = np.array([-1 if text is None else place_of[text] for text in texts] or [-1], dtype=np.int64)
    return CodedColumn(codes=recode[codes], values=values)


def _text(value: object) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - only NaN differs from itself
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _usable(values: Floats) -> Floats:
    """Replace what float32 arithmetic cannot carry by missing, which a model knows how to read."""
    import numpy as np

    return np.where(np.abs(values) < LARGEST_MAGNITUDE, values, np.nan)


def known_of(values: Floats) -> Floats:
    """Return the numbers of a column that float32 arithmetic can carry."""
    import numpy as np

    found = _usable(values)
    return found[~np.isnan(found)]


def _fit_numeric(name: str, values: Floats) -> NumericEncoding:
    moments = Moments()
    moments.add(known_of(values))
    return numeric_encoding(name, moments, values.size)


def numeric_encoding(name: str, moments: Moments, rows: int) -> NumericEncoding:
    """Return what the moments of ``rows`` rows say about a column."""
    mean, std = moments.mean, moments.std
    # A deviation below float32's resolution is rounding noise; dividing by it would blow the noise up.
    spread = std > FLOAT32_RESOLUTION * abs(mean)
    missing = 1.0 - moments.count / rows if rows else 0.0
    return NumericEncoding(name=name, mean=mean, std=std if spread else 1.0, missing_fraction=missing)


def counts_of(coded: CodedColumn, rows: int | None) -> dict[str, int]:
    """Return how often each value is in the first rows."""
    import numpy as np

    codes = coded.codes[:rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(coded.values)).tolist()
    return {value: count for value, count in zip(coded.values, counts, strict=True) if count}


def categorical_encoding(name: str, tally: Mapping[str, int]) -> CategoricalEncoding:
    """Return the vocabulary of counted values."""
    ranked = sorted(tally, key=lambda value: (-tally[value], value))
    return CategoricalEncoding(name=name, vocabulary=tuple(ranked[:VOCABULARY_LIMIT]))

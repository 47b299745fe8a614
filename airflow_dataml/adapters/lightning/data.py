"""Training data: from a CSV file to tensors that are sliced, never collated row by row."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import CodedColumn, FeatureEncoding, as_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from airflow_dataml.core.features import Column
    from airflow_dataml.core.training import TrainingSpec

    Tensors = tuple[Tensor, Tensor, Tensor]

EPOCHS_PER_SEED = 1_000_003
FEWEST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """What was learnt about the target from the training rows; a regression is trained on (y - mean) / std."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A training file in memory, oldest row first.

    :param tensors: numeric, categorical, and the target as the module sees it.
    :param labels: the target as the dataset has it.
    :param train_rows: how many rows, from the first, are trained on; the rest validate.
    """

    encoding: FeatureEncoding
    target: Target
    tensors: Tensors
    labels: npt.NDArray[np.float64]
    train_rows: int

    @property
    def training(self) -> Tensors:
        """The head of the file."""
        return _slice(self.tensors, slice(None, self.train_rows))

    @property
    def validation(self) -> Tensors:
        """The tail of the file."""
        return _slice(self.tensors, slice(self.train_rows, None))


def load(path: Path, spec: TrainingSpec) -> TrainingData:
    """Read, check and encode a training file; needs about three times its size in memory.

    :raises TrainingSpecError: columns, rows or labels are not what the spec promises.
    """
    import torch

    columns = _read(path, spec)
    labels = as_numbers(spec.target, columns.pop(spec.target))
    if len(labels) < FEWEST_ROWS:
        msg = (
            f"training data of model {spec.model!r} has {len(labels)} rows, at least {FEWEST_ROWS} are needed; "
            "check the dataset version and its filter."
        )
        raise TrainingSpecError(msg)
    train_rows = len(labels) - max(1, round(len(labels) * spec.validation_fraction))
    target = _examine(spec, labels, train_rows)
    encoding = FeatureEncoding.fit(spec.features, columns, rows=train_rows)
    numeric, categorical = encoding.encode(columns)
    scaled = ((labels - target.mean) / target.std) if spec.task == "regression" else labels
    tensors = (
        torch.from_numpy(numeric),
        torch.from_numpy(categorical),
        torch.from_numpy(scaled.astype("float32")),
    )
    return TrainingData(encoding, target, tensors, labels, train_rows)


def _read(path: Path, spec: TrainingSpec) -> dict[str, Column]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    absent = sorted(set(spec.required_columns) - set(header))
    if absent:
        msg = f"training data of model {spec.model!r} lack columns {absent}; the file has {header}."
        raise TrainingSpecError(msg)
    coded = {feature.name for feature in spec.features if feature.kind == "categorical"}
    text = pa.dictionary(pa.int32(), pa.string())
    try:
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(spec.required_columns),
                column_types={name: text if name in coded else pa.string() for name in spec.required_columns},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as err:
        msg = f"training data {str(path)!r} is no CSV with one header: {err}"
        raise TrainingSpecError(msg) from err
    return {name: _column(table.column(name).combine_chunks()) for name in table.column_names}


def _column(array: Any) -> Column:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return CodedColumn(codes=codes, values=tuple(array.dictionary.to_pylist()))
    try:
        return array.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # untyped
    except pa.ArrowInvalid:
        # Flags, or text that as_numbers will name in its refusal.
        return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # untyped


def _examine(spec: TrainingSpec, labels: npt.NDArray[np.float64], train_rows: int) -> Target:
    import numpy as np

    unusable = int(np.count_nonzero(~np.isfinite(labels)))
    if unusable:
        msg = (
            f"target {spec.target!r} is missing or infinite in {unusable} of {len(labels)} rows; "
            "leave rows without a label out of the training dataset."
        )
        raise TrainingSpecError(msg)
    known = labels[:train_rows]
    if known.min() == known.max():
        msg = (
            f"target {spec.target!r} is {known[0]:g} in all {train_rows} training rows, so there is nothing to learn; "
            "check the dataset version, its filter and validation_fraction."
        )
        raise TrainingSpecError(msg)
    if spec.task == "binary" and not np.isin(labels, (0.0, 1.0)).all():
        strange = float(labels[~np.isin(labels, (0.0, 1.0))][0])
        msg = f"target {spec.target!r} holds {strange:g}, but task 'binary' wants 0 and 1; use task: regression or cast it."
        raise TrainingSpecError(msg)
    return Target(mean=float(known.mean()), std=float(known.std()))


def _slice(tensors: Tensors, rows: slice) -> Tensors:
    numeric, categorical, target = tensors
    return numeric[rows], categorical[rows], target[rows]


class SlicingLoader:
    """Batches cut out of whole tensors: the cost of a batch is one gather, not one call per row.

    :param epoch: tells the running epoch. The order depends on seed and epoch alone, so a resumed
        training sees the batches an undisturbed one would. ``None`` keeps the order of the rows.
    :param rank: of ``size`` processes, which all walk the same batches and take every ``size``-th row of each.
    """

    def __init__(
        self,
        tensors: Tensors,
        *,
        batch_size: int,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        self._tensors = tensors
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = epoch
        self._rank, self._size = rank, size
        # Processes wait for each other in every step, so each gets as many rows; those over are left out.
        rows = len(tensors[2]) - len(tensors[2]) % size
        # Normalisation layers cannot train on one row; which row is left out changes every epoch.
        lonely = epoch is not None and rows > batch_size and rows % batch_size == size
        self._rows = rows - size if lonely else rows

    def __len__(self) -> int:
        return math.ceil(self._rows / self._batch_size)

    def __iter__(self) -> Iterator[Tensors]:
        order = None if self._epoch is None else self._order(self._epoch())
        for start in range(0, self._rows, self._batch_size):
            rows = slice(start, min(start + self._batch_size, self._rows))
            yield (
                _slice(self._tensors, rows)
                if order is None
                else self._gather(order[rows][self._rank :: self._size])
            )

    def _order(self, epoch: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(self._seed * EPOCHS_PER_SEED + epoch)
        return torch.randperm(len(self._tensors[2]), generator=generator)

    def _gather(self, rows: Tensor) -> Tensors:
        numeric, categorical, target = self._tensors
        return numeric.index_select(0, rows), categorical.index_select(0, rows), target.index_select(0, rows)

"""Training data: from a CSV file to tensors that are sliced, never collated row by row."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.beside import Beside
from airflow_dataml.adapters.lightning.targets import LabelReader, Target, examine, goal_of
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import CodedColumn, FeatureEncoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Generator, Tensor

    from airflow_dataml.core.features import Column
    from airflow_dataml.core.training import TrainingSpec

    Tensors = tuple[Tensor, Tensor, Tensor]
    Batch = Tensors | tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]

EPOCHS_PER_SEED = 1_000_003
FEWEST_ROWS = 10


def _nothing() -> None:
    """Rows in memory stay there."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A training file, encoded, oldest row first.

    :param tensors: numeric, categorical, and the target as the module sees it.
    :param labels: the target as the dataset has it; of classes, their places in ``target.classes``.
    :param train_rows: how many rows, from the first, are trained on; the rest validate.
    :param beside: what training has besides: the teacher's scores, in the target's scale and of its classes, and
        weights of rows.
    :param window: rows that may be in memory at once, where the tensors are mapped files; see ``stream``.
    :param release: gives back the memory of mapped rows that were read.
    """

    encoding: FeatureEncoding
    target: Target
    tensors: Tensors
    labels: npt.NDArray[np.float64]
    train_rows: int
    beside: dict[str, Tensor] = field(default_factory=dict)
    window: int | None = None
    release: Callable[[], None] = _nothing

    @property
    def training(self) -> Tensors:
        """The head of the file."""
        return _slice(self.tensors, slice(None, self.train_rows))

    @property
    def validation(self) -> Tensors:
        """The tail of the file."""
        return _slice(self.tensors, slice(self.train_rows, None))


def load(path: Path, spec: TrainingSpec, *, folder: Path | None = None) -> TrainingData:
    """Read, check and encode a training file; in memory this needs about three times its size.

    :param folder: for mapped files, where the training file is too large for that; by default beside it.
    :raises TrainingSpecError: columns, rows or labels are not what the spec promises.
    """
    import torch

    from airflow_dataml.adapters.lightning import stream

    if stream.is_streamed(path, spec):
        return stream.load_streamed(path, spec, folder=folder or path.parent)
    beside = check_header(path, spec)
    columns = _read(path, spec, beside)
    reader = LabelReader(spec, taught=beside.taught)
    labels = reader.read(columns.pop(spec.target))
    classes = reader.settle(labels, step=max(len(labels), 1))
    train_rows = train_rows_of(len(labels), spec)
    target = examine(spec, labels, train_rows, step=len(labels), classes=classes, taught=beside.taught)
    guided = beside.read(columns, labels, target, spec)
    encoding = FeatureEncoding.fit(spec.features, columns, rows=train_rows)
    numeric, categorical = encoding.encode(columns)
    tensors = (
        torch.from_numpy(numeric),
        torch.from_numpy(categorical),
        torch.from_numpy(goal_of(labels, target, spec)),
    )
    return TrainingData(encoding, target, tensors, labels, train_rows, guided)


def train_rows_of(rows: int, spec: TrainingSpec) -> int:
    """Return how many rows are trained on, or refuse too few."""
    if rows < FEWEST_ROWS:
        msg = (
            f"training data of model {spec.model!r} has {rows} rows, at least {FEWEST_ROWS} are needed; "
            "check the dataset version and its filter."
        )
        raise TrainingSpecError(msg)
    return rows - max(1, round(rows * spec.validation_fraction))


def check_header(path: Path, spec: TrainingSpec) -> Beside:
    """Return what a file has beside features and target, or refuse one that lacks a column."""
    with path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    beside = Beside.of(header, spec)
    absent = sorted({*spec.required_columns, *beside.columns} - set(header))
    if absent:
        msg = f"training data of model {spec.model!r} lack columns {absent}; the file has {header}."
        raise TrainingSpecError(msg)
    return beside


def convert_options(spec: TrainingSpec, names: Sequence[str]) -> Any:
    """Say how fields become columns: an empty unquoted one is missing, a category is stored once."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    coded = {feature.name for feature in spec.features if feature.kind == "categorical"}
    coded |= {spec.target} if spec.task == "multiclass" else set()
    text = pa.dictionary(pa.int32(), pa.string())
    return arrow_csv.ConvertOptions(
        include_columns=list(names),
        column_types={name: text if name in coded else pa.string() for name in names},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _read(path: Path, spec: TrainingSpec, beside: Beside) -> dict[str, Column]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    wanted = (*spec.required_columns, *beside.columns)
    try:
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=convert_options(spec, wanted),
        )
    except pa.ArrowInvalid as err:
        msg = f"training data {str(path)!r} is no CSV with one header: {err}"
        raise TrainingSpecError(msg) from err
    return {name: as_column(table.column(name).combine_chunks()) for name in table.column_names}


def as_column(array: Any) -> Column:
    """Return a column of Arrow as our encoding reads it."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return CodedColumn(codes=codes, values=tuple(array.dictionary.to_pylist()))
    try:
        return array.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # untyped
    except pa.ArrowInvalid:
        # Flags, or text that as_numbers will name in its refusal.
        return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # untyped


def _slice(tensors: Tensors, rows: slice) -> Tensors:
    numeric, categorical, target = tensors
    return numeric[rows], categorical[rows], target[rows]


class SlicingLoader:
    """Batches cut out of whole tensors: the cost of a batch is one gather, not one call per row.

    :param epoch: tells the running epoch. The order depends on seed and epoch alone, so a resumed
        training sees the batches an undisturbed one would. ``None`` keeps the order of the rows.
    :param beside: further columns of the same rows, as a fourth element of a batch; only with ``epoch``.
    :param rank: of ``size`` processes, which all walk the same batches and take every ``size``-th row of each.
    """

    def __init__(
        self,
        tensors: Tensors,
        *,
        batch_size: int,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        beside: dict[str, Tensor] | None = None,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        self._tensors = tensors
        self._beside = beside or {}
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

    def __iter__(self) -> Iterator[Batch]:
        order = None if self._epoch is None else self._order(self._epoch())
        for start in range(0, self._rows, self._batch_size):
            rows = slice(start, min(start + self._batch_size, self._rows))
            yield (
                _slice(self._tensors, rows)
                if order is None
                else self._gather(order[rows][self._rank :: self._size])
            )

    def _generator(self, epoch: int) -> Generator:
        import torch

        return torch.Generator().manual_seed(self._seed * EPOCHS_PER_SEED + epoch)

    def _order(self, epoch: int) -> Tensor:
        import torch

        return torch.randperm(len(self._tensors[2]), generator=self._generator(epoch))

    def _gather(self, rows: Tensor) -> Batch:
        numeric, categorical, target = (tensor.index_select(0, rows) for tensor in self._tensors)
        if not self._beside:
            return numeric, categorical, target
        beside = {key: tensor.index_select(0, rows) for key, tensor in self._beside.items()}
        return numeric, categorical, target, beside

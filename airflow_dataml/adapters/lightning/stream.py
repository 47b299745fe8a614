"""Training data larger than memory: read in blocks, encoded into mapped files, shuffled by windows.

A file is streamed when three times its size, which is what reading it whole takes, exceeds the spec's
``memory_mb``, or ``MEMORY_MB``. It is parsed twice: once for the target, once for all else. What remains are files
without a name in the job's folder, about 4 bytes for each number and 8 for each category of a row; they are gone
with the process, and a resumed training writes them anew. In memory are a window of rows and, per row of
validation, its label and score.

The order of an epoch depends on seed and epoch alone: blocks of consecutive rows are drawn into windows, and the
rows of a window are shuffled. Training rows that fit in one window come in the very order of the in-memory loader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.data import (
    SlicingLoader,
    TrainingData,
    as_column,
    check_header,
    convert_options,
    train_rows_of,
)
from airflow_dataml.adapters.lightning.mapped import Store
from airflow_dataml.adapters.lightning.targets import LabelReader, examine, goal_of
from airflow_dataml.core.encoding_fit import EncodingFit
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import FeatureEncoding, NumericEncoding, as_coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from torch import Generator, Tensor

    from airflow_dataml.adapters.lightning.beside import Beside
    from airflow_dataml.adapters.lightning.data import Batch
    from airflow_dataml.adapters.lightning.targets import Target
    from airflow_dataml.core.features import Column, Columns
    from airflow_dataml.core.training import TrainingSpec

MEMORY_MB = 4096
TIMES_ITS_SIZE = 3
SHUFFLE_BLOCK = 4096
FEWEST_BLOCKS = 16
STEP_ROWS = 1 << 20
_WINDOW_SHARE = 8
_LEAST_BLOCK, _MOST_BLOCK = 1 << 20, 16 << 20


def memory_of(spec: TrainingSpec) -> int:
    """Bytes that the rows of a training may take."""
    return (spec.memory_mb or MEMORY_MB) << 20


def is_streamed(path: Path, spec: TrainingSpec) -> bool:
    """Whether a file is too large to be read whole."""
    return path.stat().st_size * TIMES_ITS_SIZE > memory_of(spec)


def load_streamed(path: Path, spec: TrainingSpec, *, folder: Path) -> TrainingData:
    """Read, check and encode a training file in bounded memory.

    :param folder: takes the mapped files.
    :raises TrainingSpecError: columns, rows or labels are not what the spec promises.
    """
    beside = check_header(path, spec)
    with Store(folder) as store:
        return _load(path, spec, beside, store)


def _load(path: Path, spec: TrainingSpec, columns: Beside, store: Store) -> TrainingData:
    import torch

    labels, classes = _labels(path, spec, columns, store)
    train_rows = train_rows_of(len(labels), spec)
    target = examine(spec, labels, train_rows, step=STEP_ROWS, classes=classes, taught=columns.taught)
    store.release()
    encoding, numeric, categorical, beside = _encode(path, spec, columns, store, target, train_rows, labels)
    out = store.file()
    for start in range(0, len(labels), STEP_ROWS):
        out.write(goal_of(labels[start : start + STEP_ROWS], target, spec).tobytes())
    goal = store.array(out, "int64" if classes else "float32", (len(labels),))
    store.release()
    tensors = (torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(goal))
    bytes_of_row = sum(column.element_size() * column[0].numel() for column in (*tensors, *beside.values()))
    return TrainingData(
        encoding,
        target,
        tensors,
        labels,
        train_rows,
        beside,
        window=max(1, memory_of(spec) // _WINDOW_SHARE // bytes_of_row),
        release=store.release,
    )


def _labels(
    path: Path, spec: TrainingSpec, beside: Beside, store: Store
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    file, rows, reader = store.file(), 0, LabelReader(spec, taught=beside.taught)
    for columns in _blocks(path, spec, (spec.target,)):
        values = reader.read(columns[spec.target])
        file.write(values.tobytes())
        rows += len(values)
    labels = store.array(file, "float64", (rows,))
    return labels, reader.settle(labels, step=STEP_ROWS)


def _encode(
    path: Path,
    spec: TrainingSpec,
    beside: Beside,
    store: Store,
    target: Target,
    train_rows: int,
    labels: npt.NDArray[Any],
) -> tuple[FeatureEncoding, npt.NDArray[Any], npt.NDArray[Any], dict[str, Tensor]]:
    import numpy as np
    import torch

    names = [feature.name for feature in spec.features if feature.kind == "numeric"]
    # Numbers are stored as they are, whatever the means will be; only the vocabularies are not known yet.
    plain = FeatureEncoding(
        numeric=tuple(NumericEncoding(name=name, mean=0, std=1, missing_fraction=0) for name in names)
    )
    seen: dict[str, dict[str, int]] = {f.name: {} for f in spec.features if f.kind == "categorical"}
    fitting, done = EncodingFit(spec.features), 0
    numbers, codes = store.file(), store.file()
    others = {key: store.file() for key in beside.names}
    wanted = (*(feature.name for feature in spec.features), *beside.columns)
    for columns in _blocks(path, spec, wanted):
        length = len(next(iter(columns.values())))
        if done < train_rows:
            fitting.add(columns, rows=min(length, train_rows - done))
        own = labels[done : done + length]
        done += length
        if names:
            numbers.write(plain.encode(columns)[0].tobytes())
        if seen:
            codes.write(np.stack([_codes(columns, name, known) for name, known in seen.items()], 1).tobytes())
        for key, tensor in beside.read(columns, own, target, spec).items():
            others[key].write(tensor.numpy().tobytes())
    encoding, rows = fitting.encoding(), len(labels)
    numeric = store.array(numbers, "float32", (rows, len(names)))
    categorical = store.array(codes, "int64", (rows, len(seen)))
    _translate(categorical, encoding, list(seen.values()), store)
    guided = {
        key: torch.from_numpy(store.array(file, "float32", beside.shape(key, rows, target)))
        for key, file in others.items()
    }
    return encoding, numeric, categorical, guided


def _codes(columns: Columns, name: str, known: dict[str, int]) -> npt.NDArray[Any]:
    """Number the values of a block in the order in which the file brings them, from 1."""
    import numpy as np

    coded = as_coded(columns[name])
    numbers = np.array(
        [*(known.setdefault(value, len(known) + 1) for value in coded.values), 0], dtype=np.int64
    )
    return numbers.take(coded.codes, mode="wrap")


def _translate(
    categorical: npt.NDArray[Any], encoding: FeatureEncoding, seen: Sequence[dict[str, int]], store: Store
) -> None:
    import numpy as np

    lookups = []
    for column, known in zip(encoding.categorical, seen, strict=True):
        index = {value: number for number, value in enumerate(column.vocabulary, start=1)}
        lookups.append(np.array([0, *(index.get(value, 0) for value in known)], dtype=np.int64))
    for start in range(0, len(categorical), STEP_ROWS):
        part = categorical[start : start + STEP_ROWS]
        for place, lookup in enumerate(lookups):
            part[:, place] = lookup[part[:, place]]
        store.release()


def _blocks(path: Path, spec: TrainingSpec, names: Sequence[str]) -> Iterator[dict[str, Column]]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    size = min(_MOST_BLOCK, max(_LEAST_BLOCK, memory_of(spec) // 64))
    try:
        with arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=size, use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=convert_options(spec, names),
        ) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield {name: as_column(batch.column(name)) for name in batch.schema.names}
    except pa.ArrowInvalid as err:
        msg = f"training data {str(path)!r} is no CSV with one header: {err}"
        raise TrainingSpecError(msg) from err


class WindowLoader(SlicingLoader):
    """Batches of mapped rows, of which one window is in memory.

    :param window: rows of a window, at most.
    :param release: gives back the pages that were read.
    """

    def __init__(self, *args: Any, window: int, release: Callable[[], None], **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._window = window
        self._release = release

    def __iter__(self) -> Iterator[Batch]:
        # The epoch is asked for with the first batch: iterators are made before Lightning counts on.
        yield from self._in_order() if self._epoch is None else self._shuffled(self._epoch())

    def _in_order(self) -> Iterator[Batch]:
        read = 0
        for batch in super().__iter__():
            yield batch
            read += len(batch[2])
            if read >= self._window:
                self._release()
                read = 0
        self._release()

    def _shuffled(self, epoch: int) -> Iterator[Batch]:
        import torch

        generator = self._generator(epoch)
        columns = [*self._tensors, *self._beside.values()]
        windows, left = self._windows(generator), self._rows
        # What is left of a window is less than a batch, and begins the next.
        rest = [column[:0] for column in columns]
        for number, blocks in enumerate(windows):
            old = len(rest[2])
            held = [
                torch.cat([over, *(column[rows] for rows in blocks)])
                for over, column in zip(rest, columns, strict=True)
            ]
            self._release()
            drawn = torch.randperm(len(held[2]) - old, generator=generator) + old
            order = torch.cat([torch.arange(old), drawn])[:left]
            last = number == len(windows) - 1
            whole = len(order) if last else len(order) - len(order) % self._batch_size
            for start in range(0, whole, self._batch_size):
                rows = order[start : min(start + self._batch_size, whole)][self._rank :: self._size]
                yield self._dealt([column.index_select(0, rows) for column in held])
            left -= whole
            rest = [column.index_select(0, order[whole:]) for column in held]
            del held

    def _dealt(self, columns: list[Tensor]) -> Batch:
        numeric, categorical, target, *more = columns
        if not more:
            return numeric, categorical, target
        return numeric, categorical, target, dict(zip(self._beside, more, strict=True))

    def _windows(self, generator: Generator) -> list[list[slice]]:
        """Deal the blocks of rows into windows; one window needs no dealing."""
        import torch

        rows = len(self._tensors[2])
        if rows <= self._window:
            return [[slice(0, rows)]]
        size = max(1, min(SHUFFLE_BLOCK, self._window // FEWEST_BLOCKS))
        blocks = torch.randperm(-(-rows // size), generator=generator).tolist()
        each = max(1, self._window // size)
        return [
            [slice(block * size, min((block + 1) * size, rows)) for block in blocks[at : at + each]]
            for at in range(0, len(blocks), each)
        ]

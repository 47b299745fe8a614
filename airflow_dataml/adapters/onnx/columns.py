"""CSV files as ``COPY`` writes them, read in blocks of columns with bounded memory."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import MissingExtraError, SpecError
from airflow_dataml.core.features import CodedColumn, column_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Columns = dict[str, npt.NDArray[Any] | CodedColumn]

READ_BYTES = 1 << 20


def iterate_columns(
    path: Path, *, numeric: Collection[str], coded: Collection[str], block_rows: int
) -> Iterator[Columns]:
    """Yield blocks of all columns of a file, in file order.

    :param numeric: columns to read as float64, NaN where missing.
    :param coded: columns to read as codes of their distinct values; every other column is ``str`` or ``None``.
    :param block_rows: rows of a block at most; besides it some 40 MB are read ahead, however long the file.
    :raises NotFoundError: a column that is asked for is not in the header.
    :raises SpecError: the file is not a CSV with one header.
    """
    pa, arrow_csv = _arrow()
    with path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    for name in (*numeric, *coded):
        column_of(dict.fromkeys(header, ()), name)
    options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        with arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=READ_BYTES, use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        ) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, block_rows):
                    yield _block(batch.slice(start, block_rows), numeric, coded)
    except pa.ArrowInvalid as err:
        msg = f"{str(path)!r} is no CSV with one header: {err}"
        raise SpecError(msg) from err


def _block(batch: Any, numeric: Collection[str], coded: Collection[str]) -> Columns:
    return {
        name: _column(array, numeric=name in numeric, coded=name in coded)
        for name, array in zip(batch.schema.names, batch.columns, strict=True)
    }


def _column(array: Any, *, numeric: bool, coded: bool) -> Any:
    import pyarrow as pa

    if coded:
        encoded = array.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return CodedColumn(codes=codes, values=tuple(encoded.dictionary.to_pylist()))
    if numeric:
        try:
            return array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            # Flags, or text that the encoding names in its refusal.
            return array.to_numpy(zero_copy_only=False)
    return array.to_numpy(zero_copy_only=False)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv
    except ModuleNotFoundError as err:
        extra, package = "mlflow", "pyarrow"
        raise MissingExtraError(extra, package) from err
    return pa, arrow_csv

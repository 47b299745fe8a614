"""CSV files as ``COPY`` writes them, read into columns: whole, or in blocks of bounded size."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import MissingExtraError, NotFoundError, SpecError
from airflow_dataml.core.features import CodedColumn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Columns = dict[str, npt.NDArray[Any] | CodedColumn]

READ_BYTES = 1 << 20


def read_columns(
    path: Path, columns: Collection[str], *, text: Collection[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return the named columns of a file: float64 where every value is a number, else ``str`` and ``None``.

    :param text: columns to keep as text even if they look like numbers, such as keys and categories.

    The whole file is in memory, at about 8 bytes per number and 60 per text.
    """
    blocks = list(iterate_columns(path, columns=columns, coded=()))
    return {name: _join(name, [block[name] for block in blocks], text=text) for name in columns}


def _join(name: str, pieces: list[Any], *, text: Collection[str]) -> npt.NDArray[Any]:
    import numpy as np

    joined: npt.NDArray[Any] = np.concatenate(pieces) if pieces else np.empty(0, dtype=object)
    if name in text:
        return joined
    try:
        return joined.astype(np.float64)
    except ValueError:
        return joined

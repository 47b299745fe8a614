"""Arrays on disk that are read as if they were in memory."""

from __future__ import annotations

import mmap
import tempfile
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


class Store:
    """Arrays in files without a name: what is written is not this process's memory, what is read can be given back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: list[mmap.mmap] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; what is mapped stays."""
        self._files.close()

    def file(self) -> IO[bytes]:
        """Open one more file."""
        return self._files.enter_context(tempfile.TemporaryFile(dir=self._folder))

    def array(self, file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Map what was written."""
        import numpy as np

        file.flush()
        if 0 in shape:
            return np.empty(shape, dtype=dtype)
        mapped = mmap.mmap(file.fileno(), 0)
        self._maps.append(mapped)
        return np.frombuffer(mapped, dtype=dtype).reshape(shape)

    def release(self) -> None:
        """Give the pages back that were read; they are read again when they are needed."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)

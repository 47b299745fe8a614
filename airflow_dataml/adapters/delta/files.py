"""The Parquet files of one Delta table, wherever deltalake reads."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_dataml.adapters.delta.errors import translated
from airflow_dataml.adapters.delta.types import arrow_schema
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import FactKey

_OURS = "dataml-"
_BATCH_ROWS = 1 << 15


def file_name(fact: FactKey) -> str:
    """Return the file of the part one fact writes; equal over retries.

    It lies in the table's own folder from the start, since a table's log may name no file in a hidden one.
    """
    return f"{_OURS}{fact.digest}.parquet"


def split_locator(locator: str) -> tuple[str, str]:
    """Return the table and the file of a part.

    >>> split_locator("s3://bucket/rides/dataml-1f.parquet")
    ('s3://bucket/rides', 'dataml-1f.parquet')
    """
    table, _, name = locator.rpartition("/")
    return table, name


def check_uri(uri: str) -> str:
    """Return the uri of a table without a slash at its end, or refuse it.

    :raises SpecError: a relative path would be another place in every process.
    """
    if "://" not in uri and not os.path.isabs(uri):
        msg = (
            f"Delta table {uri!r} is not usable: write an absolute path, or a uri such as s3://bucket/rides."
        )
        raise SpecError(msg)
    return uri.rstrip("/")


class Folder:
    """The files in a table's folder.

    :param options: of the object store, as deltalake takes them; never shown.
    """

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = check_uri(uri)
        self.options = dict(options)
        self._opened: Any = None

    @property
    def _files(self) -> Any:
        if self._opened is None:
            handler = load("deltalake.fs", extra="delta").DeltaStorageHandler
            local = _local_path(self.uri)
            if local is not None:
                local.mkdir(parents=True, exist_ok=True)
            filesystem = load("pyarrow.fs", extra="delta").PyFileSystem
            self._opened = filesystem(handler(self.uri, self.options))
        return self._opened

    def locator(self, name: str) -> str:
        """Return a file as the ledger knows it."""
        return f"{self.uri}/{name}"

    def write(
        self,
        name: str,
        columns: Sequence[Column],
        batches: Iterable[Any],
        notes: Mapping[str, str] | None = None,
    ) -> int:
        """Write Arrow batches into a file, whatever an earlier try left there; returns its bytes.

        :param notes: what the file shall say of itself.
        """
        parquet = load("pyarrow.parquet", extra="delta")
        schema = arrow_schema(columns).with_metadata(dict(notes or {}))
        with translated(self.uri, self.options):
            with (
                self._files.open_output_stream(name) as out,
                parquet.ParquetWriter(out, schema, compression="zstd") as writer,
            ):
                for batch in batches:
                    writer.write_batch(batch)
            return int(self._files.get_file_info(name).size)

    def read(self, name: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the record batches of a file.

        :raises NotFoundError: it is gone.
        """
        parquet = load("pyarrow.parquet", extra="delta")
        with translated(self.uri, self.options), self._files.open_input_file(name) as source:
            yield from parquet.ParquetFile(source).iter_batches(
                batch_size=_BATCH_ROWS, columns=None if columns is None else list(columns)
            )

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to this machine."""
        with (
            translated(self.uri, self.options),
            self._files.open_input_stream(name) as source,
            target.open("wb") as out,
        ):
            shutil.copyfileobj(source, out)

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; nothing if it is not there."""
        with translated(self.uri, self.options):
            found = self._files.get_file_info(name)
        return None if found.size is None else int(found.size)

    def statistics(self, name: str) -> tuple[int, str]:
        """Return a file's bytes, and its statistics as a Delta log has them: how many rows and nulls, and
        the span of whole numbers, by which readers skip files.

        :raises NotFoundError: it is gone, though the ledger counts on it.
        """
        size = self.size(name)
        if size is None:
            msg = f"file {self.locator(name)} is gone, though a version of the ledger needs it: somebody else vacuumed the table."
            raise NotFoundError(msg)
        with translated(self.uri, self.options), self._files.open_input_file(name) as source:
            footer = load("pyarrow.parquet", extra="delta").ParquetFile(source).metadata
        return size, json.dumps(_statistics(footer))

    def schema(self, name: str) -> Any:
        """Return the Arrow schema of a file."""
        with translated(self.uri, self.options), self._files.open_input_file(name) as source:
            return load("pyarrow.parquet", extra="delta").read_schema(source)

    def notes(self, name: str) -> dict[str, str]:
        """Return what a file says of itself."""
        found = self.schema(name).metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}

    def delete(self, name: str) -> int:
        """Delete a file; returns its bytes, none if it was gone."""
        size = self.size(name)
        if size is not None:
            with translated(self.uri, self.options):
                self._files.delete_file(name)
        return size or 0

    def ours(self) -> dict[str, tuple[int, datetime]]:
        """Return the files we wrote, by name, with their bytes and when."""
        selector = load("pyarrow.fs", extra="delta").FileSelector
        with translated(self.uri, self.options):
            found = self._files.get_file_info(selector("", recursive=False))
        return {
            info.base_name: (int(info.size), info.mtime) for info in found if info.base_name.startswith(_OURS)
        }

    def delete_log(self) -> None:
        """Delete the table's log: what is left are files nobody reads."""
        with translated(self.uri, self.options):
            self._files.delete_dir("_delta_log")


def _local_path(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _statistics(footer: Any) -> dict[str, Any]:
    """Sum the row groups up; a column whose count of nulls is not known is left out."""
    nulls: dict[str, int | None] = {}
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            found, name = column.statistics, footer.schema.column(index).name
            known = found is not None and found.has_null_count
            before = nulls.get(name, 0)
            nulls[name] = before + found.null_count if known and before is not None else None
            if found is not None and found.has_min_max and type(found.min) is int:
                low[name] = min(found.min, low.get(name, found.min))
                high[name] = max(found.max, high.get(name, found.max))
    return {
        "numRecords": footer.num_rows,
        "nullCount": {name: count for name, count in nulls.items() if count is not None},
        "minValues": low,
        "maxValues": high,
    }

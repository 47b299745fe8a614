"""Export: the catalog written in another tool's format, or told to its server."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.exports import ExportedAsset, ExportSettings, RowsFile, check_format
from airflow_dataml.core.exports_formats import render
from airflow_dataml.core.exports_text import slug
from airflow_dataml.steps.export_send import send
from airflow_dataml.steps.read import read_rows, reading

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.exports_sending import OnProgress, Server
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)

ROWS_FOLDER = "data"
_LISTED = 20

ReadRows = Callable[[ExportedAsset], tuple[Sequence[str], Iterable[Sequence[Any]]]]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to.

    :param documents: paths below the folder.
    :param rows: how many rows were written out, by asset.
    :param left_out: assets the format has no place for, with the reason.
    """

    format: str
    assets: int
    documents: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    sent: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; of long lists their beginning."""
        return {
            "format": self.format,
            "assets": self.assets,
            "documents": list(self.documents[:_LISTED]),
            "document_count": len(self.documents),
            "rows": dict(list(self.rows.items())[:_LISTED]),
            "left_out": dict(list(self.left_out.items())[:_LISTED]),
            "left_out_count": len(self.left_out),
            "sent": dict(self.sent) if self.sent is not None else None,
        }


def export_catalog(
    *,
    assets: Sequence[ExportedAsset],
    format: str,
    folder: Path | None,
    settings: ExportSettings | None = None,
    contracts: Mapping[str, str] | None = None,
    rows_of: ReadRows | None = None,
    server: Server | None = None,
    on_progress: OnProgress = log.info,
) -> Exported:
    """Write assets in a format, and tell them to a server if there is one.

    Files are replaced whole; what a broken export leaves is the export before it or this one. Telling a server
    twice changes nothing, so that a retry may begin anew.

    :param folder: where the files go; ``None`` writes none.
    :param contracts: texts of contracts, by asset.
    :param rows_of: returns names of columns and rows of an asset; rows of every dataset that is kept are written
        beside its document.
    :raises SpecError: the format cannot do that, or the server refused some of it; the others were told.
    :raises BackendError: the server did not answer.
    """
    known = check_format(format, send=server is not None, with_data=rows_of is not None)
    if folder is None and server is None:
        msg = "an export goes into a folder, to a server, or both: name one."
        raise SpecError(msg)
    if rows_of is not None and folder is None:
        msg = "rows are written into a folder: name one."
        raise SpecError(msg)
    about = settings or ExportSettings()
    told = _with_contracts(assets, contracts or {})
    files = dict(_rows_files(told, folder, rows_of, on_progress)) if folder and rows_of else {}
    rendered = render(known, told, about, files)
    if folder is not None:
        for document in rendered.documents:
            with _replaced(folder / document.path) as file:
                file.write(document.text.encode())
        written = [*(d.path for d in rendered.documents), *(file.path for file in files.values())]
        _forget(folder, known, written)
    done = Exported(
        format=known,
        assets=len(told),
        documents=tuple(document.path for document in rendered.documents) if folder else (),
        rows={name: file.rows for name, file in files.items()},
        left_out=rendered.left_out,
    )
    if server is None:
        return done
    return replace(done, sent=send(rendered.requests, server, on_progress=on_progress).to_dict())


def rows_reader(*, ledger: Ledger, store_of: Callable[[str], DatasetStore]) -> ReadRows:
    """Return what reads the exported versions of datasets.

    :param store_of: returns the store that keeps a dataset's rows, by its name.
    """

    def read(asset: ExportedAsset) -> tuple[list[str], Iterator[Sequence[Any]]]:
        number = asset.version.number if asset.version else 0
        version, columns, rows = read_rows(
            ledger=ledger, store=store_of(asset.name), ref=f"{asset.name}@{number}"
        )

        def guarded() -> Iterator[Sequence[Any]]:
            with reading(ledger, [version]):
                yield from rows

        return [column.name for column in columns], guarded()

    return read


def _with_contracts(
    assets: Sequence[ExportedAsset], contracts: Mapping[str, str]
) -> tuple[ExportedAsset, ...]:
    if unknown := sorted(set(contracts) - {asset.name for asset in assets}):
        msg = f"a contract is given of {unknown[0]!r}, which is not exported: name the assets it is of."
        raise SpecError(msg)
    return tuple(replace(asset, contract=contracts.get(asset.name, asset.contract)) for asset in assets)


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        with scratch.open("wb") as file:
            yield file
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _forget(folder: Path, format: str, written: Sequence[str]) -> None:
    """Delete what the export before this one wrote and this one did not; nothing else in the folder is touched."""
    notes = folder / f".dataml-{format}.json"
    try:
        before = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = []
    root = folder.resolve()
    for path in set(before) - set(written) if isinstance(before, list) else ():
        stale = (folder / str(path)).resolve()
        if stale.is_relative_to(root):
            stale.unlink(missing_ok=True)
    with _replaced(notes) as file:
        file.write(json.dumps(sorted(written)).encode())


def _rows_files(
    assets: Iterable[ExportedAsset], folder: Path, read: ReadRows, on_progress: OnProgress
) -> Iterator[tuple[str, RowsFile]]:
    for asset in assets:
        if asset.kind == "model" or asset.version is None or not asset.version.readable:
            continue
        file = _rows_file(asset, folder, read)
        on_progress(f"{asset.name}@{asset.version.number}: {file.rows} rows, {file.bytes} bytes")
        yield asset.name, file


def _rows_file(asset: ExportedAsset, folder: Path, read: ReadRows) -> RowsFile:
    """Write the rows of a version as CSV, columns that are masked left out."""
    number = asset.version.number if asset.version else 0
    path = f"{ROWS_FOLDER}/{slug(asset.name)}-v{number}.csv"
    names, rows = read(asset)
    kept = [at for at, name in enumerate(names) if name not in asset.masked]
    digest, size, count = hashlib.sha256(), 0, 0
    with _replaced(folder / path) as file:
        for line in _lines(names, rows, kept):
            digest.update(line)
            size += file.write(line)
            count += 1
    return RowsFile(path, digest.hexdigest(), size, count - 1, tuple(names[at] for at in kept))


def _lines(names: Sequence[str], rows: Iterable[Sequence[Any]], kept: Sequence[int]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([names[at] for at in kept])
    yield buffer.getvalue().encode()
    for row in rows:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([csv_value(row[at]) for at in kept])
        yield buffer.getvalue().encode()


def csv_value(value: Any) -> str:
    """Return a value as it stands in a CSV file; null is empty, bytes are in hexadecimal.

    >>> [csv_value(v) for v in (None, True, 1.5, {"a": [1]}, dt.date(2026, 1, 2))]
    ['', 'true', '1.5', '{"a": [1]}', '2026-01-02']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "INF", "-inf": "-INF"}[str(value)]
    for kinds, spell in _SPELLINGS:
        if isinstance(value, kinds):
            return spell(value)
    return str(value)


def _inner(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else csv_value(value)


def _duration(value: dt.timedelta) -> str:
    """Return a span of time as ISO 8601 has it."""
    return f"P{value.days}DT{value.seconds + value.microseconds / 1e6:g}S"


_SPELLINGS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    ((bytes, bytearray, memoryview), lambda value: "\\x" + bytes(value).hex()),
    ((dict, list), lambda value: json.dumps(value, ensure_ascii=False, default=_inner)),
    ((dt.datetime, dt.date, dt.time), lambda value: value.isoformat()),
    (dt.timedelta, _duration),
    (Decimal, lambda value: format(value, "f") if value.is_finite() else str(value)),
)

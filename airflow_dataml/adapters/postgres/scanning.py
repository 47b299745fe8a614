"""Rows out of tables and into one as PostgreSQL's binary COPY, read and written without a loop over values.

Every column that is looked at is asked for in eight bytes that are never null, so that it lies at one place
in each row: numbers as doubles, NaN where missing; texts as a 64-bit hash, 0 where missing, and of the
values told apart the server says the hashes beforehand. Two values of one hash would be taken for each
other: with a vocabulary of 512 once in 4e16 unseen values. Keys follow, and pass through as they are.
"""

from __future__ import annotations

import queue
import struct
import threading
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import WarehouseError
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn
from airflow_dataml.core.profiles import bare_type
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.scans import KeyedBlock, ScanBlock, ScanPlan, coded_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.refs import Relation

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_FIELD = 12
# Blocks read ahead of the model; with the one it has, all that is ever in memory.
_AHEAD = 2
_SMALL = ("smallint", "integer", "bigint", "real")
_TEXTS = ("text", "character varying")
# One order, the one the rows lie in, whoever else reads.
_SETTINGS = "SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0; SET jit = off"


@contextmanager
def scan(
    db: Connection, source: str, parts: Sequence[Part], columns: Sequence[Column], plan: ScanPlan
) -> Iterator[Iterator[ScanBlock]]:
    """Read rows in the order they lie in, on a connection beside this one; it sees what is committed.

    A thread reads while the caller computes; leaving the block ends it.

    :param source: SQL of the rows.
    :param columns: of the rows, with their types.
    """
    types = {c.name: bare_type(c.type) for c in columns}
    with db.errors(), db.beside() as raw:
        raw.execute(_SETTINGS)
        vocabularies = {
            name: _vocabulary(raw, source, name, types[name], values) for name, values in plan.coded.items()
        }
        wanted = [_number_sql(name, types[name], full=_is_full(parts, name)) for name in plan.numeric]
        wanted += [_hash_sql(name, types[name]) for name in plan.coded]
        wanted += [quote_identifier(name) for name in plan.keys]
        query = f"COPY (SELECT {', '.join(wanted)} FROM ({source}) t) TO STDOUT (FORMAT binary)"
        blocks: queue.Queue[Any] = queue.Queue(_AHEAD)
        stopped = threading.Event()
        reader = threading.Thread(
            target=_read, args=(raw, query, plan.block_rows, blocks, stopped), name="dataml-scan", daemon=True
        )
        reader.start()
        try:
            yield _decoded(blocks, plan, vocabularies)
        finally:
            stopped.set()
            if reader.is_alive():
                raw.cancel_safe()
            while reader.is_alive():
                # It may stand before a full queue.
                while not blocks.empty():
                    blocks.get_nowait()
                reader.join(0.05)
            # It only read; and one that was stopped half-way is in no state to end a transaction.
            raw.close()


def copy_keyed(
    db: Connection, relation: Relation, columns: Sequence[Column], blocks: Iterable[KeyedBlock]
) -> int:
    """Write scanned keys and what was found for them; returns the rows.

    :param columns: the keys first, then the columns of the blocks' values.
    """
    names = ", ".join(quote_identifier(c.name) for c in columns)
    fields = struct.pack(">h", len(columns))
    with db.errors(), db.raw.cursor() as cursor:
        with cursor.copy(f"COPY {relation.quoted} ({names}) FROM STDIN (FORMAT binary)") as copy:
            copy.write(_SIGNATURE)
            for block in blocks:
                copy.write(_rows(fields, block, columns))
            copy.write(_TRAILER)
        return cursor.rowcount


def _is_full(parts: Sequence[Part], name: str) -> bool:
    """Whether the profiles say that a column has no null."""
    found = [part.profile.get("columns", {}).get(name, {}) for part in parts]
    return all(column.get("nulls") == 0 for column in found)


def _number_sql(name: str, type_: str, *, full: bool) -> str:
    column = quote_identifier(name)
    if type_ == "numeric":
        return f"CASE WHEN {column} BETWEEN -1e300 AND 1e300 THEN {column}::double precision ELSE 'NaN'::double precision END"
    if type_ == "double precision":
        number = column
    elif type_ in _SMALL:
        number = f"{column}::double precision"
    elif type_ == "boolean":
        number = f"{column}::integer::double precision"
    else:
        flags = "WHEN 't' THEN 1 WHEN 'true' THEN 1 WHEN 'f' THEN 0 WHEN 'false' THEN 0"
        number = f"CASE format('%s', {column}) {flags} ELSE nullif(format('%s', {column}), '')::double precision END"
        full = False
    return number if full else f"coalesce({number}, 'NaN'::double precision)"


def _text_sql(name: str, type_: str) -> str:
    """A value as COPY would write it."""
    column = quote_identifier(name)
    return column if type_ in _TEXTS else f"CASE WHEN {column} IS NOT NULL THEN format('%s', {column}) END"


def _hash_sql(name: str, type_: str) -> str:
    return f'coalesce(hashtextextended({_text_sql(name, type_)} COLLATE "C", 0), 0)'


def _vocabulary(
    raw: Any, source: str, name: str, type_: str, values: Sequence[str] | None
) -> tuple[tuple[str, ...], Any, Any]:
    """The values told apart, their hashes in order, and the code of each."""
    np = load("numpy", extra="mlflow")
    if values is None:
        found = raw.execute(
            f"SELECT DISTINCT {_text_sql(name, type_)} FROM ({source}) t ORDER BY 1"
        ).fetchall()
        values = [value for (value,) in found if value is not None]
    rows = raw.execute(
        'SELECT hashtextextended(v COLLATE "C", 0) FROM unnest(%s::text[]) WITH ORDINALITY u(v, n) ORDER BY n',
        [list(values)],
    ).fetchall()
    hashes = np.array([value for (value,) in rows], dtype=np.int64)
    order = np.argsort(hashes, kind="stable")
    return tuple(values), hashes[order], order


def _read(raw: Any, query: str, block_rows: int, blocks: queue.Queue[Any], stopped: threading.Event) -> None:
    """Fill the queue with lists of rows; last comes ``None``, or what went wrong."""
    import psycopg

    rows: list[Any] = []
    try:
        with raw.cursor() as cursor, cursor.copy(query) as copy:
            messages = iter(copy)
            # The first row comes with the header before it, the trailer alone.
            first = bytes(next(messages, b""))[len(_SIGNATURE) :]
            for message in chain([first] if first else [], messages):
                rows.append(message)
                if len(rows) == block_rows:
                    blocks.put(rows)
                    rows = []
                    if stopped.is_set():
                        return
        if rows and rows[-1] == _TRAILER:
            rows.pop()
        if rows:
            blocks.put(rows)
        blocks.put(None)
    except psycopg.Error as err:
        blocks.put(err)


def _decoded(
    blocks: queue.Queue[Any], plan: ScanPlan, vocabularies: Mapping[str, Any]
) -> Iterator[ScanBlock]:
    np = load("numpy", extra="mlflow")
    width = len(plan.numeric) + len(plan.coded)
    head = 2 + _FIELD * width
    while (rows := blocks.get()) is not None:
        if isinstance(rows, BaseException):
            raise rows
        if rows[-1] == _TRAILER:
            rows.pop()
        if not rows:
            continue
        joined, n = b"".join(rows), len(rows)
        size = len(rows[0])
        # Rows of one length, as keys without texts make them, are a matrix.
        even = len(joined) == n * size and len(set(map(len, rows))) == 1
        if even:
            matrix = np.frombuffer(joined, np.uint8).reshape(n, size)
            keys: Any = matrix[:, head:]
        else:
            matrix = np.frombuffer(b"".join([row[:head] for row in rows]), np.uint8).reshape(n, head)
            keys = [bytes(row[head:]) for row in rows]
        # Row by row, as they lie in memory; the columns are views.
        numbers = _fields(np, matrix, 0, len(plan.numeric), ">f8").astype(np.float64)
        columns = {name: numbers[:, place] for place, name in enumerate(plan.numeric)}
        hashes = _fields(np, matrix, len(plan.numeric), len(plan.coded), ">i8").astype(np.int64)
        for place, name in enumerate(plan.coded):
            columns[name] = _coded(np, hashes[:, place], *vocabularies[name])
        yield ScanBlock(n, columns, keys)


def _fields(np: Any, matrix: Any, first: int, count: int, type_: str) -> Any:
    """Neighbouring fields of eight bytes, without their lengths."""
    return np.ndarray(
        (len(matrix), count),
        type_,
        buffer=matrix,
        offset=2 + _FIELD * first + 4 if count else 0,
        strides=(matrix.strides[0], _FIELD),
    )


def _coded(np: Any, hashes: Any, values: tuple[str, ...], known: Any, order: Any) -> CodedColumn:
    if not len(known):
        return coded_values(np.where(hashes == 0, -1, 0), values)
    near = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    codes = np.where(known[near] == hashes, order[near], len(values))
    return coded_values(np.where(hashes == 0, -1, codes), values)


def _rows(fields: bytes, block: KeyedBlock, columns: Sequence[Column]) -> bytes:
    """A block in the form COPY reads: one matrix where all fields have one size, else row by row."""
    np = load("numpy", extra="mlflow")
    pieces: list[Any] = [fields, block.keys]
    written = [c for c in columns if c.name in block.values]
    pieces += [_written(np, block.values[c.name], bare_type(c.type)) for c in written]
    if any(isinstance(piece, list) for piece in pieces):
        return b"".join(chain.from_iterable(zip(*(_each(p, block.rows) for p in pieces), strict=True)))
    matrices = [
        np.broadcast_to(np.frombuffer(p, np.uint8), (block.rows, len(p))) if isinstance(p, bytes) else p
        for p in pieces
    ]
    made: bytes = np.concatenate(matrices, axis=1).tobytes()
    return made


def _each(piece: Any, rows: int) -> Sequence[bytes]:
    if isinstance(piece, list):
        return piece
    if isinstance(piece, bytes):
        return [piece] * rows
    size, raw = piece.shape[1], piece.tobytes()
    return [raw[at : at + size] for at in range(0, rows * size, size)] if size else [b""] * rows


_NULL = struct.pack(">i", -1)
_NUMBERS = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8", "real": ">f4", "double precision": ">f8"}


def _written(np: Any, value: Any, type_: str) -> Any:
    """Fields of one column with the length of each: bytes for all, a matrix, or one by one where sizes differ."""
    if type_ in _NUMBERS:
        return _numbers(np, np.asarray(value), _NUMBERS[type_])
    if isinstance(value, CodedColumn):
        # The form COPY reads JSON in: a version, and the text.
        mark = "\x01" if type_ == "jsonb" else ""
        fields = [_text(mark + text) for text in value.values]
        return [fields[code] if code >= 0 else _NULL for code in value.codes.tolist()]
    if type_ == "uuid":
        return _sized(np, value)
    if value is None or isinstance(value, str):
        return _NULL if value is None else _text(value)
    msg = f"columns of type {type_} cannot be written this way."
    raise WarehouseError(msg)


def _numbers(np: Any, numbers: Any, kind: str) -> Any:
    matrix = np.atleast_1d(numbers).astype(kind).view(np.uint8).reshape(-1, np.dtype(kind).itemsize)
    matrix = _sized(np, matrix)
    if not numbers.ndim:
        constant: bytes = matrix.tobytes()
        return constant
    missing = np.flatnonzero(np.isnan(numbers)).tolist() if numbers.dtype.kind == "f" else ()
    if not missing:
        return matrix
    fields = list(_each(matrix, len(numbers)))
    for place in missing:
        fields[place] = _NULL
    return fields


def _sized(np: Any, matrix: Any) -> Any:
    length = np.frombuffer(struct.pack(">i", matrix.shape[1]), np.uint8)
    return np.concatenate([np.broadcast_to(length, (len(matrix), 4)), matrix], axis=1)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">i", len(raw)) + raw

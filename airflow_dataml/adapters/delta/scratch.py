"""The ledger's database as a scratchpad: rows pass through it to be typed, hashed, profiled and compared.

So a Delta dataset has the fingerprints, merges and checks of every other one. It costs loading the rows
once into a table that is dropped again.
"""

from __future__ import annotations

import io
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.delta.types import arrow_schema, carried
from airflow_dataml.core.datasets import Part
from airflow_dataml.core.errors import DataMLError, GateError
from airflow_dataml.core.extras import load
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming, FactKey, Relation, TaskKey, quote_identifier
from airflow_dataml.core.stores import NewPart, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.ports import Warehouse
    from airflow_dataml.core.stores import DatasetStore, Grids, OnProgress, Place, Source

_BATCH_ROWS = 1 << 15


class Scratch:
    """Tables that live for one step.

    :param store: keeps its parts in the ledger's database.
    :param warehouse: tables of the same database.
    """

    def __init__(self, store: DatasetStore, warehouse: Warehouse) -> None:
        self.store = store
        self._warehouse = warehouse

    @contextmanager
    def staged(
        self, *, fact: FactKey, place: Place, source: Source, grids: Grids, on_progress: OnProgress
    ) -> Iterator[Part]:
        """Yield a table with the rows of a source, fingerprinted and profiled."""
        made = self.store.stage(
            fact=fact, place=bare(place), source=source, grids=grids, on_progress=on_progress
        )
        part = as_part(made, asset=fact.asset)
        with self.dropping([part]):
            yield part

    @contextmanager
    def described(self, *, place: Place, source: Source, grids: Grids) -> Iterator[Part]:
        """Yield a table with the rows of a source, of which nothing but fingerprint and profile are wanted."""
        fact = FactKey(TaskKey("dataml", "scratch", uuid.uuid4().hex), place.asset)
        plain = replace(place, layout=Layout())
        with self.staged(fact=fact, place=plain, source=source, grids=grids, on_progress=_silent) as part:
            yield part

    @contextmanager
    def recast(self, *, place: Place, part: Part, columns: Sequence[Column], grids: Grids) -> Iterator[Part]:
        """Yield a part with its columns cast to other types; the part itself where they are these already."""
        if part.columns == tuple(columns):
            yield part
            return
        body = ", ".join(
            f"{quote_identifier(c.name)}::{c.type} AS {quote_identifier(c.name)}" for c in columns
        )
        query = Query(f"SELECT {body} FROM {part.relation.quoted}")
        with self.described(place=place, source=query, grids=grids) as cast:
            yield cast

    @contextmanager
    def holding(self, parts: Iterable[tuple[Part, Iterable[Any]]]) -> Iterator[dict[int, Part]]:
        """Yield tables with the rows of some parts, by the parts' ids.

        :param parts: each with the Arrow batches of its rows.
        """
        held: dict[int, Part] = {}
        with self.dropping(held.values()):
            for part, batches in parts:
                relation = Relation(AssetNaming.data_schema, f"scratch_{uuid.uuid4().hex}")
                self._warehouse.create_table(relation, part.columns)
                held[part.part_id] = replace(part, locator=str(relation))
                names = [c.name for c in part.columns]
                self._warehouse.copy_rows(relation, names, csv_blocks(batches), on_bytes=lambda _: None)
            yield held

    def batches(self, part: Part) -> Iterator[Any]:
        """Yield the rows of a table as Arrow batches of the types a Delta table has for them."""
        pyarrow = load("pyarrow", extra="delta")
        schema = arrow_schema(part.columns)
        rows = self.store.scan(columns=carried(part.columns), parts=[part])
        for block in _blocks(rows):
            columns = zip(zip(*block, strict=True), schema, strict=True)
            values = [_array(pyarrow, column, field) for column, field in columns]
            yield pyarrow.RecordBatch.from_arrays(values, schema=schema)

    @contextmanager
    def dropping(self, parts: Iterable[Part]) -> Iterator[None]:
        """Drop tables at the end of a block, whatever happens in it."""
        try:
            yield
        except BaseException:
            # Within a transaction that broke, the table is gone with it and the database says no more.
            with suppress(DataMLError):
                self.store.drop(list(parts))
            raise
        self.store.drop(list(parts))


def bare(place: Place) -> Place:
    """Return a place in the scratchpad, where nothing stands, with what a layout says of rows.

    Indexes and privileges mean nothing in a file.
    """
    nowhere = str(Relation(AssetNaming.data_schema, "scratch"))
    layout = Layout(keys=place.layout.keys, defaults=place.layout.defaults)
    return replace(place, location=nowhere, layout=layout)


def as_part(made: NewPart, *, asset: str, part_id: int = 0) -> Part:
    """Return what a store has made as a part that the ledger does not know."""
    return Part(
        part_id=part_id,
        asset=asset,
        locator=made.locator,
        columns=made.columns,
        fingerprint=made.fingerprint,
        partition_key=made.partition_key,
        profile=made.profile,
        role=made.role,
        replaces=made.replaces,
    )


def csv_blocks(batches: Iterable[Any]) -> Iterator[bytes]:
    """Yield Arrow batches as CSV that PostgreSQL reads back as the same values, after a line it skips."""
    pyarrow = load("pyarrow", extra="delta")
    csv = load("pyarrow.csv", extra="delta")
    options = csv.WriteOptions(include_header=False)
    yield b"columns\n"
    for batch in batches:
        buffer = io.BytesIO()
        columns = [_spelled(pyarrow, column) for column in batch.columns]
        csv.write_csv(pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names), buffer, options)
        yield buffer.getvalue()


def _spelled(pyarrow: Any, column: Any) -> Any:
    """Spell binary values as PostgreSQL reads them; Arrow's CSV writer would write the bytes."""
    if not pyarrow.types.is_binary(column.type) and not pyarrow.types.is_large_binary(column.type):
        return column
    return pyarrow.array(
        [None if v is None else "\\x" + v.hex() for v in column.to_pylist()], pyarrow.string()
    )


def _array(pyarrow: Any, values: Sequence[Any], field: Any) -> Any:
    try:
        return pyarrow.array(list(values), field.type)
    except (pyarrow.ArrowException, OverflowError) as err:
        msg = (
            f"column {field.name!r} holds a value that a Delta table has no place for as {field.type}: {err}"
        )
        raise GateError(msg) from err


def _blocks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    block: list[tuple[Any, ...]] = []
    for row in rows:
        block.append(row)
        if len(block) == _BATCH_ROWS:
            yield block
            block = []
    if block:
        yield block


def _silent(_: str) -> None:
    """Say nothing."""

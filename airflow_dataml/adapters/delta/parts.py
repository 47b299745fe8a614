"""Parts as files: written from the scratchpad, read into it, and checked on the way."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.delta.errors import said, translated
from airflow_dataml.adapters.delta.files import Folder, file_name, split_locator
from airflow_dataml.adapters.delta.log import DeltaLog
from airflow_dataml.adapters.delta.types import arrow_schema, arrow_type, postgres_columns
from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.errors import GateError
from airflow_dataml.core.extras import load
from airflow_dataml.core.schemas import widens
from airflow_dataml.core.stores import Arrow, NewPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.adapters.delta.scratch import Scratch
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.stores import Grids, Place


# The note of a file: the constraints its rows were tested against.
_TESTED = "dataml_constraints"


class PartFiles:
    """Files of Delta tables as parts of datasets.

    :param options: of the object store; never shown.
    """

    def __init__(self, scratch: Scratch, options: Mapping[str, str]) -> None:
        self.scratch = scratch
        self.options = dict(options)

    def folder(self, uri: str) -> Folder:
        """Return the files of a table."""
        return Folder(uri, self.options)

    def log(self, uri: str) -> DeltaLog | None:
        """Return the log of a table; nothing if there is no table."""
        return DeltaLog.open(self.folder(uri).uri, self.options)

    def read(self, part: Part, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the Arrow batches of a part's file."""
        table, name = split_locator(part.locator)
        return self.folder(table).read(name, columns)

    def aligned(self, part: Part, columns: Sequence[Column]) -> Iterator[Any]:
        """Yield the rows of a part as Arrow batches of these columns; one it lacks is null."""
        pyarrow = load("pyarrow", extra="delta")
        schema = arrow_schema(columns)
        own = {c.name for c in part.columns}
        wanted = [field.name for field in schema if field.name in own]
        # A column is read even where none is wanted, for the number of rows.
        for batch in self.read(part, wanted or [part.columns[0].name]):
            values = [
                batch.column(field.name).cast(field.type)
                if field.name in own
                else pyarrow.nulls(batch.num_rows, field.type)
                for field in schema
            ]
            yield pyarrow.RecordBatch.from_arrays(values, schema=schema)

    @contextmanager
    def held(self, parts: Sequence[Part]) -> Iterator[list[Part]]:
        """Yield the same parts as tables of the scratchpad, for a while."""
        with self.scratch.holding((part, self.read(part)) for part in parts) as held:
            yield [held[part.part_id] for part in parts]

    def export(self, *, fact: FactKey, place: Place, part: Part, grids: Grids) -> NewPart:
        """Write a table of the scratchpad into a file; types narrower than the Delta table's become the table's.

        :raises SpecError: a column is of a type a Delta table has no place for.
        :raises GateError: a row breaks a constraint of the Delta table.
        """
        folder, log = self.folder(place.location), self.log(place.location)
        columns = fitting(part.columns, log)
        arrow_schema(columns)
        constraints = log.constraints if log else {}
        with self.scratch.recast(place=place, part=part, columns=columns, grids=grids) as cast:
            name, notes = file_name(fact), {_TESTED: json.dumps(constraints, sort_keys=True)}
            size = folder.write(name, cast.columns, self.scratch.batches(cast), notes)
            made = NewPart(
                locator=folder.locator(name),
                columns=cast.columns,
                fingerprint=cast.fingerprint,
                profile=cast.profile,
                bytes=size,
                partition_key=part.partition_key,
                role=part.role,
                replaces=part.replaces,
            )
        if log is not None and constraints:
            self._check_constraints(name, log)
        return made

    def describe(self, *, place: Place, name: str, columns: Sequence[Column], grids: Grids) -> NewPart:
        """Fingerprint and profile a file as it was written: it is read back into the scratchpad."""
        folder = self.folder(place.location)
        reader = load("pyarrow", extra="delta").RecordBatchReader.from_batches(
            arrow_schema(columns), folder.read(name)
        )
        with self.scratch.described(place=place, source=Arrow(reader, tuple(columns)), grids=grids) as found:
            return NewPart(
                locator=folder.locator(name),
                columns=found.columns,
                fingerprint=found.fingerprint,
                profile=found.profile,
                bytes=folder.size(name),
            )

    def fingerprint(self, *, place: Place, parts: Sequence[Part], columns: Sequence[Column]) -> Fingerprint:
        """Return what some parts hold when read as these columns; a row is read only where their own differ."""
        if all(part.columns == tuple(columns) for part in parts):
            return sum((part.fingerprint for part in parts), Fingerprint())
        pyarrow = load("pyarrow", extra="delta")
        reader = pyarrow.RecordBatchReader.from_batches(
            arrow_schema(columns), (batch for part in parts for batch in self.aligned(part, columns))
        )
        with self.scratch.described(place=place, source=Arrow(reader, tuple(columns)), grids={}) as found:
            return found.fingerprint

    def check_later_constraints(self, name: str, log: DeltaLog) -> None:
        """Refuse a file that was written before its table got the constraints it has now, if a row breaks one.

        :raises GateError: with the condition and the first rows that break it.
        """
        tested = self.folder(log.uri).notes(name).get(_TESTED, "{}")
        if json.loads(tested) != log.constraints:
            self._check_constraints(name, log)

    def _check_constraints(self, name: str, log: DeltaLog) -> None:
        """Refuse a file with a row that breaks a constraint of its table.

        Conditions are in the language of deltalake, which tests the rows of a table that gets one: so a
        copy of the file becomes a table on this machine for a moment.

        :raises GateError: with the condition and the first rows that break it.
        """
        deltalake = load("deltalake", extra="delta")
        transaction = load("deltalake.transaction", extra="delta")
        source = self.folder(log.uri)
        size, statistics = source.statistics(name)
        with tempfile.TemporaryDirectory(prefix="dataml-constraints-") as folder, translated(folder, {}):
            source.copy(name, Path(folder) / name)
            added = transaction.AddAction(name, size, {}, 0, True, statistics)
            schema = deltalake.Schema.from_arrow(log.schema)
            transaction.create_table_with_add_actions(folder, schema, [added])
            for key, condition in log.constraints.items():
                try:
                    deltalake.DeltaTable(folder).alter.add_constraint({key: condition})
                except deltalake.exceptions.DeltaError as err:
                    if "Invalid data" not in str(err):
                        raise
                    msg = f"the batch breaks a constraint of the Delta table {log.uri} ({key}: {condition}): {said(err, self.options)} Nothing was published."
                    raise GateError(msg) from err


def fitting(columns: Sequence[Column], log: DeltaLog | None) -> tuple[Column, ...]:
    """Return the columns with the table's types where those hold every value of theirs.

    A Delta table has one type per column for all of its files.
    """
    if log is None:
        return tuple(columns)
    have = {c.name: c.type for c in postgres_columns(log.schema)}
    return tuple(Column(c.name, have[c.name]) if _narrower(c, have.get(c.name)) else c for c in columns)


def _narrower(column: Column, type_: str | None) -> bool:
    """Whether a table's type is a wider one, and not just another word for the same."""
    return (
        type_ is not None
        and widens(column.type, type_)
        and arrow_type(column) != arrow_type(Column(column.name, type_))
    )

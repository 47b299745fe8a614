"""Managed datasets in Delta tables."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataml.adapters.delta.files import file_name, split_locator
from airflow_dataml.adapters.delta.merging import may_touch, values_of
from airflow_dataml.adapters.delta.parts import PartFiles
from airflow_dataml.adapters.delta.scratch import Scratch, as_part, bare
from airflow_dataml.adapters.delta.switching import switch
from airflow_dataml.core.errors import ConflictError, GateError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.stores import Query, StagedMerge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.ports import Warehouse
    from airflow_dataml.core.refs import FactKey, Relation
    from airflow_dataml.core.stores import (
        Change,
        DatasetStore,
        Grids,
        MergeSpec,
        NewPart,
        OnProgress,
        Place,
        RowDiff,
        Source,
        Switched,
    )


class HasScratch(Protocol):
    """A ledger whose database may be used as a scratchpad."""

    @property
    def store(self) -> DatasetStore:
        """Keeps parts in the ledger's database."""

    @property
    def warehouse(self) -> Warehouse:
        """Tables of the same database."""


def delta_store(ledger: HasScratch, storage_options: Mapping[str, str] | None = None) -> DeltaStore:
    """Return the store of Delta tables that belongs to a ledger.

    :param storage_options: of the object store, as deltalake takes them: credentials, region, endpoint.
    """
    return DeltaStore(Scratch(ledger.store, ledger.warehouse), storage_options)


class DeltaStore:
    """Parts as Parquet files of Delta tables; see ``core.stores.DatasetStore``.

    A publication is one commit of the table's log, whatever the size of the data, made before the
    ledger's. Should the ledger's fail, readers of the table are a version ahead until the task is
    repeated, which adopts the commit, or another batch is published, which replaces it.

    :param scratch: where rows are typed, hashed, merged, compared and checked.
    :param storage_options: as deltalake takes them; never shown or kept.
    :param stray_age: how old an unknown file must be to be one that nobody is still writing.
    """

    name = "delta"

    def __init__(
        self,
        scratch: Scratch,
        storage_options: Mapping[str, str] | None = None,
        *,
        stray_age: timedelta = timedelta(days=1),
    ) -> None:
        self.files = PartFiles(scratch, storage_options or {})
        self._scratch = scratch
        self._stray_age = stray_age

    def stage(
        self, *, fact: FactKey, place: Place, source: Source, grids: Grids, on_progress: OnProgress
    ) -> NewPart:
        """Write rows into a file that no commit names; they pass through the scratchpad."""
        with (
            self._bound(source) as bound,
            self._scratch.staged(
                fact=fact, place=place, source=bound, grids=grids, on_progress=on_progress
            ) as part,
        ):
            return self.files.export(fact=fact, place=place, part=part, grids=grids)

    def stage_merge(
        self,
        *,
        fact: FactKey,
        place: Place,
        source: Source,
        merge: MergeSpec,
        current: Sequence[Part],
        grids: Grids,
        on_progress: OnProgress,
    ) -> StagedMerge:
        """Merge in the scratchpad, into which the files are loaded that may hold a key of the batch.

        Of any other file the key columns are read at most. The batch's keys are in memory.
        """
        with ExitStack() as stack:
            staged = self._scratch.staged(
                fact=fact.of(f"{fact.piece}source"),
                place=replace(place, layout=Layout(defaults=place.layout.defaults)),
                source=stack.enter_context(self._bound(source)),
                grids={},
                on_progress=on_progress,
            )
            batch = stack.enter_context(staged)
            touched = self._touched(batch, merge, current)
            held = stack.enter_context(self.files.held(touched))
            made = self._scratch.store.stage_merge(
                fact=fact,
                place=bare(place),
                source=Query(f"SELECT * FROM {batch.relation.quoted}"),
                merge=merge,
                current=held,
                grids=grids,
                on_progress=on_progress,
            )
            tables = [as_part(part, asset=fact.asset) for part in (made.batch, *made.rewrites)]
            stack.enter_context(self._scratch.dropping(tables))
            new, *rewrites = [
                self.files.export(
                    fact=fact.of(str(table.replaces[0])) if table.replaces else fact,
                    place=place,
                    part=table,
                    grids=grids,
                )
                for table in tables
            ]
        return StagedMerge(new, made.removes, tuple(rewrites))

    def profile(self, part: Part, grids: Grids) -> dict[str, Any]:
        """Profile a part anew, on other edges; its rows are loaded into the scratchpad."""
        with self.files.held([part]) as (held,):
            return self._scratch.store.profile(held, grids)

    def switch(
        self, *, place: Place, change: Change, columns: Sequence[Column], parts: Sequence[Part]
    ) -> Switched:
        """Commit to the table's log; see ``switching``."""
        return switch(self.files, place=place, change=change, columns=columns, parts=parts)

    @contextmanager
    def inspect(self, *, name: str, columns: Sequence[Column], parts: Sequence[Part]) -> Iterator[Relation]:
        """Show some parts in the scratchpad for a while; it costs loading their rows."""
        with (
            self.files.held(parts) as held,
            self._scratch.store.inspect(name=name, columns=columns, parts=held) as relation,
        ):
            yield relation

    def scan(
        self, *, columns: Sequence[Column], parts: Sequence[Part], limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows file by file; what a Delta table keeps as text comes as text."""
        rows = (
            row
            for part in parts
            for batch in self.files.aligned(part, columns)
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )
        yield from islice(rows, limit)

    def compare(
        self,
        *,
        columns: Sequence[Column],
        keys: Sequence[str],
        old: Sequence[Part],
        new: Sequence[Part],
        samples: int = 5,
    ) -> RowDiff:
        """Compare in the scratchpad; parts that both manifests share are not read."""
        shared = {p.part_id for p in old} & {p.part_id for p in new}
        with self.files.held([p for p in (*old, *new) if p.part_id not in shared]) as loaded:
            held = {p.part_id: p for p in loaded}
            return self._scratch.store.compare(
                columns=columns,
                keys=keys,
                old=[held.get(p.part_id, p) for p in old],
                new=[held.get(p.part_id, p) for p in new],
                samples=samples,
            )

    def compact(
        self, *, fact: FactKey, place: Place, columns: Sequence[Column], parts: Sequence[Part], grids: Grids
    ) -> NewPart:
        """Write several files as one, and compare what it holds, read back, with what they hold."""
        name, files = file_name(fact), self.files
        batches = (batch for part in parts for batch in files.aligned(part, columns))
        files.folder(place.location).write(name, columns, batches)
        made = files.describe(place=place, name=name, columns=columns, grids=grids)
        expected = files.fingerprint(place=place, parts=parts, columns=columns)
        if made.fingerprint != expected:
            msg = f"compacting {len(parts)} parts of {place.asset!r} would change their content ({expected.text} to {made.fingerprint.text}); nothing was changed."
            raise GateError(msg)
        return replace(made, role="compacted", partition_key=parts[0].partition_key)

    def drop(self, parts: Sequence[Part]) -> int:
        """Delete the files of some parts.

        :raises ConflictError: readers of the table see one of them; nothing was deleted.
        """
        doomed: dict[str, list[str]] = {}
        for table, name in (split_locator(part.locator) for part in parts):
            doomed.setdefault(table, []).append(name)
        for table, names in doomed.items():
            if seen := sorted(set(names) & self._seen(table)):
                msg = f"readers of the Delta table {table} see {', '.join(seen)}: publish a version without these parts before they are deleted."
                raise ConflictError(msg)
        return sum(self.files.folder(table).delete(name) for table, names in doomed.items() for name in names)

    def strays(self, known: Iterable[str]) -> dict[str, int]:
        """Return files of ours that no part is in and no reader sees, in the tables the known parts are in."""
        kept = {locator for locator in known if locator.endswith(".parquet")}
        before = datetime.now(UTC) - self._stray_age
        found: dict[str, int] = {}
        for table in sorted({split_locator(locator)[0] for locator in kept}):
            folder, seen = self.files.folder(table), self._seen(table)
            for name, (size, written) in folder.ours().items():
                if name not in seen and folder.locator(name) not in kept and written <= before:
                    found[folder.locator(name)] = size
        return found

    def drop_strays(self, locators: Sequence[str]) -> int:
        """Delete strays; one that readers see by now is left."""
        for table, name in map(split_locator, locators):
            if name not in self._seen(table):
                self.files.folder(table).delete(name)
        return len(locators)

    def close(self, *, place: Place) -> None:
        """Delete the table's log, so that no table is left; the files stay for the versions that have them."""
        if self.files.log(place.location) is not None:
            self.files.folder(place.location).delete_log()

    @contextmanager
    def _bound(self, source: Source) -> Iterator[Source]:
        """Load the versions a query reads, as far as they are in Delta tables."""
        if not isinstance(source, Query):
            yield source
            return
        with ExitStack() as stack:
            inputs = {
                name: ([self._loaded(stack, part) for part in parts], columns)
                for name, (parts, columns) in source.inputs.items()
            }
            yield replace(source, inputs=inputs)

    def _loaded(self, stack: ExitStack, part: Part) -> Part:
        return stack.enter_context(self.files.held([part]))[0] if part.store == self.name else part

    def _touched(self, batch: Part, merge: MergeSpec, current: Sequence[Part]) -> list[Part]:
        columns = [c for c in batch.columns if c.name in merge.keys]
        if len(columns) < len(merge.keys):
            return []
        rows = replace(batch, columns=tuple(columns))
        values = values_of(columns, self._scratch.batches(rows))
        keys = {c.name: (c.type, values[c.name]) for c in columns}
        return [p for p in current if may_touch(p, keys, partial(self.files.read, p))]

    def _seen(self, table: str) -> set[str]:
        log = self.files.log(table)
        return set(log.files) if log else set()

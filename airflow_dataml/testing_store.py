"""A dataset store that keeps its rows in this process, for tests and as the model other stores are held to."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.errors import ConflictError, GateError, NotFoundError, QualityGateError, SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import FactKey, TaskKey
from airflow_dataml.core.stores import ColumnDelta, NewPart, Place, RowDiff, Rows, StagedMerge, Switched
from airflow_dataml.testing_rows import canonical, fingerprint, profile, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import (
        Change,
        DatasetStore,
        Grids,
        MergeSpec,
        OnProgress,
        Source,
    )

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What readers of a place see."""

    columns: tuple[Column, ...]
    parts: tuple[Part, ...]


class InMemoryStore:
    """Parts as lists of tuples; it passes the same conformance suite as PostgreSQL and Delta.

    Like a file system it knows no transactions: what was staged stays when the ledger's fails.

    :param scratch: a store in the ledger's database, into which rows are loaded when an engine inspects
        them; without one, ``inspect`` is refused.

    >>> store = InMemoryStore()
    >>> store.read("public.rides")
    Traceback (most recent call last):
    airflow_dataml.core.errors.NotFoundError: place 'public.rides' does not exist. Known: none.
    """

    name = "memory"

    def __init__(self, scratch: DatasetStore | None = None) -> None:
        self._scratch = scratch
        self.parts: dict[str, list[Row]] = {}
        self.places: dict[str, Shown] = {}

    def read(self, location: str) -> list[dict[str, Any]]:
        """Return what readers of a place see."""
        if location not in self.places:
            missing = NotFoundError.from_available("place", location, self.places)
            raise missing
        shown = self.places[location]
        names = [c.name for c in shown.columns]
        return [
            dict(zip(names, row, strict=True)) for row in self.scan(columns=shown.columns, parts=shown.parts)
        ]

    def stage(
        self, *, fact: FactKey, place: Place, source: Source, grids: Grids, on_progress: OnProgress
    ) -> NewPart:
        """Keep the rows of a source; those of a query are refused, for there is no SQL here."""
        columns, rows = rows_of(source)
        _check_unique(place, columns, rows)
        return self._made(fact, columns, rows)

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
        """Keep a batch, and what is left of the parts it touches."""
        columns, rows = rows_of(source)
        names = [c.name for c in columns]
        _check_merge(place.asset, columns, merge)
        keys = [_values(names, row, merge.keys) for row in rows]
        nulls, twice = sum(None in key for key in keys), sum(n > 1 for n in Counter(keys).values())
        if nulls or twice:
            msg = f"the batch for {place.asset!r} cannot be merged by ({', '.join(merge.keys)}): {nulls} rows have a null key, {twice} keys occur more than once. Nothing was staged."
            raise QualityGateError(msg)
        touched, removes, rewrites = set(keys), [], []
        for part in current:
            own = [c.name for c in part.columns]
            if not set(merge.keys) <= set(own):
                continue
            before = self._rows(part)
            left = [row for row in before if _values(own, row, merge.keys) not in touched]
            if len(left) == len(before):
                continue
            removes.append(part.part_id)
            if left:
                made = self._made(fact.of(str(part.part_id)), part.columns, left)
                rewrites.append(
                    replace(made, role="rewrite", replaces=(part.part_id,), partition_key=part.partition_key)
                )
        if merge.delete_flag is not None:
            flag = names.index(merge.delete_flag)
            rows = [(*row[:flag], *row[flag + 1 :]) for row in rows if not row[flag]]
            columns = (*columns[:flag], *columns[flag + 1 :])
        return StagedMerge(self._made(fact, columns, rows), tuple(removes), tuple(rewrites))

    def profile(self, part: Part, grids: Grids) -> dict[str, Any]:
        """Profile a part; there are no histograms here, so edges change nothing."""
        return profile(part.columns, self._rows(part))

    def switch(
        self, *, place: Place, change: Change, columns: Sequence[Column], parts: Sequence[Part]
    ) -> Switched:
        """Show these parts at a place."""
        if place.location in self.places and not place.ours:
            msg = f"{place.location} was not published from here and would be replaced: choose another name."
            raise SpecError(msg)
        for part in parts:
            self._rows(part)
        self.places[place.location] = Shown(tuple(columns), tuple(parts))
        return Switched(tuple(parts), {"table": place.location})

    @contextmanager
    def inspect(self, *, name: str, columns: Sequence[Column], parts: Sequence[Part]) -> Iterator[Relation]:
        """Show some parts for a while in the database of the scratch store."""
        if self._scratch is None:
            msg = "rows in memory cannot be inspected with SQL: give InMemoryStore(scratch=ledger.store)."
            raise SpecError(msg)
        source = Rows(tuple(columns), [list(self.scan(columns=columns, parts=parts))])
        fact = FactKey(TaskKey("dataml", "memory", name), "scratch")
        place = Place("scratch", "dataml_data.scratch", Layout())
        made = self._scratch.stage(
            fact=fact, place=place, source=source, grids={}, on_progress=lambda _: None
        )
        part = Part(0, "scratch", made.locator, made.columns, made.fingerprint)
        try:
            with self._scratch.inspect(name=name, columns=columns, parts=[part]) as relation:
                yield relation
        finally:
            self._scratch.drop([part])

    def scan(
        self, *, columns: Sequence[Column], parts: Sequence[Part], limit: int | None = None
    ) -> Iterator[Row]:
        """Yield rows; a column a part lacks is null."""
        yield from islice((row for part in parts for row in self._aligned(part, columns)), limit)

    def compare(
        self,
        *,
        columns: Sequence[Column],
        keys: Sequence[str],
        old: Sequence[Part],
        new: Sequence[Part],
        samples: int = 5,
    ) -> RowDiff:
        """Compare two manifests; parts they share are not read."""
        shared = {p.part_id for p in old} & {p.part_id for p in new}
        before, after = ([p for p in parts if p.part_id not in shared] for parts in (old, new))
        names = [c.name for c in columns]
        lost, found = _apart(
            self.scan(columns=columns, parts=before), self.scan(columns=columns, parts=after)
        )
        fresh = {_values(names, row, keys): row for row in found} if keys else {}
        pairs = [(row, fresh[key]) for row in lost if (key := _values(names, row, keys)) in fresh]
        met = {_values(names, row, keys) for row, _ in pairs}
        lost, found = (
            [row for row in rows if _values(names, row, keys) not in met] for rows in (lost, found)
        )
        changed = Counter(
            name
            for pair in pairs
            for name, one, other in zip(names, *pair, strict=True)
            if canonical(one) != canonical(other)
        )
        said = [[dict(zip(names, row, strict=True)) for row in rows[:samples]] for rows in (found, lost)]
        shown = [[dict(zip(names, row, strict=True)) for row in pair] for pair in pairs[:samples]]
        return RowDiff(
            keys=tuple(keys),
            inserted=len(found),
            updated=len(pairs),
            deleted=len(lost),
            columns=tuple(ColumnDelta(name, changed[name]) for name in names if changed[name]),
            samples={"inserted": said[0], "updated": shown, "deleted": said[1]},
            read_parts=tuple(p.part_id for p in (*before, *after)),
            shared_parts=len(shared),
        )

    def compact(
        self, *, fact: FactKey, place: Place, columns: Sequence[Column], parts: Sequence[Part], grids: Grids
    ) -> NewPart:
        """Keep the rows of several parts as one."""
        made = self._made(fact, columns, list(self.scan(columns=columns, parts=parts)))
        if made.fingerprint != sum((p.fingerprint for p in parts), Fingerprint()):
            msg = f"compacting {len(parts)} parts of {place.asset!r} would change their content; nothing was changed."
            raise GateError(msg)
        return replace(made, role="compacted", partition_key=parts[0].partition_key)

    def drop(self, parts: Sequence[Part]) -> int:
        """Forget the rows of some parts.

        :raises ConflictError: readers of a place see one of them; nothing was forgotten.
        """
        names = {part.locator for part in parts}
        for location, shown in self.places.items():
            if seen := sorted(names & {part.locator for part in shown.parts}):
                msg = f"readers of {location} see {', '.join(seen)}: publish a version without these parts first."
                raise ConflictError(msg)
        return sum(len(self.parts.pop(name, ())) for name in names)

    def strays(self, known: Iterable[str]) -> dict[str, int]:
        """Return the parts nobody knows, with how many rows they have."""
        kept = set(known)
        return {name: len(rows) for name, rows in self.parts.items() if name not in kept}

    def drop_strays(self, locators: Sequence[str]) -> int:
        """Forget strays."""
        for locator in locators:
            self.parts.pop(locator, None)
        return len(locators)

    def close(self, *, place: Place) -> None:
        """Take a place away from readers."""
        self.places.pop(place.location, None)

    def _made(self, fact: FactKey, columns: Sequence[Column], rows: Sequence[Row]) -> NewPart:
        locator = f"memory/{fact.asset}/{fact.digest}"
        self.parts[locator] = list(rows)
        return NewPart(locator, tuple(columns), fingerprint(columns, rows), profile(columns, rows), len(rows))

    def _rows(self, part: Part) -> list[Row]:
        if part.locator not in self.parts:
            msg = f"the rows of part {part.part_id} ({part.locator}) are not in memory any more."
            raise NotFoundError(msg)
        return self.parts[part.locator]

    def _aligned(self, part: Part, columns: Sequence[Column]) -> Iterator[Row]:
        at = {c.name: i for i, c in enumerate(part.columns)}
        for row in self._rows(part):
            yield tuple(row[at[c.name]] if c.name in at else None for c in columns)


def _check_unique(place: Place, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Refuse rows that share the layout's keys, as the unique index of a table would."""
    keys, names = place.layout.keys, [c.name for c in columns]
    counts = Counter(_values(names, row, keys) for row in rows) if keys else {}
    if twice := sum(n > 1 for key, n in counts.items() if None not in key):
        msg = f"the batch for {place.asset!r} has {twice} keys ({', '.join(keys)}) more than once."
        raise GateError(msg)


def _check_merge(asset: str, columns: Sequence[Column], merge: MergeSpec) -> None:
    types = {c.name: c.type for c in columns}
    for name in (*merge.keys, *filter(None, [merge.delete_flag])):
        if name not in types:
            msg = f"the batch for {asset!r} has no column {name!r} to merge by: it has {', '.join(types)}."
            raise SpecError(msg)
    if merge.delete_flag and types[merge.delete_flag] != "boolean":
        msg = f"delete flag {merge.delete_flag!r} of {asset!r} is {types[merge.delete_flag]}, not boolean."
        raise SpecError(msg)


def _values(names: Sequence[str], row: Row, wanted: Sequence[str]) -> Row:
    return tuple(row[names.index(name)] for name in wanted)


def _apart(before: Iterable[Row], after: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows only the first and only the second side has, as often as it has them more."""
    counts: Counter[Row] = Counter()
    rows: dict[Row, Row] = {}
    for side, sign in ((before, -1), (after, 1)):
        for row in side:
            word = tuple(map(canonical, row))
            counts[word] += sign
            rows[word] = row
    lost = [rows[word] for word, n in counts.items() for _ in range(-n)]
    found = [rows[word] for word, n in counts.items() for _ in range(n)]
    return lost, found

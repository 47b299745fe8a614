"""What somebody else wrote to a table of ours: taken over as a version, or taken back."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from airflow_dataml.adapters.delta.files import split_locator
from airflow_dataml.adapters.delta.log import ASSET, FACT
from airflow_dataml.adapters.delta.store import DeltaStore
from airflow_dataml.adapters.delta.switching import switch
from airflow_dataml.adapters.delta.types import arrow_type, postgres_columns
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.stores import Change, Switched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.delta.log import Commit, DeltaLog
    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.stores import Grids, NewPart, Place

# Tables whose files alone do not say which rows there are.
_NEEDS_A_READER = frozenset(("deletionVectors", "columnMapping"))


class AdoptingStore(DeltaStore):
    """A store whose switch leaves the table as it is, and says which parts that makes."""

    def columns(self, place: Place, known: Sequence[Column]) -> tuple[Column, ...]:
        """Return the table's columns, with the types the ledger knows where they mean the same.

        :raises SpecError: a column, or the way the table keeps its rows, has no place in a dataset.
        """
        log = _opened(self, place)
        features = set(log.table.protocol().reader_features or ())
        if log.table.metadata().partition_columns or features & _NEEDS_A_READER:
            msg = f"the Delta table {log.uri} is partitioned, or uses {', '.join(sorted(_NEEDS_A_READER))}, so its files alone do not say which rows it has: it cannot be taken over."
            raise SpecError(msg)
        ours = {c.name: c for c in known}
        return tuple(
            ours[c.name] if c.name in ours and arrow_type(ours[c.name]) == arrow_type(c) else c
            for c in postgres_columns(log.schema)
        )

    def switch(
        self, *, place: Place, change: Change, columns: Sequence[Column], parts: Sequence[Part]
    ) -> Switched:
        """Fingerprint the files the ledger does not know, and put our mark in the log."""
        log = _opened(self, place)
        known = {split_locator(part.locator)[1]: part for part in parts}
        manifest = [known.get(name) or self._taken(place, name, columns) for name in sorted(log.files)]
        mark = {FACT: change.fact, ASSET: place.asset}
        version = log.commit(columns=columns, adds={}, removes={}, mark=mark)
        return Switched(tuple(manifest), {"delta_version": version, "table": place.location})

    def _taken(self, place: Place, name: str, columns: Sequence[Column]) -> NewPart:
        wanted = {c.name: c for c in columns}
        found = postgres_columns(self.files.folder(place.location).schema(name))
        own = tuple(wanted[c.name] for c in found if c.name in wanted)
        grids: Grids = {}
        return self.files.describe(place=place, name=name, columns=own, grids=grids)


def foreign_commits(store: DeltaStore, place: Place) -> list[Commit]:
    """Return what others committed since our newest commit, newest first."""
    found = []
    for commit in _opened(store, place).commits():
        if commit.fact is not None and commit.asset == place.asset:
            break
        found.append(commit)
    return found


def discard(store: DeltaStore, *, place: Place, columns: Sequence[Column], parts: Sequence[Part]) -> int:
    """Make readers see what the ledger says is current, whatever others wrote; returns the commit."""
    change = Change("rollback", f"dataml/discard/{uuid.uuid4().hex}/{place.asset}")
    done = switch(store.files, place=place, change=change, columns=columns, parts=parts, over_others=True)
    return int(done.facts["delta_version"])


def _opened(store: DeltaStore, place: Place) -> DeltaLog:
    log = store.files.log(place.location)
    if log is None:
        msg = f"there is no Delta table at {place.location}."
        raise NotFoundError(msg)
    return log

"""Stores: where the rows of managed datasets are, behind one port.

A store keeps parts and makes readers see a version; which parts a version has is the ledger's to say.
PostgreSQL, Delta tables and a test's memory implement it and pass one suite, ``tests/ports``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_dataml.core.datasets import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_dataml.core.datasets import Column, Fingerprint, Part, PartRole
    from airflow_dataml.core.layout import Layout
    from airflow_dataml.core.refs import FactKey, Relation

OnProgress = Callable[[str], None]
Grids = dict[str, tuple[float, float]]
ChangeMode = Literal["append", "replace", "partition", "merge", "rollback", "compact", "branch"]


@dataclass(frozen=True, slots=True)
class Place:
    """A dataset's home in a store.

    :param location: what readers name: a view ``schema.table``, or the uri of a Delta table.
    :param alias: the pointer this place follows: ``current``, or a branch.
    :param ours: whether what stands at the location was put there by this dataset and may be replaced.
    """

    asset: str
    location: str
    layout: Layout
    alias: str = CURRENT
    ours: bool = False


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file with a header line.

    :param header: its columns in file order.
    :param columns: names and types of the part to make.
    """

    path: Path
    header: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT over exact versions; each name of ``inputs`` stands for the parts of one."""

    sql: str
    inputs: Mapping[str, tuple[Sequence[Part], Sequence[Column]]] = field(default_factory=dict)
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows from anywhere, in batches that are taken one at a time.

    :param batches: each a sequence of rows, values in the order of ``columns``.
    """

    columns: tuple[Column, ...]
    batches: Iterable[Sequence[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Arrow:
    """Arrow record batches, taken one at a time.

    :param reader: a ``pyarrow.RecordBatchReader`` or ``Table``.
    :param columns: names and Postgres types of the part; from Arrow's own types unless given.
    """

    reader: Any
    columns: tuple[Column, ...] | None = None


Source = CsvFile | Query | Rows | Arrow


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part a store has made and the ledger does not know yet; fields as in ``datasets.Part``."""

    locator: str
    columns: tuple[Column, ...]
    fingerprint: Fingerprint
    profile: dict[str, Any]
    bytes: int | None = None
    partition_key: str | None = None
    role: PartRole = "batch"
    replaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """How a batch's rows meet the rows that are there.

    :param keys: columns that name a row; together unique and never null in the batch.
    :param delete_flag: boolean column of the batch that asks for a row's deletion; it does not join the
        dataset. Rows where it is null or false are inserted or updated.
    """

    keys: tuple[str, ...]
    delete_flag: str | None = None


@dataclass(frozen=True, slots=True)
class StagedMerge:
    """What a merge came to.

    :param removes: ids of the parts that hold a touched key.
    :param rewrites: what is left of them; a part of which nothing is left has no successor.
    """

    batch: NewPart
    removes: tuple[int, ...] = ()
    rewrites: tuple[NewPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a publication does, for stores that repeat it in their own log.

    :param mode: how the batch joins, or what else moves the pointer.
    :param fact: who writes; a store with a log of its own finds there what an earlier try did.
    :param batch: the staged part, if there is one.
    :param keys: the columns a merge matched rows by.
    :param to: facts of the version that becomes current again, for a rollback.
    """

    mode: ChangeMode
    fact: str
    batch: Part | None = None
    keys: tuple[str, ...] = ()
    to: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch came to.

    :param parts: the manifest of the new version; parts the ledger does not know yet are among them.
    :param facts: what the store wants to find again in the version's facts.
    """

    parts: tuple[Part | NewPart, ...]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ColumnDelta:
    """How often a column differs among the updated rows."""

    column: str
    changed: int


@dataclass(frozen=True, slots=True)
class RowDiff:
    """The rows two versions do not share.

    :param keys: the columns rows were matched by; without any, a changed row is one deleted and one inserted.
    :param samples: a few rows of each kind: ``{"inserted": [...], "updated": [[old, new], ...], "deleted": [...]}``.
    :param read_parts: parts that were read; those both versions share were not.
    """

    keys: tuple[str, ...]
    inserted: int
    updated: int
    deleted: int
    columns: tuple[ColumnDelta, ...] = ()
    samples: dict[str, list[Any]] = field(default_factory=dict)
    read_parts: tuple[int, ...] = ()
    shared_parts: int = 0

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.inserted or self.updated or self.deleted)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"columns": [asdict(c) for c in self.columns], "keys": list(self.keys)}


class DatasetStore(Protocol):
    """Rows of managed datasets in one kind of storage.

    Nothing a store writes is seen by readers before ``switch``. A name that is made twice for the same
    fact is the same name, so a retry meets what its earlier try left.
    """

    @property
    def name(self) -> str:
        """Short name of the kind, as it stands in ``part.store``."""

    def stage(
        self, *, fact: FactKey, place: Place, source: Source, grids: Grids, on_progress: OnProgress
    ) -> NewPart:
        """Write rows into a new, unattached part, with its indexes, fingerprint and profile.

        :param fact: who writes; the part's name follows from it.
        :param grids: edges of the histograms the dataset has already.
        """

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
        """Write rows to insert, update and delete, and the successors of every part they touch.

        A part without a touched key is neither read as a whole nor written.

        :param current: the parts the merge is computed on.
        :raises GateError: a key of the batch is null or occurs twice.
        """

    def profile(self, part: Part, grids: Grids) -> dict[str, Any]:
        """Profile a part anew, on other edges."""

    def switch(
        self, *, place: Place, change: Change, columns: Sequence[Column], parts: Sequence[Part]
    ) -> Switched:
        """Make readers of a place see exactly these parts, whatever their own schemas.

        :param parts: the manifest as the ledger plans it.
        :raises SpecError: something else stands at the place.
        """

    def inspect(
        self, *, name: str, columns: Sequence[Column], parts: Sequence[Part]
    ) -> AbstractContextManager[Relation]:
        """Yield a relation in the ledger's database that shows these parts, for engines that speak SQL."""

    def scan(
        self, *, columns: Sequence[Column], parts: Sequence[Part], limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of some parts, in no order, in bounded memory."""

    def compare(
        self,
        *,
        columns: Sequence[Column],
        keys: Sequence[str],
        old: Sequence[Part],
        new: Sequence[Part],
        samples: int = 5,
    ) -> RowDiff:
        """Compare the rows of two manifests, reading only parts they do not share."""

    def compact(
        self, *, fact: FactKey, place: Place, columns: Sequence[Column], parts: Sequence[Part], grids: Grids
    ) -> NewPart:
        """Write several parts as one.

        :raises GateError: the new part's content is not that of the old ones.
        """

    def drop(self, parts: Sequence[Part]) -> int:
        """Delete the rows of parts no version needs; returns the bytes freed. Parts already gone are passed over."""

    def strays(self, known: Iterable[str]) -> dict[str, int]:
        """Return what lies in the store and is no part of the ledger, with its bytes."""

    def drop_strays(self, locators: Sequence[str]) -> int:
        """Delete strays; returns how many there were."""

    def close(self, *, place: Place) -> None:
        """Take a place away from readers, such as a branch that was dropped."""

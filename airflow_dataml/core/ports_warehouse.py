"""The port through which steps reach the tables of managed datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_dataml.core.datasets import Column, Fingerprint, Part
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.scans import KeyedBlock, ScanBlock, ScanPlan


class Warehouse(Protocol):
    """Tables of managed datasets."""

    def columns(self, relation: Relation) -> tuple[Column, ...]:
        """Return a table's columns; empty when it is not there."""

    def create_table(self, relation: Relation, columns: Sequence[Column]) -> None:
        """Create an empty table."""

    def copy_rows(
        self,
        relation: Relation,
        columns: Sequence[str],
        lines: Iterator[bytes],
        *,
        on_bytes: Callable[[int], None],
    ) -> int:
        """Stream CSV (with header) into a table; returns the rows."""

    def create_from_select(
        self, relation: Relation, query: str, parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Create a table from a query with values for ``%(name)s``."""

    def bind(self, inputs: Mapping[str, tuple[Sequence[Part], Sequence[Column]]]) -> None:
        """Make names stand for exact versions until the transaction ends."""

    def fingerprint(self, relation: Relation) -> Fingerprint:
        """Read every row once and return the content's fingerprint."""

    def profile(
        self, relation: Relation, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
    ) -> dict[str, Any]:
        """Count, describe and histogram every column; ``grids`` gains an entry per new numeric column."""

    def point_view(
        self, view: Relation, columns: Sequence[Column], parts: Sequence[Part], *, ours: bool
    ) -> None:
        """Make a view show exactly these parts; ``ours`` says that an existing view may be replaced."""

    def engine_connection(self) -> AbstractContextManager[Any]:
        """Open a connection for a quality engine; it sees what is committed."""

    def union(self, parts: Sequence[Part], columns: Sequence[str | Column]) -> str:
        """SQL that reads these parts as one, cast to the given schema; a bare name keeps its newest type."""

    def scan(
        self, parts: Sequence[Part], columns: Sequence[Column], plan: ScanPlan
    ) -> AbstractContextManager[Iterator[ScanBlock]]:
        """Read parts as blocks of columns, in the order their rows lie in and in bounded memory."""

    def copy_keyed(self, relation: Relation, columns: Sequence[Column], blocks: Iterable[KeyedBlock]) -> int:
        """Write scanned keys with further values of each row; returns the rows."""

    def tally(self, column: Column, grid: tuple[float, float]) -> ColumnTally:
        """Profile a column of doubles while it is written."""

    def export_csv(self, query: str, path: Path, params: Sequence[Any] | None = None) -> int:
        """Write a query's rows to a CSV file with header, atomically; returns the rows."""

    def query(self, query: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a small query."""


class ColumnTally(Protocol):
    """Counts a column block by block."""

    def add(self, values: Any) -> None:
        """Count a block of values; NaN is null."""

    def profile(self) -> dict[str, Any]:
        """Return the column's profile, see ``core.profiles``."""

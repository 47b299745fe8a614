"""The port through which tables somebody else writes are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow_dataml.core.datasets import Column, Fingerprint
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import Grids, Rows


@dataclass(frozen=True, slots=True)
class Observation:
    """A table at one moment.

    :param freshness: the latest value of the column that was asked for, as ISO 8601 or plain text.
    :param statistics: when the database last cleaned and analysed the table, and what it weighs; where known.
    """

    columns: tuple[Column, ...]
    fingerprint: Fingerprint
    profile: dict[str, Any]
    freshness: str | None = None
    statistics: dict[str, Any] = field(default_factory=dict)


class TableObserver(Protocol):
    """Reads tables in the ledger's database."""

    def observe(self, relation: Relation, *, grids: Grids, freshness: str | None = None) -> Observation:
        """Read a table twice or three times, at one moment; not to be called within a transaction.

        :param grids: edges of the histograms that are known already.
        :param freshness: column whose latest value is wanted.
        :raises SpecError: there is no such table or column.
        """

    def landed(self, rows: Rows) -> AbstractContextManager[Relation]:
        """Put rows of another system into a temporary table for a while."""

"""The ports through which rows at fault are told apart, shown, set aside and brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.quarantine import DuplicateRule, Quarantined, QuarantineState, Sample
    from airflow_dataml.core.refs import FactKey, Relation
    from airflow_dataml.core.runs import TaskRun


class RowRules(Protocol):
    """What a contract says of single rows, as SQL over the table's bare column names."""

    def conditions(
        self,
        contract: Contract,
        *,
        variables: Mapping[str, Any],
        references: Mapping[str, Relation],
        data_timestamp: datetime | None,
    ) -> tuple[tuple[str, str], ...]:
        """Return, for every check that speaks of single rows, its id and the condition of a row that breaks it.

        :param references: dataset named in ``valid_reference_data`` -> the table to read.
        """

    def duplicates(
        self, contract: Contract, *, variables: Mapping[str, Any], data_timestamp: datetime | None
    ) -> tuple[tuple[str, DuplicateRule], ...]:
        """Return, for every duplicate check, its id and what it compares."""


class Samples(Protocol):
    """Shows a few of the rows that broke a check; masked values never leave the database."""

    def rows(
        self,
        connection: Any,
        *,
        relation: Relation,
        condition: str,
        mask: Sequence[str],
        limit: int,
        timeout_s: float,
    ) -> Sample:
        """Return rows that meet a condition.

        :param connection: a live connection of a quality engine; it is left as it was.
        """

    def keys(
        self,
        connection: Any,
        *,
        relation: Relation,
        rule: DuplicateRule,
        mask: Sequence[str],
        limit: int,
        timeout_s: float,
    ) -> Sample:
        """Return keys that are there more than once, most frequent first, with their number of rows."""


class QuarantineLedger(Protocol):
    """Rows that were set aside, as the ledger knows them."""

    def count(self, part: Part, conditions: Sequence[str], *, timeout_s: float) -> int:
        """Count the rows of a part that meet any of some conditions."""

    def move(
        self, part: Part, conditions: Sequence[tuple[str, str]], *, into: Relation, timeout_s: float
    ) -> tuple[int, dict[str, int]]:
        """Copy the rows that meet any condition into a new table, with the names of those they meet.

        :param conditions: the name of each and its SQL.
        :returns: how many rows, and how many for each name.
        """

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        part: Part,
        relation: str,
        rows: int,
        tested: int,
        reasons: Mapping[str, int],
        report_id: int,
        branch: str | None = None,
    ) -> Quarantined:
        """Write down that rows of a part were set aside; the rest of it is the part of the same fact."""

    def get(self, quarantine_id: int) -> Quarantined:
        """Return one.

        :raises NotFoundError: there is none.
        """

    def list(
        self,
        *,
        asset: str | None = None,
        state: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Quarantined]:
        """Return a page, newest first."""

    def open_of(self, asset: str) -> tuple[Quarantined, ...]:
        """Return all open ones of a dataset, oldest first."""

    def of_part(self, part_id: int) -> tuple[Quarantined, ...]:
        """Return what checks of a batch set aside, newest first."""

    def of_report(self, report_id: int) -> Quarantined | None:
        """Return what was set aside because of a report."""

    def of_rest(self, part_id: int) -> Quarantined | None:
        """Return what was set aside so that a part is what it is."""

    def rest_of(self, part_id: int) -> Part | None:
        """Return the part that stands for a batch: its newest check set rows aside, and the rest passed."""

    def link(self, part_id: int, quarantine_ids: Sequence[int]) -> None:
        """Write down whose rows a staged part brings back."""

    def replayed_by(self, part_id: int) -> tuple[Quarantined, ...]:
        """Return whose rows a staged part brings back; they are locked until the transaction ends."""

    def lock(self, quarantine_id: int) -> Quarantined:
        """Return one and lock it until the transaction ends."""

    def close(
        self,
        quarantine_id: int,
        *,
        state: QuarantineState,
        version_id: int | None = None,
        note: str | None = None,
    ) -> None:
        """Write down what became of the rows; what is closed stays as it is."""

    def reports(self, asset: str) -> dict[int, bool]:
        """Return the reports that set rows aside, and whether rows of the same batch are still open."""

    def rows(
        self, quarantine_id: int, *, mask: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the column names, and then the quarantined rows; masked values never leave the database."""

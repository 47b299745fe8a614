"""Segments: the pieces of a table whose measurements are kept, so that only new pieces are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataml.core.quality import QualityEngine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.quality import QualityReport
    from airflow_dataml.core.refs import Relation

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Segment:
    """An immutable piece of a table.

    :param key: its lasting name; another content must have another one.
    :param relation: where its rows are.
    :param state: what an earlier verification measured of it, if that is kept.
    """

    key: str
    relation: Relation
    state: Mapping[str, Any] | None = None


class IncrementalEngine(QualityEngine, Protocol):
    """A quality engine that measures pieces once and merges what it measured."""

    def plan_digest(self, contract: Contract, variables: Mapping[str, Any]) -> str:
        """Name what would be measured: states kept under one name are good under the same name only.

        :raises ContractError: a variable does not fit the contract.
        """

    def verify_parts(
        self,
        *,
        contract: Contract,
        relation: Relation,
        segments: Sequence[Segment],
        connection: Any,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> tuple[QualityReport, dict[str, State]]:
        """Run every check of a contract on a table of which some pieces are known.

        The report is the one ``verify`` would give. Pieces with a state that still fits are not read for
        what can be merged; a state that does not fit is as good as none.

        :param relation: all segments as one, such as the view readers would see.
        :returns: the report, and the states of the segments measured now, as plain JSON.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a table nobody publishes here was read, and what is kept of it.

    :param states: by number of the segment, those measured now, as plain JSON; the others stay as they were kept.
    :param read: segments whose rows were looked at, of ``total``.
    :param whole: why the table was read as one, if it was; nothing is kept then.
    """

    states: Mapping[int, State] = field(default_factory=dict)
    read: int = 0
    total: int = 0
    whole: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {"whole": self.whole} if self.whole else {"read": self.read, "of": self.total}


class ScanningEngine(QualityEngine, Protocol):
    """A quality engine that finds out by itself which segments of a table have changed."""

    def plan_digest(self, contract: Contract, variables: Mapping[str, Any]) -> str:
        """Name what would be measured; see :class:`IncrementalEngine`."""

    def verify_changes(
        self,
        *,
        contract: Contract,
        relation: Relation,
        known: Mapping[int, Mapping[str, Any]],
        connection: Any,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> tuple[QualityReport, Reading]:
        """Run every check of a contract on a table, measuring the segments that changed.

        The report is the one ``verify`` would give.

        :param known: what earlier readings kept under this plan, by number; what does not fit is as good
            as none.
        """

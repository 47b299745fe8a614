"""Segments: the pieces of a table whose measurements are kept, so that only new pieces are read."""

from __future__ import annotations

from dataclasses import dataclass
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

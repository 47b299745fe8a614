"""The quality engine that plans its own SQL for PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import report as reports
from airflow_dataml.adapters.native.binding import bind
from airflow_dataml.adapters.native.blocks import PAGES
from airflow_dataml.adapters.native.catalog import read_table
from airflow_dataml.adapters.native.changes import measure_changes
from airflow_dataml.adapters.native.measure import Measured, Subject, measure, reason_of
from airflow_dataml.adapters.native.metrics import make_plan
from airflow_dataml.adapters.native.parts import Pass, measure_pieces, measure_segment, read_tokens
from airflow_dataml.adapters.native.reader import OutOfTime, reading
from airflow_dataml.adapters.native.states import merge_states, rows_expected
from airflow_dataml.core.errors import ContractError, QualityEngineError
from airflow_dataml.core.segments import Reading, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from airflow_dataml.adapters.native.binding import Bound
    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.metrics import Plan
    from airflow_dataml.adapters.native.reader import Readers
    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.quality import QualityReport
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.segments import State


class NativeEngine:
    """Verifies contracts on PostgreSQL with as few passes over the table as the checks allow.

    :param connect: opens another connection like the caller's (same user, same database), in autocommit
        or not; it is closed afterwards. With it, what cannot share the scan runs beside it on the same
        snapshot; without, after it. Used where the caller's connection is in no transaction.
    :param work_mem_mb: memory each sort of a distinct count, or of numbers that a large reference must hold, may
        use before it goes to disk.
    :param beside_from: expected rows from which a second connection is worth its opening.
    :param range_pages: blocks of a table that are remembered as one, in ``verify_changes``; more of a table that
        would have over a thousand such ranges.
    """

    name = reports.NAME

    def __init__(
        self,
        *,
        connect: Callable[[], Any] | None = None,
        work_mem_mb: int = 64,
        beside_from: int = 200_000,
        range_pages: int = PAGES,
    ) -> None:
        self._connect = connect
        self._work_mem_mb = work_mem_mb
        self._beside_from = beside_from
        self._range_pages = range_pages

    def version(self) -> str:
        """Return the version of this package."""
        return reports.version()

    def verify(
        self,
        *,
        contract: Contract,
        relation: Relation,
        connection: Any,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> QualityReport:
        """Run every check of a contract; see :class:`~airflow_dataml.core.quality.QualityEngine`."""
        bound = bind(contract, variables, data_timestamp=data_timestamp)
        contract.document_for(relation, database="", references=references)
        plan = make_plan(bound, references)

        def work(readers: Readers, table: Table) -> Measured:
            subject = Subject(relation.quoted, plan.filter_sql, table)
            return measure(
                readers, subject, plan.metrics, name=relation.quoted, beside_from=self._beside_from
            )

        return self._run(bound, plan, relation, connection, timeout_s, work)

    def plan_digest(self, contract: Contract, variables: Mapping[str, Any]) -> str:
        """Name what would be measured; see :class:`~airflow_dataml.core.segments.IncrementalEngine`."""
        return make_plan(bind(contract, variables), {}).digest

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
        """Run every check, reading new segments alone; see :class:`~airflow_dataml.core.segments.IncrementalEngine`.

        :returns: the report, and the states of the segments measured now; among them are those compared
            again with a reference that has changed.
        """
        bound = bind(contract, variables, data_timestamp=data_timestamp)
        contract.document_for(relation, database="", references=references)
        plan = make_plan(bound, references)
        kept: dict[str, State] = {}

        def work(readers: Readers, table: Table) -> Measured:
            done = Pass(readers, plan, relation, table, self._beside_from)
            measured = measure_pieces(done, segments)
            kept.update(done.renewed | done.fresh)
            return measured

        rows = rows_expected(segments, plan)
        return self._run(bound, plan, relation, connection, timeout_s, work, rows=rows), kept

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
        """Run every check, reading the block ranges that changed; see :class:`~airflow_dataml.core.segments.ScanningEngine`."""
        bound = bind(contract, variables, data_timestamp=data_timestamp)
        contract.document_for(relation, database="", references=references)
        plan = make_plan(bound, references)
        readings = [Reading(whole="it was not read to the end")]

        def work(readers: Readers, table: Table) -> Measured:
            done = Pass(readers, plan, relation, table, self._beside_from)
            measured, reading = measure_changes(done, known, pages=self._range_pages)
            readings.append(reading)
            return measured

        return self._run(bound, plan, relation, connection, timeout_s, work), readings[-1]

    def measure(
        self,
        *,
        contract: Contract,
        relation: Relation,
        connection: Any,
        variables: Mapping[str, Any],
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> State:
        """Measure what can be merged of one segment, as plain JSON.

        :raises QualityEngineError: something cannot be measured.
        """
        segment = Segment("", relation)
        plan = make_plan(bind(contract, variables), references)
        with self._reading(connection, timeout_s) as readers:
            table = read_table(readers.main, relation)
            if table is not None:
                done = Pass(readers, plan, relation, table, self._beside_from)
                done.tokens = read_tokens(readers.main, plan)
                state, broken = measure_segment(done, segment)
                if state is not None and not broken.errors:
                    return state
                reason = next(iter(broken.errors.values()))
            else:
                reason = "there is no such table or view on this connection"
        msg = f"{relation} cannot be measured: {reason}."
        raise QualityEngineError(msg)

    def merge(self, states: Sequence[State]) -> State:
        """Return the state of a whole from those of its parts.

        :raises ValueError: there is none, or they are of different plans.
        """
        return merge_states(states)

    def judge(
        self,
        *,
        contract: Contract,
        state: State,
        relation: Relation,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
    ) -> QualityReport:
        """Judge a contract by a state alone; a check the state says nothing about is an error.

        :raises ContractError: the state was measured for another contract or other variables.
        """
        bound = bind(contract, variables, data_timestamp=data_timestamp)
        plan = make_plan(bound, {})
        if state.get("plan") != plan.digest:
            msg = f"{contract.source}: the state was measured for another contract; measure anew."
            raise ContractError(msg)
        counts = {key: count for key, (_, count) in state["references"].items()}
        measured = Measured(values={**state["values"], **counts})
        return reports.make_report(bound, plan, measured, table=None, relation=relation)

    def _reading(self, connection: Any, timeout_s: float) -> AbstractContextManager[Readers]:
        return reading(connection, timeout_s=timeout_s, work_mem_mb=self._work_mem_mb, connect=self._connect)

    def _run(
        self,
        bound: Bound,
        plan: Plan,
        relation: Relation,
        connection: Any,
        timeout_s: float,
        work: Callable[[Readers, Table], Measured],
        *,
        rows: float | None = None,
    ) -> QualityReport:
        import psycopg

        errors: tuple[str, ...] = (f"there is no table or view {relation} on this connection",)
        with self._reading(connection, timeout_s) as readers:
            try:
                table = read_table(readers.main, relation, rows=rows)
                if table is not None:
                    measured = work(readers, table)
                    return reports.make_report(bound, plan, measured, table=table, relation=relation)
            except (OutOfTime, psycopg.errors.QueryCanceled) as err:
                errors = (reason_of(err),)
        return reports.conclude(bound, [], rows=None, errors=errors, relation=relation)

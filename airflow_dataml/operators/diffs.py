"""The operator that compares versions, and refuses what may not differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.diff_gate import DiffGate
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.facets import outcome
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import VersionRef
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of, store_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.diff import diff_facts, keep_diff, version_before
from airflow_dataml.steps.rollback import PREVIOUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report


class DatasetDiffOperator(DataMLOperator):
    """Compare two versions of a dataset, keep what differs as a report, and refuse what may not differ.

    Parts both versions have are not read. The page of the two versions shows the report; downstream tasks get
    counts alone. With ``old="previous"`` and no previous version there is nothing to compare, and the task is
    skipped.

    :param dataset: the dataset.
    :param old: ``name@number``, ``name@alias``, ``name@time``, a number alone, or ``previous``: what readers saw
        before ``new``. Templated.
    :param new: the version to compare it with; what readers see unless given. Templated.
    :param fail_on: a ``DiffGate``, or its fields: ``max_changed_fraction``, ``forbid_deletes``,
        ``forbid_breaking``. Rows that could not be compared fail a rule about rows. Templated.
    :param keys: columns that name a row; the layout's unless given, and ``()`` matches whole rows.
    :param samples: rows of each kind to keep with the report; they are data, so think of ``mask``.
    :param mask: columns whose values are not kept; those that a contract masks are not kept in any case.
    :param branch: compare on a branch; ``dataml_branch`` of the run's configuration unless given. Templated.
    """

    template_fields: Sequence[str] = ("old", "new", "fail_on", "branch")

    def __init__(
        self,
        *,
        dataset: Asset,
        old: str = PREVIOUS,
        new: str | None = None,
        fail_on: DiffGate | Mapping[str, Any] | None = None,
        keys: Sequence[str] | None = None,
        samples: int = 0,
        mask: Sequence[str] = (),
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.old = old
        self.new = new
        self.fail_on = fail_on
        self.keys = keys
        self.samples = samples
        self.mask = mask
        self.branch = branch

    def declares(self) -> Declared:
        """Return the dataset, two versions of which are read."""
        return Declared(kind="COMPARISON", inputs=[self.dataset], subject=self.dataset)

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare, keep the report, and return its counts and verdict.

        :raises GateError: the versions differ in what ``fail_on`` forbids, or that could not be found out.
        """
        from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading

        self.link(context, self.dataset.name)
        gate, branch = authored(DiffGate, self.fail_on), branch_of(context, self.branch)
        with self.ledger() as ledger:
            after = ledger.versions.find(self._ref(self.new or self.dataset.name), branch=branch)
            report = keep_diff(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                old=self._old(ledger, after, branch),
                new=after.ref,
                gate=gate,
                keys=self.keys,
                samples=self.samples,
                mask=self.mask,
                hide=DatasetReading(ledger.connection).masked(self.dataset.name),
            )
            self._tell_report(ledger, report)
        self.link(context, report.asset, report=report.report_id)
        facts = diff_facts(report)
        if Verdict(report.verdict).blocks:
            msg = f"{facts['old']} and {facts['new']} differ in what may not: {report.body['summary']} (report {report.report_id})."
            raise GateError(msg, report.body)
        return facts

    def _tell_report(self, ledger: PostgresLedger, report: Report) -> None:
        refs = [report.body[side]["ref"] for side in ("old", "new")]
        found = outcome("diff", report.verdict, type="diff", actual=report.body["summary"])
        self.tell(ledger, read=refs, tests=(found,))

    def _old(self, ledger: PostgresLedger, after: Version, branch: str | None) -> str:
        if self.old != PREVIOUS:
            return self._ref(self.old)
        before = version_before(ledger, after, branch=branch)
        if before is None:
            msg = (
                f"{after.ref} is the first version that its readers saw; there is nothing to compare it with."
            )
            raise AirflowSkipException(msg)
        return before.ref

    def _ref(self, said: str) -> str:
        ref = f"{self.dataset.name}@{said}" if said.isdecimal() else said
        if VersionRef.parse(ref).asset != self.dataset.name:
            msg = f"version {said!r} is not one of {self.dataset.name!r}: write {self.dataset.name}@<number>."
            raise SpecError(msg)
        return ref

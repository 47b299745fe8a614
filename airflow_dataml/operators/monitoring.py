"""Operators that watch a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.monitor_policy import FIRST, PREVIOUS, REPORTED
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.links import IncidentsLink
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of, ref_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.observe_reported import observe_reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelMonitorOperator(DataMLOperator):
    """Look at one scored batch for drift and decay; an alarm opens an incident.

    The verdict is kept as a report and does not fail the task. Cleared once more labels have come, the task writes
    another report; ``labels_from`` of the policy judges earlier batches again with every new one.

    :param model: the model.
    :param predictions: the dataset of its predictions; without it the batch is a window that was reported as counts,
        as ``ModelWindowReportOperator`` does for a model served elsewhere.
    :param key_columns: columns that join predictions to the labels; needed with ``predictions``.
    :param policy: reference, tolerances, levels, alarm budget, slices, delays and metrics (``MonitorPolicy``, or its
        fields).
    :param labels: the dataset that brings the labels later; else they are in the scored dataset.
    :param partition_key: the batch; the run's own partition key unless given. Templated.
    :param branch: look at what was scored there, as a report on its predictions that opens no incident;
        ``dataml_branch`` of the run's configuration unless given. Templated.
    """

    template_fields: Sequence[str] = ("partition_key", "key_columns", "policy", "branch")
    operator_extra_links = (*DataMLOperator.operator_extra_links, IncidentsLink())

    def __init__(
        self,
        *,
        model: Asset,
        predictions: Asset | str | None = None,
        key_columns: Sequence[str] = (),
        policy: MonitorPolicy | dict[str, Any] | None = None,
        labels: Asset | str | None = None,
        partition_key: str | None = None,
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.model = model
        self.predictions = predictions
        self.key_columns = key_columns
        self.policy = policy
        self.labels = labels
        self.partition_key = partition_key
        self.branch = branch

    def declares(self) -> Declared:
        """Return the predictions, the labels and the model."""
        read = [one for one in (self.predictions, self.labels) if one is not None]
        return Declared(kind="MONITORING", inputs=[*read, self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Observe the batch and return the report's id and verdict."""
        self.link(context, self.model.name)
        policy = authored(MonitorPolicy, self.policy)
        key = self.require_partition_key(context, self.partition_key)
        with self.ledger() as ledger:
            report = self._observe(ledger, context, key, policy)
            self._tell_report(ledger, report, policy)
        self.link(context, report.asset, report=report.report_id)
        return {"report": report.report_id, "verdict": report.verdict, "summary": report.body["summary"]}

    def _observe(self, ledger: PostgresLedger, context: Context, key: str, policy: MonitorPolicy) -> Report:
        branch = branch_of(context, self.branch)
        if self.predictions is None:
            if self.labels is not None or branch is not None:
                what = "labels" if self.labels is not None else f"branch {branch!r}"
                msg = f"task {self.task_id!r} watches a window reported as counts, which has no {what}: give predictions with it."
                raise SpecError(msg)
            return observe_reported(
                ledger=ledger,
                identity=self.identity(context),
                model=self.model.name,
                partition_key=key,
                policy=policy,
            )
        if not self.key_columns:
            msg = f"task {self.task_id!r} needs key_columns, which join predictions to their labels."
            raise SpecError(msg)
        return observe_batch(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=self.identity(context),
            model=self.model.name,
            predictions=ref_of(self.predictions),
            key_columns=tuple(self.key_columns),
            partition_key=key,
            policy=policy,
            labels=ref_of(self.labels) if self.labels is not None else None,
            branch=branch,
        )

    def _tell_report(self, ledger: PostgresLedger, report: Report, policy: MonitorPolicy) -> None:
        body = report.body
        batch = {"partitions": [body["partition_key"]]}
        # What a reported window is compared with may be a report, which is no dataset.
        told = (
            () if policy.reference in (REPORTED, FIRST, PREVIOUS) and "reported" in body else ("reference",)
        )
        read = [body.get(name) for name in ("predictions", "features", "model", *told)]
        read.append(body["performance"].get("labels"))
        untested = _untested_of(body)
        findings = [
            outcome(
                kind,
                "fail" if texts else "unknown" if report.verdict == "unknown" or kind in untested else "pass",
                type="monitor",
                actual="; ".join(texts) or None,
            )
            for kind, texts in body["findings"].items()
        ]
        self.tell(
            ledger,
            read=[ref for ref in read if ref],
            subsets={
                body[name].partition("@")[0]: batch for name in ("predictions", "features") if name in body
            },
            tests=tuple(findings),
            parameters=parameters(policy.model_dump(mode="json")),
        )


def _untested_of(body: Mapping[str, Any]) -> set[str]:
    """Findings that a report could not have made: without labels none of decay, without scores to compare none of these.

    >>> sorted(_untested_of({"performance": {"now": None}, "prediction": []}))
    ['decay', 'prediction_drift']
    """
    known = {"decay": body["performance"].get("now"), "prediction_drift": body.get("prediction")}
    return {kind for kind, found in known.items() if not found}

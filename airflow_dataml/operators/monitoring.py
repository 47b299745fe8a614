"""Operators that watch a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.links import IncidentsLink
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of, ref_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.observe import observe_batch

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
    :param predictions: the dataset of its predictions.
    :param key_columns: columns that join predictions to the labels.
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
        predictions: Asset | str,
        key_columns: Sequence[str],
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
        labels = [] if self.labels is None else [self.labels]
        return Declared(kind="MONITORING", inputs=[self.predictions, *labels, self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Observe the batch and return the report's id and verdict."""
        self.link(context, self.model.name)
        policy = authored(MonitorPolicy, self.policy)
        key = self.require_partition_key(context, self.partition_key)
        with self.ledger() as ledger:
            report = observe_batch(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                model=self.model.name,
                predictions=ref_of(self.predictions),
                key_columns=tuple(self.key_columns),
                partition_key=key,
                policy=policy,
                labels=ref_of(self.labels) if self.labels is not None else None,
                branch=branch_of(context, self.branch),
            )
            self._tell_report(ledger, report, policy)
        self.link(context, report.asset, report=report.report_id)
        return {"report": report.report_id, "verdict": report.verdict, "summary": report.body["summary"]}

    def _tell_report(self, ledger: PostgresLedger, report: Report, policy: MonitorPolicy) -> None:
        body = report.body
        batch = {"partitions": [body["partition_key"]]}
        read = [body["predictions"], body["features"], body["model"], body["reference"]]
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
            subsets={body[name].partition("@")[0]: batch for name in ("predictions", "features")},
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

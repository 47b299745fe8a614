"""Operators that watch a model and decide what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.assets import retrain
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.monitoring import MonitorPolicy, RetrainPolicy
from airflow_dataml.links import IncidentsLink
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of, ref_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.decide import decide_after_monitor
from airflow_dataml.steps.observe import observe_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelMonitorOperator(DataMLOperator):
    """Look at one scored batch for drift and decay; an alarm opens an incident.

    The verdict is kept as a report and does not fail the task.

    :param model: the model.
    :param predictions: the dataset of its predictions.
    :param key_columns: columns that join predictions to the labels of the scored dataset.
    :param policy: tolerances and levels (``MonitorPolicy``, or its fields).
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
        self.partition_key = partition_key
        self.branch = branch

    def declares(self) -> Declared:
        """Return the predictions and the model."""
        return Declared(kind="MONITORING", inputs=[self.predictions, self.model], subject=self.model)

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
                branch=branch_of(context, self.branch),
            )
            self._tell_report(ledger, report, policy)
        self.link(context, report.asset, report=report.report_id)
        return {"report": report.report_id, "verdict": report.verdict, "summary": report.body["summary"]}

    def _tell_report(self, ledger: PostgresLedger, report: Report, policy: MonitorPolicy) -> None:
        body = report.body
        batch = {"partitions": [body["partition_key"]]}
        findings = [
            outcome(kind, "fail" if texts else "unknown" if report.verdict == "unknown" else "pass",
                 type="monitor", actual="; ".join(texts) or None)
            for kind, texts in body["findings"].items()
        ]  # fmt: skip
        self.tell(
            ledger,
            read=[body["predictions"], body["features"], body["model"], body["reference"]],
            subsets={body[name].partition("@")[0]: batch for name in ("predictions", "features")},
            tests=tuple(findings),
            parameters=parameters(policy.model_dump(mode="json")),
        )


class RetrainDecideOperator(DataMLOperator):
    """Decide after a monitor report: retrain, fix the data, or wait.

    The retrain asset has an event only when the decision is to retrain; otherwise the task is
    skipped with the reasons. The decision is kept as a report either way. In a run on a branch nothing is
    decided, and the task is skipped.

    :param model: the model; its retrain asset becomes an outlet of the task.
    :param monitor: id of the monitor report. Templated.
    :param policy: what asks for a new version (``RetrainPolicy``, or its fields).
    """

    template_fields: Sequence[str] = ("monitor", "policy")

    def __init__(
        self,
        *,
        model: Asset,
        monitor: Any,
        policy: RetrainPolicy | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._retrain = retrain(model.name)
        super().__init__(outlets=[self._retrain, *kwargs.pop("outlets", [])], **kwargs)
        self.model = model
        self.monitor = monitor
        self.policy = policy

    def declares(self) -> Declared:
        """Return the model."""
        return Declared(kind="DECISION", inputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Decide and return the decision."""
        self.link(context, self.model.name)
        if branch := branch_of(context, None):
            msg = f"No decision for {self.model.name!r} on branch {branch!r}: models have no branches."
            raise AirflowSkipException(msg)
        policy = authored(RetrainPolicy, self.policy)
        with self.ledger() as ledger:
            report = decide_after_monitor(
                ledger=ledger, identity=self.identity(context), monitor=int(self.monitor), policy=policy
            )
            self.tell(
                ledger,
                read=[report.version_id] if report.version_id else [],
                decision={
                    "asset": self.model.name,
                    "action": report.body["action"],
                    "reasons": list(report.body["reasons"]),
                    "report": report.report_id,
                },
            )
        self.link(context, self.model.name, report=report.report_id)
        decision = {key: report.body[key] for key in ("action", "reasons")}
        if decision["action"] != "retrain":
            msg = f"Decision for {self.model.name!r}: {decision['action']}. {'; '.join(decision['reasons'])}."
            raise AirflowSkipException(msg)
        context["outlet_events"][self._retrain].extra = {
            "dataml": {
                "report": report.report_id,
                "monitor": int(self.monitor),
                "reasons": decision["reasons"],
            }
        }
        return decision | {"report": report.report_id}

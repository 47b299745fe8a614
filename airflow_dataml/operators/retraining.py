"""Operator that decides what follows from news about a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.assets import retrain
from airflow_dataml.core.retraining import RetrainPolicy, asked_for
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.decide import decide_after_monitor, decide_on_standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class RetrainDecideOperator(DataMLOperator):
    """Decide on a model's next version: retrain, fix the data, or wait.

    The retrain asset has an event only when the decision is to retrain; otherwise the task is
    skipped with the reasons. The decision is kept as a report either way. A batch whose profile tells of a broken
    feed, as of another unit or rows twice, gets a data incident on its dataset and never a retraining. In a run on a
    branch nothing is decided, and the task is skipped.

    How the new version is made and what it may become is in the event's extra and in the decision; the tasks of the
    training that answers it keep to both.

    :param model: the model; its retrain asset becomes an outlet of the task.
    :param monitor: id of the monitor report. Without one the policy's age and new data alone decide, in a DAG
        scheduled on the dataset. Templated.
    :param policy: what asks for a new version (``RetrainPolicy``, or its fields).
    """

    template_fields: Sequence[str] = ("monitor", "policy")

    def __init__(
        self,
        *,
        model: Asset,
        monitor: Any = None,
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
            report = self._decide(ledger, context, policy)
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
        decision: dict[str, Any] = {key: report.body[key] for key in ("action", "reasons")}
        if decision["action"] != "retrain":
            msg = f"Decision for {self.model.name!r}: {decision['action']}. {'; '.join(decision['reasons'])}."
            raise AirflowSkipException(msg)
        strategy, action = asked_for(report.body)
        context["outlet_events"][self._retrain].extra = {
            "dataml": {
                "report": report.report_id,
                "monitor": report.body["monitor"],
                "reasons": decision["reasons"],
                "strategy": strategy,
                "action": action,
            }
        }
        return decision | {"report": report.report_id}

    def _decide(self, ledger: PostgresLedger, context: Context, policy: RetrainPolicy) -> Report:
        identity = self.identity(context)
        if self.monitor is None:
            return decide_on_standing(ledger=ledger, identity=identity, model=self.model.name, policy=policy)
        return decide_after_monitor(
            ledger=ledger, identity=identity, monitor=int(self.monitor), policy=policy
        )

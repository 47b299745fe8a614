"""The operator that decides on a promotion and moves the aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from airflow_dataml import config
from airflow_dataml.core.approvals import ApprovalPolicy
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import DataMLOperator, authored, event_facts, refuse_branch
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.promote import drain_aliases, promote_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class ModelPromoteOperator(DataMLOperator):
    """Decide on an evaluation: the challenger becomes champion, or stays a shadow.

    Aliases, decision and audit move in one ledger transaction; MLflow's aliases follow through the
    outbox. The model's asset has an event only when the champion changed. Refused in a run on a branch.

    :param model: the model.
    :param evaluation: id of the evaluation report. Templated.
    :param approval: who must have approved exactly this content before it becomes champion, asked by an
        ``ApprovalOperator`` before; the same policy as there. Fails where they did not, or not in time.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("evaluation",)

    def __init__(
        self,
        *,
        model: Asset,
        evaluation: Any,
        approval: ApprovalPolicy | Mapping[str, Any] | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._promoted = AssetAlias(f"{model.name}_promoted")
        super().__init__(outlets=[self._promoted, *kwargs.pop("outlets", [])], **kwargs)
        self.model = model
        self.evaluation = evaluation
        self.approval = approval
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model, whose aliases may move."""
        return Declared(kind="PROMOTION", outputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Decide, move the aliases and return the decision."""
        refuse_branch(context, f"the champion of {self.model.name!r}")
        self.link(context, self.model.name)
        with self.ledger() as ledger:
            report = promote_model(
                ledger=ledger,
                identity=self.identity(context),
                model=self.model.name,
                evaluation=int(self.evaluation),
                approval=None if self.approval is None else authored(ApprovalPolicy, self.approval),
            )
            self.tell(
                ledger,
                wrote=[report.version_id] if report.version_id else [],
                decision={
                    "asset": self.model.name,
                    "action": report.body["action"],
                    "reasons": list(report.body["reasons"]),
                    "version": report.body["version"],
                    "report": report.report_id,
                },
            )
            drain_aliases(
                ledger=ledger, registry=MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry()
            )
        decision = {key: report.body[key] for key in ("action", "reasons", "version")}
        if decision["action"] == "promote":
            context["outlet_events"][self._promoted].add(
                self.model, extra=event_facts(decision["version"], report=report.report_id)
            )
        self.link(context, self.model.name, report=report.report_id)
        return decision | {"report": report.report_id}

"""The operator that brings ledger and model registry together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from airflow_dataml import config
from airflow_dataml.core.registry_drift import check_policy
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import DataMLOperator, event_facts, refuse_branch
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.reconcile import reconcile_model

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.core.registry_drift import OutsidePolicy
    from airflow_dataml.steps.reconcile import Reconciled


class RegistryReconcileOperator(DataMLOperator):
    """Compare a model in MLflow with the ledger: deliver what is ours, write down what others changed there.

    Every change made outside, of an alias, a tag or a version, is a report of kind ``registry-drift`` and an
    entry in the audit chain, once, however often this runs. The model's asset has an event only when a
    champion made outside was taken over. Refused in a run on a branch.

    :param model: the model.
    :param on_outside_change: ``record`` leaves MLflow as it is, and the ledger still decides; ``restore`` puts
        aliases and tags back; ``adopt`` takes the change over as a decision that was made outside.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    def __init__(
        self,
        *,
        model: Asset,
        on_outside_change: OutsidePolicy = "record",
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._promoted = AssetAlias(f"{model.name}_promoted")
        super().__init__(outlets=[self._promoted, *kwargs.pop("outlets", [])], **kwargs)
        self.model = model
        self.on_outside_change = on_outside_change
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model, whose aliases may be taken over."""
        return Declared(kind="RECONCILIATION", outputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Reconcile and return what was found."""
        refuse_branch(context, f"the registry's view of {self.model.name!r}")
        self.link(context, self.model.name)
        policy = check_policy(self.on_outside_change)
        with self.ledger() as ledger:
            before = ledger.versions.alias(self.model.name, "champion")
            found = reconcile_model(
                ledger=ledger,
                registry=MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry(),
                identity=self.identity(context),
                model=self.model.name,
                on_outside_change=policy,
            )
            after = ledger.versions.alias(self.model.name, "champion")
            same = before is not None and after is not None and before.version_id == after.version_id
            moved = None if same else after
            self.tell(ledger, wrote=[moved] if moved else [], decision=_decision(found))
        if moved is not None:
            context["outlet_events"][self._promoted].add(
                self.model, extra=event_facts(moved.ref, report=found.report)
            )
        self.link(context, self.model.name, report=found.report)
        return found.to_dict()


def _decision(found: Reconciled) -> dict[str, Any]:
    return {
        "asset": found.model,
        "action": f"reconcile_{found.policy}",
        "reasons": [one.said for one in (*found.new, *found.settled)],
        "report": found.report,
    }

"""Operators that switch what readers see of models, or of datasets and models together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from airflow_dataml import config
from airflow_dataml.core.approvals import ApprovalPolicy
from airflow_dataml.core.release import ReleaseRequest
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import (
    DataMLOperator,
    authored,
    event_facts,
    refuse_branch,
    register,
)
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.release_targets import release_target, version_meant
from airflow_dataml.steps.model_rollback import roll_back_model
from airflow_dataml.steps.promote import drain_aliases
from airflow_dataml.steps.release import release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.steps.release import Released


class ModelRollbackOperator(DataMLOperator):
    """Make an earlier version of a model champion again; the one it replaces becomes ``previous``.

    Aliases, decision and audit move in one ledger transaction; MLflow's aliases follow through the
    outbox. The model's asset has an event. Refused in a run on a branch.

    :param model: the model.
    :param to: ``previous``, ``name@number`` or ``name@alias``. A retry of ``previous`` does not go back once
        more. Templated.
    :param reason: why; kept in the audit chain and with the decision. Templated.
    :param expected: the champion to be replaced, ``name@number``; fails when it is another one. Templated.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("to", "reason", "expected")

    def __init__(
        self,
        *,
        model: Asset,
        reason: str,
        to: str = "previous",
        expected: str | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._promoted = AssetAlias(f"{model.name}_promoted")
        super().__init__(outlets=[self._promoted, *kwargs.pop("outlets", [])], **kwargs)
        self.model = model
        self.to = to
        self.reason = reason
        self.expected = expected
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model, whose aliases move."""
        return Declared(kind="RESTORATION", outputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Roll back and return the version that is champion."""
        refuse_branch(context, f"the champion of {self.model.name!r}")
        self.link(context, self.model.name)
        with self.ledger() as ledger:
            found = roll_back_model(
                ledger=ledger,
                identity=self.identity(context),
                model=self.model.name,
                to=self.to,
                reason=self.reason,
                expected=self.expected,
            )
            said = {"action": "roll_back", "reasons": [self.reason], "version": found.version.ref}
            told = said | {"asset": self.model.name, "report": found.report.report_id}
            self.tell(ledger, wrote=[found.version], decision=told)
            drain_aliases(
                ledger=ledger, registry=MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry()
            )
        facts = event_facts(found.version.ref, report=found.report.report_id)
        context["outlet_events"][self._promoted].add(self.model, extra=facts)
        self.link(context, self.model.name, report=found.report.report_id)
        return found.to_dict()


class ReleaseOperator(DataMLOperator):
    """Switch what readers see of datasets and models, all in one ledger transaction or not at all.

    A reader that asks for several of them in one statement, or in one repeatable-read transaction, sees all
    as before or all as after. Only assets that changed have events. Refused in a run on a branch.

    :param datasets: by dataset, what readers are to see: ``name@number`` that they saw before, or what its
        stage task returned, which is published. Datasets that the ledger's database keeps. Templated.
    :param models: by model, the version to be champion: ``name@number`` or ``name@alias``. Templated.
    :param reason: what it is for; kept in the audit chain and with the decisions. Templated.
    :param approved: the release's hash that was approved; other content is refused. Templated.
    :param approval: who must have approved exactly this content, asked by an ``ApprovalOperator`` before.
    :param require_check: whether a staged batch needs a passed quality check.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("dataset_versions", "model_versions", "reason", "approved")

    def __init__(
        self,
        *,
        reason: str,
        datasets: Mapping[Asset, Any] | None = None,
        models: Mapping[Asset, Any] | None = None,
        approved: str | None = None,
        approval: ApprovalPolicy | Mapping[str, Any] | None = None,
        require_check: bool = True,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.datasets, self.models = list(datasets or {}), list(models or {})
        self._promoted = {model.name: AssetAlias(f"{model.name}_promoted") for model in self.models}
        super().__init__(
            outlets=[*self.datasets, *self._promoted.values(), *kwargs.pop("outlets", [])], **kwargs
        )
        # By name, because Airflow shows template fields as JSON.
        self.dataset_versions = {asset.name: to for asset, to in (datasets or {}).items()}
        self.model_versions = {asset.name: to for asset, to in (models or {}).items()}
        self.reason = reason
        self.approved = approved
        self.approval = approval
        self.require_check = require_check
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return everything that may move."""
        return Declared(kind="RELEASE", outputs=[*self.datasets, *self.models])

    def execute(self, context: Context) -> dict[str, Any]:
        """Release and return the hash and what readers see."""
        refuse_branch(context, "a release")
        first = next(iter([*self.models, *self.datasets]), None)
        if first is not None:
            self.link(context, first.name)
        with self.ledger() as ledger:
            found = self._release(ledger, context)
            self.tell(ledger, wrote=found.moved, **self._decision(found))
            if self.models:
                registry = MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry()
                drain_aliases(ledger=ledger, registry=registry)
        self._announce(context, found)
        return found.to_dict()

    def _release(self, ledger: PostgresLedger, context: Context) -> Released:
        from airflow_dataml.adapters.postgres.holding import hold_views

        for asset in self.datasets:
            register(ledger, asset)
        return release(
            ledger=ledger,
            store=ledger.store,
            identity=self.identity(context),
            wanted=ReleaseRequest(
                reason=self.reason,
                datasets=tuple(
                    release_target(ledger, asset, self.dataset_versions[asset.name])
                    for asset in self.datasets
                ),
                models={name: version_meant(name, to) for name, to in self.model_versions.items()},
                approved=self.approved,
                approval=None if self.approval is None else authored(ApprovalPolicy, self.approval),
                require_check=self.require_check,
            ),
            hold=lambda places: hold_views(ledger.connection, places),
        )

    def _decision(self, found: Released) -> dict[str, Any]:
        for version in found.moved:
            said = {"action": "release", "reasons": [self.reason], "version": version.ref}
            return {"decision": said | {"asset": version.asset, "report": found.reports.get(version.asset)}}
        return {}

    def _announce(self, context: Context, found: Released) -> None:
        moved = {version.asset: version for version in found.moved}
        for asset in self.datasets:
            if asset.name in moved:
                self.announce(context, asset, moved[asset.name])
        still = [asset for asset in self.datasets if asset.name not in moved]
        # Airflow reads the outlets of this very task object once it has succeeded.
        self.outlets = [outlet for outlet in self.outlets if outlet not in still]
        for model in self.models:
            if model.name in moved:
                facts = event_facts(moved[model.name].ref, report=found.reports[model.name])
                context["outlet_events"][self._promoted[model.name]].add(model, extra=facts)
                self.link(context, model.name, report=found.reports[model.name])

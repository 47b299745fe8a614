"""The operator that asks what a change would do to models before it is merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml import config
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.impact import ImpactPolicy, proposed_by_name, proposed_by_schema
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.evaluate import Bench
from airflow_dataml.steps.impact import REFUSED, assess_impact, keep_impact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.impact import ImpactFound, Proposed


class ImpactCheckOperator(DataMLOperator):
    """Predict what a change of a dataset does to every model in use, keep it, and refuse what would surely harm one.

    What is looked at is the schema on a branch against what readers see, or columns that are to go. A model's pinned
    holdout is scored with and without what changes, so it costs reading and scoring those rows twice.

    :param dataset: the dataset that would change.
    :param drop: columns that would be gone. Templated.
    :param branch: the branch with the change; ``dataml_branch`` of the run's configuration unless given. Templated.
    :param policy: what is borne (``ImpactPolicy``, or its fields). Templated.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("drop", "branch", "policy")

    def __init__(
        self,
        *,
        dataset: Asset,
        drop: Sequence[str] = (),
        branch: str | None = None,
        policy: ImpactPolicy | Mapping[str, Any] | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.drop = drop
        self.branch = branch
        self.policy = policy
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the dataset; which models are looked at the ledger knows."""
        return Declared(kind="IMPACT", inputs=[self.dataset], subject=self.dataset, models=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Predict, and return the report's id, its verdict and the models that are reached.

        :raises GateError: a model in use would surely lose more than is borne, or nobody can say.
        :raises SpecError: there is no change to look at, or there are two.
        """
        from airflow_dataml.adapters.onnx import OnnxScorer
        from airflow_dataml.adapters.postgres.graph_names import NameGraph

        self.link(context, self.dataset.name)
        policy, branch = authored(ImpactPolicy, self.policy), branch_of(context, self.branch)
        with self.ledger() as ledger:
            proposed, harmless = self._proposed(ledger, branch)
            registry = MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry()
            found = assess_impact(
                ledger=ledger,
                warehouse=ledger.warehouse,
                dataset=self.dataset.name,
                proposed=proposed,
                harmless=harmless,
                graph=NameGraph(ledger.connection),
                policy=policy,
                bench=Bench(registry, OnnxScorer.load, config.work_dir()),
            )
            report = keep_impact(ledger=ledger, identity=self.identity(context), found=found)
            self._tell_found(ledger, found, policy)
        self.link(context, self.dataset.name, report=report.report_id)
        if found.verdict in REFUSED:
            msg = f"A change of {self.dataset.name} was refused: {found.summary} (report {report.report_id})."
            raise GateError(msg, report.body)
        models = [model.version for model in found.models]
        return {"report": report.report_id, "verdict": found.verdict, "models": models}

    def _proposed(
        self, ledger: PostgresLedger, branch: str | None
    ) -> tuple[tuple[Proposed, ...], tuple[str, ...]]:
        name = self.dataset.name
        if bool(self.drop) == (branch is not None):
            msg = f"one change of {name!r} is looked at, received drop={list(self.drop)!r} and branch={branch!r}: give either."
            raise SpecError(msg)
        if self.drop:
            return proposed_by_name(self.drop), ()
        sides = [ledger.versions.find(name, branch=one) for one in (None, branch)]
        old, new = (ledger.versions.columns(version.version_id) for version in sides)
        return proposed_by_schema(diff_schemas(old, new))

    def _tell_found(self, ledger: PostgresLedger, found: ImpactFound, policy: ImpactPolicy) -> None:
        self.tell(
            ledger,
            read=[ledger.versions.find(found.dataset).ref, *(model.version for model in found.models)],
            tests=tuple(
                outcome(model.version, model.verdict(policy), type="impact", actual=model.said)
                for model in found.models
            ),
            parameters=parameters(policy.model_dump(mode="json")),
        )

"""The operator that scores a batch with the champion and its shadows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.governance import Decision
from airflow_dataml.operators.base import DataMLOperator, branch_of, event_facts, ref_of, register, view_of
from airflow_dataml.operators.bench import bench
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.score import score_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version


class ModelScoreOperator(DataMLOperator):
    """Score one batch and publish the predictions as a dataset, exactly once.

    Skips while the model has no champion.

    :param model: the model.
    :param dataset: the managed dataset to score; its current version.
    :param predictions: the dataset of predictions, from ``dataset(..., kind="prediction")``; an outlet of the task.
    :param key_columns: columns that name a row; carried into the predictions.
    :param shadows: aliases that score beside the champion when they are set.
    :param partition_key: the batch; the run's own partition key unless given. Templated.
    :param branch: score what its readers see with everybody's champion, and publish the predictions there;
        ``dataml_branch`` of the run's configuration unless given. Templated.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("partition_key", "key_columns", "shadows", "branch")

    def __init__(
        self,
        *,
        model: Asset,
        dataset: Asset | str,
        predictions: Asset,
        key_columns: Sequence[str],
        shadows: Sequence[str] = ("challenger",),
        partition_key: str | None = None,
        branch: str | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[predictions, *kwargs.pop("outlets", [])], **kwargs)
        self.model = model
        self.dataset = dataset
        self.predictions = predictions
        self.key_columns = key_columns
        self.shadows = shadows
        self.partition_key = partition_key
        self.branch = branch
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the batch's dataset and the model, and the predictions."""
        return Declared(
            kind="SCORING",
            inputs=[self.dataset, self.model],
            outputs=[self.predictions],
            subject=self.predictions,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Score, publish, and return the version of the predictions."""
        self.link(context, self.predictions.name)
        key = self.require_partition_key(context, self.partition_key)
        branch = branch_of(context, self.branch)
        with self.ledger() as ledger:
            register(ledger, self.model)
            register(ledger, self.predictions)
            version = score_batch(
                ledger=ledger,
                warehouse=ledger.warehouse,
                store=ledger.store,
                identity=self.identity(context),
                model=self.model.name,
                dataset=ref_of(self.dataset),
                predictions=self.predictions.name,
                view=view_of(self.predictions),
                key_columns=tuple(self.key_columns),
                partition_key=key,
                bench=bench(self.mlflow_conn_id),
                shadows=tuple(self.shadows),
                branch=branch,
            )
            if not isinstance(version, Decision):
                self._tell_predictions(ledger, version, key)
        if isinstance(version, Decision):
            msg = f"Nothing scored: {'; '.join(version.reasons)}."
            raise AirflowSkipException(msg)
        self.link(context, version.asset, version=version.number)
        if branch is not None:
            # Nobody else may act on it; Airflow reads the outlets of this very object once it has succeeded.
            self.outlets = [outlet for outlet in self.outlets if outlet != self.predictions]
        else:
            context["outlet_events"][self.predictions].extra = event_facts(
                version.ref, rows=version.facts["batch_rows"], partition_key=key
            )
        return {"version": version.ref, "rows": version.facts["batch_rows"]}

    def _tell_predictions(self, ledger: PostgresLedger, version: Version, key: str) -> None:
        features, models = version.facts["features"], list(version.facts["models"].values())
        used = dict.fromkeys(
            feature["name"]
            for model in models
            for feature in ledger.versions.by_id(model).facts["spec"]["features"]
        )
        columns = [(name, name) for name in self.key_columns] + [("score", name) for name in used]
        self.tell(
            ledger,
            read=[features, *models],
            wrote=[version],
            subsets={ref_of(self.dataset).partition("@")[0]: {"partitions": [key]}},
            uses={features: columns} | {model: [("score", "outputs.score")] for model in models},
        )

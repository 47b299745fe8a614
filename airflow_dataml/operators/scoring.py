"""The operator that scores a batch with the champion and its shadows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.humility import rules_from
from airflow_dataml.operators.base import DataMLOperator, branch_of, event_facts, ref_of, register, view_of
from airflow_dataml.operators.bench import bench
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.score import ScoringOptions, score_batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.humility import HumilityRule

_MOST_EXPLAINED = 500


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
    :param humility: rules for predictions of the champion that it has little ground for (``core.humility``): rules,
        mappings, or the path of a YAML file with a list of them under ``humility``. With any, the predictions have
        the columns ``rule``, ``action`` and ``model_score``, and a report of kind ``scoring`` counts them.
    :param explain_extremes: how many of the champion's highest scores are explained in that report, and as many of
        the lowest; each costs one more score per feature.
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
        humility: str | Path | Sequence[HumilityRule | Mapping[str, Any]] = (),
        explain_extremes: int = 0,
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
        if not 0 <= explain_extremes <= _MOST_EXPLAINED:
            msg = f"explain_extremes is {explain_extremes}: give 0 to {_MOST_EXPLAINED}."
            raise SpecError(msg)
        self.humility = humility
        self.explain_extremes = explain_extremes
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
        options = ScoringOptions(rules_from(self.humility), self.explain_extremes)
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
                options=options,
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

"""The operator that trains a model version again and says whether it comes out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml import config
from airflow_dataml.core.facets import outcome
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import DataMLOperator
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.reproduce import Rerun, reproduce_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelReproduceOperator(DataMLOperator):
    """Train a model version again from its pins and compare weights, preprocessing and scores bit by bit.

    The verdict is kept as a report of the version: ``pass`` is bit-equal, ``fail`` different, ``unknown`` could
    not be trained again; none of them fails the task. No version is registered. Costs one training.

    :param version: the version, ``name@number`` or ``name@alias``. Templated.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(self, *, version: Any, mlflow_conn_id: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.version = version
        self.mlflow_conn_id = mlflow_conn_id
        self._trainer: Any = None

    def declares(self) -> Declared:
        """Return the model; which data it learnt from the ledger knows."""
        return Declared.of_model("REPRODUCTION", self.version)

    def execute(self, context: Context) -> dict[str, Any]:
        """Reproduce and return the report's id and verdict."""
        from airflow_dataml.adapters.lightning import LightningTrainer
        from airflow_dataml.adapters.onnx import OnnxScorer, read_weights

        self.link(context, str(self.version).partition("@")[0])
        self._trainer = LightningTrainer()
        rerun = Rerun(
            trainer=self._trainer,
            registry=MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry(),
            scorers=OnnxScorer.load,
            weights=read_weights,
            work_dir=config.work_dir(),
        )
        with self.ledger() as ledger:
            report = reproduce_model(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                model=str(self.version),
                rerun=rerun,
            )
            self._tell_report(ledger, report)
        self.link(context, report.asset, report=report.report_id)
        return {
            "report": report.report_id,
            "version": report.body["version"],
            "verdict": report.verdict,
            "summary": report.body["summary"],
        }

    def _tell_report(self, ledger: PostgresLedger, report: Report) -> None:
        body = report.body
        found = outcome(
            "reproduction",
            report.verdict,
            type="reproduction",
            expected="bit-equal weights, preprocessing and scores",
            actual=body["summary"],
            params={"report": report.report_id, "verdict": report.verdict},
        )
        self.tell(
            ledger,
            read=[body["version"], body["dataset"]],
            tests=(found,),
            subsets={body["dataset"].partition("@")[0]: {"partitions": body["partitions"]}},
        )

    def on_kill(self) -> None:
        """Stop the training process and the statement that runs in the database."""
        if self._trainer is not None:
            self._trainer.kill()
        super().on_kill()

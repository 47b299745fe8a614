"""The operator that measures a challenger against the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.operators.base import DataMLOperator, authored
from airflow_dataml.operators.bench import bench
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.evaluate import evaluate_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelEvaluateOperator(DataMLOperator):
    """Measure a model version and the champion on the same pinned holdout, with a paired interval.

    The verdict is kept as a report and does not fail the task; promotion reads it. Metrics with intervals,
    calibration and the time of scoring are in the report of both.

    :param challenger: the version, ``name@number``. Templated.
    :param policy: when better is surely better (``PromotionPolicy``, or its fields): beside the margin, ``gates`` on
        metrics, ``slices`` that may not lose, ``fairness`` between groups. With ``looks`` run it daily, challenger
        ``name@challenger``: each run judges the rows that came since, and adds to what earlier ones have found.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("challenger", "policy")

    def __init__(
        self,
        *,
        challenger: Any,
        policy: PromotionPolicy | dict[str, Any] | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.challenger = challenger
        self.policy = policy
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model; its opponent and the holdout are found when it is measured."""
        return Declared.of_model("EVALUATION", self.challenger)

    def execute(self, context: Context) -> dict[str, Any]:
        """Evaluate and return the report's id and verdict."""
        self.link(context, str(self.challenger).partition("@")[0])
        policy = authored(PromotionPolicy, self.policy)
        with self.ledger() as ledger:
            report = evaluate_model(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                challenger=str(self.challenger),
                policy=policy,
                bench=bench(self.mlflow_conn_id),
            )
            self._tell_report(ledger, report, policy)
        self.link(context, report.asset, report=report.report_id)
        return {"report": report.report_id, "verdict": report.verdict, "summary": report.body["summary"]}

    def _tell_report(self, ledger: PostgresLedger, report: Report, policy: PromotionPolicy) -> None:
        body = report.body
        versions = [body["challenger_ref"], body["dataset"], body.get("champion_ref")]
        found = outcome(
            "challenger against champion" if body.get("champion_ref") else "challenger against baseline",
            report.verdict,
            type="evaluation",
            actual=body["summary"],
            params={"report": report.report_id, "verdict": report.verdict, "cut": body["cut"]},
        )
        conditions = [
            outcome(one["name"], one["verdict"], type=one["kind"], actual=one["reason"])
            for kind in ("gates", "slices", "fairness")
            for one in body.get(kind, ())
        ]
        self.tell(
            ledger,
            read=[version for version in versions if version],
            tests=(found, *conditions),
            parameters=parameters(policy.model_dump(mode="json")),
        )

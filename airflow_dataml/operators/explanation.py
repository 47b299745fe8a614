"""The operator that says what a model version's scores rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.explanation import ExplanationSpec
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.operators.base import DataMLOperator, authored, refuse_branch
from airflow_dataml.operators.bench import bench
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.explain import explain_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelExplainOperator(DataMLOperator):
    """Explain a model version on its pinned holdout by permutation importance, and single scores by occlusion.

    It is compared with the explanation of the champion, or of an earlier version. The verdict is kept as a report
    and does not fail the task: ``warn`` where the version rests on other features than before. Refused in a run on
    a branch.

    :param version: the version, ``name@number``. Templated.
    :param repeats: how often each feature is shuffled; the interval is over these.
    :param max_rows: rows of the holdout that are used, drawn with ``seed`` where it has more. The model scores
        ``repeats`` times the features times these rows, and as many again for every column of ``slices``.
    :param slices: feature columns; each group of rows they make is explained alone, and named in the report.
    :param extremes: how many of the most extreme scores are explained one by one, half of them the highest.
    :param tolerance: share of importance that may move between features before the verdict is ``warn``.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("version", "slices")

    def __init__(
        self,
        *,
        version: Any,
        repeats: int = 10,
        max_rows: int = 5000,
        slices: Sequence[str] = (),
        extremes: int = 6,
        seed: int = 0,
        tolerance: float = 0.25,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.version = version
        self.repeats = repeats
        self.max_rows = max_rows
        self.slices = slices
        self.extremes = extremes
        self.seed = seed
        self.tolerance = tolerance
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model; the holdout is found when it is explained."""
        return Declared.of_model("EXPLANATION", self.version)

    def execute(self, context: Context) -> dict[str, Any]:
        """Explain and return the report's id, its verdict and the shares of the features."""
        from airflow_dataml.adapters.sklearn import permutation_growth

        name = str(self.version).partition("@")[0]
        refuse_branch(context, f"an explanation of {name!r}")
        self.link(context, name)
        spec = self._spec()
        with self.ledger() as ledger:
            report = explain_model(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                version=str(self.version),
                spec=spec,
                bench=bench(self.mlflow_conn_id),
                permuter=permutation_growth,
            )
            self._tell_report(ledger, report, spec)
        self.link(context, report.asset, report=report.report_id)
        shares = {one["feature"]: one["share"] for one in report.body["features"]}
        return {
            "report": report.report_id,
            "verdict": report.verdict,
            "summary": report.body["summary"],
            "shares": shares,
        }

    def _spec(self) -> ExplanationSpec:
        names = ("repeats", "max_rows", "slices", "extremes", "seed", "tolerance")
        return authored(ExplanationSpec, {name: getattr(self, name) for name in names})

    def _tell_report(self, ledger: PostgresLedger, report: Report, spec: ExplanationSpec) -> None:
        body = report.body
        found = outcome(
            "what the scores rest on",
            report.verdict,
            type="explanation",
            actual=body["summary"],
            params={"report": report.report_id, "verdict": report.verdict, "cut": body["cut"]},
        )
        self.tell(
            ledger,
            read=[body["version"], body["dataset"]],
            tests=(found,),
            parameters=parameters(spec.model_dump(mode="json")),
        )

"""Operators that look for the best settings of a training, in one task or in several mapped ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml import config
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.base import DataMLOperator, refuse_branch, register, spec_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.asked import strategy_of
from airflow_dataml.steps.trials import TuningBench
from airflow_dataml.steps.tune import choose_trial, tune_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelTuneOperator(DataMLOperator):
    """Try settings of a training, in one process of its own, and return the chosen spec.

    The study is kept in Optuna's schema beside the ledger, and a retry goes on with the trial that ran. All
    trials are one MLflow run, with a step per trial. Mapped with ``.expand(shard=range(k))`` and ``shards=k``
    each task does its part of one study, and ``ModelTuneChoiceOperator`` reports what they found together.
    Refused in a run on a branch, because models have no branches.

    :param model: the model.
    :param plan: what the plan task returned. Templated.
    :param spec: YAML file of a ``TuningSpec``, the spec, or its fields. Templated.
    :param shard: which part of the study this task does, from 0. Templated.
    :param shards: into how many parts the study is divided.
    :param schema: Optuna's own schema in the ledger's database.
    :param only_asked: tune where the decision that asked for the training says strategy ``retune``, and hand on the
        spec as it is written otherwise; not with shards.
    :param experiment: MLflow experiment; the model's name unless given.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("plan", "spec", "shard", "experiment")

    def __init__(
        self,
        *,
        model: Asset,
        plan: Any,
        spec: str | TuningSpec | dict[str, Any],
        shard: Any = 0,
        shards: int = 1,
        schema: str = "optuna",
        only_asked: bool = False,
        experiment: str | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if only_asked and shards != 1:
            msg = (
                f"only_asked is for a tuning in one task, and this one has {shards} shards: leave either out."
            )
            raise SpecError(msg)
        kwargs.setdefault("multiple_outputs", shards == 1)
        super().__init__(**kwargs)
        self.model = model
        self.plan = plan
        self.spec = spec
        self.shard = shard
        self.shards = shards
        self.schema = schema
        self.only_asked = only_asked
        self.experiment = experiment
        self.mlflow_conn_id = mlflow_conn_id
        self._bench: TuningBench | None = None

    def declares(self) -> Declared:
        """Return the model; which data its trials learn from is in the plan."""
        return Declared(kind="TUNING", subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the trials; return the chosen spec, or of a shard what the choice needs to find its study."""
        refuse_branch(context, f"a tuning of {self.model.name!r}")
        self.link(context, self.model.name)
        spec, shard = spec_of(TuningSpec, self.spec), int(self.shard)
        if not 0 <= shard < self.shards:
            msg = f"shard {shard} of {self.shards} does not exist: write .expand(shard=range({self.shards}))."
            raise SpecError(msg)
        if self.only_asked and not self._asked():
            self.log.info("Nothing asks for a tuning: the spec is handed on as it is written")
            return {"spec": spec.training.model_dump(mode="json"), "report": None}
        self._bench = _bench_for(self, spec)
        with self.ledger() as ledger:
            register(ledger, self.model)
            tuned = tune_model(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                plan=TrainingPlan.from_dict(self.plan),
                spec=spec,
                bench=self._bench,
                shard=shard,
                shards=self.shards,
            )
            if tuned.report is None:
                return {"study": tuned.study, "run_id": tuned.run_id, "trials": tuned.trials}
            _tell_tuning(self, ledger, tuned.report, spec)
        self.link(context, self.model.name, report=tuned.report.report_id)
        return _result_of(tuned.report)

    def _asked(self) -> bool:
        plan = TrainingPlan.from_dict(self.plan)
        if plan.reason_report is None:
            return False
        with self.ledger() as ledger:
            return strategy_of(ledger=ledger, plan=plan) == "retune"

    def on_kill(self) -> None:
        """Stop the process of the trials and the statement that runs in the database."""
        if self._bench is not None:
            self._bench.runner.kill()
        super().on_kill()


class ModelTuneChoiceOperator(DataMLOperator):
    """Report what the mapped tasks of a tuning found together, and return the chosen spec.

    :param model: the model.
    :param plan: what the plan task returned. Templated.
    :param spec: the same as theirs. Templated.
    :param tuned: what they returned: ``tune.output`` of the mapped task. Templated.
    :param schema: Optuna's own schema in the ledger's database.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("plan", "spec", "tuned")

    def __init__(
        self,
        *,
        model: Asset,
        plan: Any,
        spec: str | TuningSpec | dict[str, Any],
        tuned: Any,
        schema: str = "optuna",
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.model = model
        self.plan = plan
        self.spec = spec
        self.tuned = tuned
        self.schema = schema
        self.experiment: str | None = None
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model; which data its trials learnt from is in the plan."""
        return Declared(kind="TUNING", subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Choose among all trials, report them and return the chosen spec."""
        refuse_branch(context, f"a tuning of {self.model.name!r}")
        self.link(context, self.model.name)
        spec = spec_of(TuningSpec, self.spec)
        studies = {(one["study"], one["run_id"]) for one in self.tuned}
        if len(studies) != 1:
            msg = (
                f"the shards worked on {len(studies)} studies, one was expected: clear all of them together."
            )
            raise SpecError(msg)
        study, run_id = studies.pop()
        with self.ledger() as ledger:
            register(ledger, self.model)
            report = choose_trial(
                ledger=ledger,
                identity=self.identity(context),
                plan=TrainingPlan.from_dict(self.plan),
                spec=spec,
                bench=_bench_for(self, spec),
                study=study,
                run_id=run_id,
            )
            _tell_tuning(self, ledger, report, spec)
        self.link(context, self.model.name, report=report.report_id)
        return _result_of(report)


def _bench_for(operator: ModelTuneOperator | ModelTuneChoiceOperator, spec: TuningSpec) -> TuningBench:
    """Return what tuning needs in this deployment; nothing is contacted yet."""
    from airflow_dataml.adapters.lightning import LightningTrials
    from airflow_dataml.adapters.onnx import OnnxScorer
    from airflow_dataml.adapters.optuna import OptunaStudies

    dsn = DataMLHook(operator.dataml_conn_id or config.conn_id()).dsn()
    return TuningBench(
        runner=LightningTrials(),
        studies=OptunaStudies(dsn, schema=operator.schema),
        registry=MlflowHook(operator.mlflow_conn_id or config.mlflow_conn_id()).registry(),
        scorers=OnnxScorer.load,
        work_dir=config.work_dir(),
        experiment=operator.experiment or spec.training.model,
    )


def _tell_tuning(operator: DataMLOperator, ledger: PostgresLedger, report: Report, spec: TuningSpec) -> None:
    """Let lineage events say what was read, tried and chosen."""
    body = report.body
    found = outcome(
        "the chosen trial",
        report.verdict,
        type="tuning",
        actual=f"trial {body['best']} of {len(body['trials'])}",
        params={"report": report.report_id, "study": body["study"], "run_id": body["run_id"]},
    )
    operator.tell(
        ledger,
        read=[body["dataset"]],
        tests=(found,),
        parameters=parameters(spec.model_dump(mode="json", exclude={"training": {"model", "features"}})),
    )


def _result_of(report: Report) -> dict[str, Any]:
    """Return what a tuning hands on: ``spec`` is what ``ModelTrainOperator`` takes."""
    body = report.body
    best = next(one for one in body["trials"] if one["number"] == body["best"])
    return {
        "report": report.report_id,
        "spec": body["spec"],
        "best": body["best"],
        "front": body["front"],
        "trials": len(body["trials"]),
        "metric": best["metric"],
        "latency_ms": best["latency_ms"],
    }

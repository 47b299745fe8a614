"""Operators that plan and train a model version."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml import config
from airflow_dataml.adapters.ray import POLL_INTERVAL_S, wait_for_job
from airflow_dataml.core.facets import parameters
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.windows import DataWindow, TrainingPlan
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.hooks.ray import RayHook
from airflow_dataml.operators.base import (
    DataMLOperator,
    authored,
    branch_of,
    ref_of,
    refuse_branch,
    register,
    spec_of,
)
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.training_engines import ManifestTrainer, RayTrainer
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.train import Workshop, train_model
from airflow_dataml.triggers.ray import RayJobTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.adapters.ray import RayJobs
    from airflow_dataml.core.datasets import Version


class TrainingPlanOperator(DataMLOperator):
    """Pin the data of a training, or skip the run and say why.

    Skips while there are too few batches for a first model, when there is a champion and nothing asked for
    another one, and in a run on a branch: what would be trained there would be everybody's.

    :param model: the model, from ``model(...)``.
    :param dataset: the managed dataset it learns from; the current version is pinned.
    :param target: the label; rows without it are left out.
    :param window: which batches to use and what to hold out (``DataWindow``, or its fields).
    :param because: why to train now though there is a champion and no report asks, such as that a person started
        a tuning. Templated; empty is not given.
    """

    template_fields: Sequence[str] = ("target", "window", "because")

    def __init__(
        self,
        *,
        model: Asset,
        dataset: Asset | str,
        target: str,
        window: DataWindow | dict[str, Any],
        because: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            inlets=[*([] if isinstance(dataset, str) else [dataset]), *kwargs.pop("inlets", [])], **kwargs
        )
        self.model = model
        self.dataset = dataset
        self.target = target
        self.window = window
        self.because = because

    def declares(self) -> Declared:
        """Return the dataset to learn from."""
        return Declared(kind="TRAINING_PLAN", inputs=[self.dataset], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the plan."""
        self.link(context, self.model.name)
        if branch := branch_of(context, None):
            msg = f"No training of {self.model.name!r} on branch {branch!r}: models have no branches. Merge it first."
            raise AirflowSkipException(msg)
        window = authored(DataWindow, self.window)
        with self.ledger() as ledger:
            register(ledger, self.model)
            plan = plan_training(
                ledger=ledger,
                warehouse=ledger.warehouse,
                model=self.model.name,
                dataset=ref_of(self.dataset),
                target=self.target,
                window=window,
                because=self.because,
            )
            self._tell_plan(ledger, plan)
        if isinstance(plan, Decision):
            msg = f"No training of {self.model.name!r}: {'; '.join(plan.reasons)}."
            raise AirflowSkipException(msg)
        self.log.info(
            "Training %s on %s (%s), rows before %s; because: %s",
            plan.model, plan.version, ", ".join(plan.partitions), plan.cut, "; ".join(plan.reasons),
        )  # fmt: skip
        return plan.to_dict()

    def _tell_plan(self, ledger: PostgresLedger, plan: TrainingPlan | Decision) -> None:
        decision = {"asset": self.model.name, "reasons": list(plan.reasons)}
        if isinstance(plan, Decision):
            self.tell(ledger, read=[ref_of(self.dataset)], decision=decision | {"action": plan.action})
            return
        subsets = {plan.dataset: {"partitions": plan.partitions}}
        self.tell(ledger, read=[plan.version_id], subsets=subsets, decision=decision | {"action": "train"})


class ModelTrainOperator(DataMLOperator):
    """Train a model version in a process of its own, tracked in MLflow and recorded in the ledger.

    A retry resumes from the last checkpoint into the same MLflow run; stopping the task stops the process.
    Refused in a run on a branch, because models have no branches.

    With the spec's engine ``ray`` it trains in a job of a Ray cluster that reaches ``[dataml] work_dir``; a retry
    finds that job again. With ``kubernetes`` it prepares the folder, says how to submit it, and takes up the result.

    :param model: the model.
    :param plan: what the plan task returned. Templated.
    :param spec: YAML file of a ``TrainingSpec``, the spec, or its fields, such as a tuning chose. Templated.
    :param experiment: MLflow experiment; the model's name unless given.
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    :param ray_conn_id: connection of the Ray cluster; unused with another engine.
    :param deferrable: wait for a Ray job in the triggerer, or hold a worker's slot.
    :param poll_interval: seconds between two looks at a Ray job.
    """

    template_fields: Sequence[str] = ("plan", "spec", "experiment", "ray_conn_id")

    def __init__(
        self,
        *,
        model: Asset,
        plan: Any,
        spec: str | TrainingSpec | Mapping[str, Any],
        experiment: str | None = None,
        mlflow_conn_id: str | None = None,
        ray_conn_id: str = RayHook.default_conn_name,
        deferrable: bool = True,
        poll_interval: float = POLL_INTERVAL_S,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.model = model
        self.plan = plan
        self.spec = spec
        self.experiment = experiment
        self.mlflow_conn_id = mlflow_conn_id
        self.ray_conn_id = ray_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self._trainer: Any = None

    def declares(self) -> Declared:
        """Return the model; which data it learns from is in the plan."""
        return Declared(kind="TRAINING", outputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Train, register, and return the version."""
        refuse_branch(context, f"a version of {self.model.name!r}")
        return self._train(context)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take up what a Ray job left, register, and return the version."""
        return self._train(context, event=event if isinstance(event, dict) else {})

    def _train(self, context: Context, *, event: dict[str, Any] | None = None) -> dict[str, Any]:
        from airflow_dataml.adapters.onnx import OnnxScorer, read_weights

        self.link(context, self.model.name)
        spec = spec_of(TrainingSpec, self.spec)
        self._trainer = self._trainer_of(spec, event)
        workshop = Workshop(
            trainer=self._trainer,
            registry=MlflowHook(self.mlflow_conn_id or config.mlflow_conn_id()).registry(),
            scorers=OnnxScorer.load,
            work_dir=config.work_dir(),
            experiment=self.experiment or self.model.name,
            weights=read_weights,
        )
        with self.ledger() as ledger:
            register(ledger, self.model)
            version = train_model(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                plan=TrainingPlan.from_dict(self.plan),
                spec=spec,
                workshop=workshop,
            )
            self._tell_model(ledger, version, spec)
        self.link(context, version.asset, version=version.number)
        return {"version": version.ref, "run_id": version.facts["registry"]["run_id"]}

    def _trainer_of(self, spec: TrainingSpec, event: dict[str, Any] | None) -> Any:
        if spec.engine == "kubernetes":
            return ManifestTrainer(self.spec if isinstance(self.spec, str) else "SPEC.yml")
        if spec.engine == "ray":
            hook = RayHook(self.ray_conn_id)
            return RayTrainer(
                hook, work_dir=config.work_dir(), wait=partial(self._wait, hook.jobs()), event=event
            )
        from airflow_dataml.adapters.lightning import LightningTrainer

        return LightningTrainer()

    def _wait(self, jobs: RayJobs, submission_id: str) -> dict[str, str]:
        if self.deferrable:
            self.defer(
                trigger=RayJobTrigger(
                    submission_id=submission_id,
                    ray_conn_id=self.ray_conn_id,
                    poll_interval=self.poll_interval,
                ),
                method_name="resume",
                timeout=self.execution_timeout,
            )
        return wait_for_job(
            jobs, submission_id, poll_interval=self.poll_interval, on_line=partial(self.log.info, "ray: %s")
        )

    def _tell_model(self, ledger: PostgresLedger, version: Version, spec: TrainingSpec) -> None:
        plan = TrainingPlan.from_dict(self.plan)
        columns = [(f"inputs.{feature.name}", feature.name) for feature in spec.features]
        columns += [("outputs.score", feature.name) for feature in spec.features]
        self.tell(
            ledger,
            read=[plan.version_id, *version.facts.get("guidance", {}).values()],
            wrote=[version],
            subsets={plan.dataset: {"partitions": plan.partitions}},
            rows={plan.dataset: int(version.facts["training"]["rows"])},
            uses={plan.version_id: columns},
            parameters=parameters(spec.model_dump(mode="json", exclude={"model", "features"})),
        )

    def on_kill(self) -> None:
        """Stop the training process and the statement that runs in the database."""
        if self._trainer is not None:
            self._trainer.kill()
        super().on_kill()

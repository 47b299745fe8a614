"""Train: a model version from a pinned dataset version."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of, one_score
from airflow_dataml.core.environment import Environment
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.profiles import cells_of
from airflow_dataml.core.registry import MetricPoint, ModelFiles
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.training import TrainingJob
from airflow_dataml.steps.asked import spec_asked_for
from airflow_dataml.steps.column_maps import trained_on
from airflow_dataml.steps.guidance import bring, pins_file, resolve_once
from airflow_dataml.steps.models import metadata_digest, tidy
from airflow_dataml.steps.plan import require_columns, require_target
from airflow_dataml.steps.training_rows import export_rows

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger, ScorerLoader, Trainer, Warehouse
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.reproduction import WeightsReader
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.training import Progress, TrainingResult, TrainingSpec
    from airflow_dataml.core.windows import TrainingPlan
    from airflow_dataml.steps.guidance import Guidance

log = logging.getLogger(__name__)
_LINE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Workshop:
    """What training needs besides the ledger.

    :param work_dir: folder kept between tries; exports and checkpoints live there.
    :param experiment: name of the experiment in the tracking store.
    :param weights: reads stored weights; only a spec with ``warm_start`` needs it.
    """

    trainer: Trainer
    registry: ModelRegistry
    scorers: ScorerLoader
    work_dir: Path
    experiment: str
    weights: WeightsReader | None = None


def train_model(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    plan: TrainingPlan,
    spec: TrainingSpec,
    workshop: Workshop,
) -> Version:
    """Train, track, register, and record the model version; a retry resumes where the last try stopped.

    Where a decision asked for the training, its strategy adds to the spec; see ``steps.asked``.

    :raises TrainingSpecError: a column or the module is not there; nothing was started.
    :raises RegistryError: the tracking store does not answer; nothing was started.
    :raises TrainingCrashedError: the training process died; a retry resumes from its last checkpoint.
    """
    spec = spec_asked_for(ledger=ledger, plan=plan, spec=spec)
    note = pins_file(plan=plan, spec=spec, identity=identity, work_dir=workshop.work_dir)
    guidance = resolve_once(
        ledger=ledger, plan=plan, spec=spec, identity=identity, work_dir=workshop.work_dir
    )
    spec = guidance.spec
    require_columns(ledger.versions.by_id(plan.version_id), ledger, guidance.columns)
    require_target(ledger.versions.by_id(plan.version_id), ledger, spec)
    workshop.trainer.check(spec)
    workshop.registry.check()
    digest = digest_of(plan=plan.to_dict(), spec=spec.model_dump(mode="json"))
    run = ledger.runs.begin(identity, input_digest=digest)
    fact = run.fact(spec.model)
    version = ledger.versions.of_fact(fact)
    folder = workshop.work_dir / fact.digest
    if version is not None:
        tidy(folder)
        note.unlink(missing_ok=True)
        log.info("An earlier try registered %s; kept", version.ref)
        return version
    _export(ledger, warehouse, plan, guidance, workshop, folder)
    facts = _train_and_track(ledger, fact, plan, spec, workshop, folder) | guidance.facts()
    version = _record(ledger, run, plan, guidance, facts)
    tidy(folder)
    note.unlink(missing_ok=True)
    return version


def _export(
    ledger: Ledger,
    warehouse: Warehouse,
    plan: TrainingPlan,
    guidance: Guidance,
    workshop: Workshop,
    folder: Path,
) -> None:
    """Write the rows to learn from, and what earlier versions give beside them."""
    rows = export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=plan,
        columns=guidance.columns,
        target=guidance.spec.target,
        side="train",
        path=folder / "train.csv",
        guidance=guidance,
    )
    log.info("Exported %d rows of %s (%s)", rows, plan.version, ", ".join(plan.partitions))
    bring(
        guidance=guidance,
        folder=folder,
        registry=workshop.registry,
        scorers=workshop.scorers,
        weights=workshop.weights,
        work_dir=workshop.work_dir,
    )


def _train_and_track(
    ledger: Ledger, fact: FactKey, plan: TrainingPlan, spec: TrainingSpec, workshop: Workshop, folder: Path
) -> dict[str, Any]:
    registry = workshop.registry
    pinned = ledger.versions.by_id(plan.version_id)
    tracked = registry.ensure_run(
        experiment=workshop.experiment,
        key=str(fact),
        name=f"{spec.model} on {plan.version}",
        params=_parameters(spec),
        tags={"dataml.dataset": plan.version, "dataml.task": str(fact.task)},
    )
    registry.log_dataset(
        run_id=tracked.run_id,
        name=pinned.asset,
        version=pinned.number,
        digest=pinned.fingerprint or "",
        uri=f"dataml://dataset/{plan.version}",
        context="training",
    )
    job = TrainingJob(spec=spec, data=folder / "train.csv", work_dir=folder)
    result = workshop.trainer.train(job, on_progress=_Teller(registry, tracked.run_id))
    artifacts = Path(result.artifact_dir)
    registry.log_metrics(
        run_id=tracked.run_id,
        points=[MetricPoint(f"final_{k}", v, 0, 0) for k, v in sorted(result.metrics.items())],
    )
    numeric = [f.name for f in spec.features if f.kind == "numeric"]
    categorical = [f.name for f in spec.features if f.kind == "categorical"]
    source = registry.log_model(
        run_id=tracked.run_id, model_dir=artifacts, numeric=numeric, categorical=categorical
    )
    number = registry.register(
        model=spec.model,
        run_id=tracked.run_id,
        source=source,
        key=str(fact),
        tags={"dataml.dataset": plan.version},
    )
    registry.finish_run(run_id=tracked.run_id, status="FINISHED")
    return _facts(plan, spec, result, artifacts, workshop) | {
        "registry": {
            "run_id": tracked.run_id,
            "source": source,
            "version": number,
            "experiment": workshop.experiment,
        }
    }


def _facts(
    plan: TrainingPlan, spec: TrainingSpec, result: TrainingResult, artifacts: Path, workshop: Workshop
) -> dict[str, Any]:
    cells: Counter[int] = Counter()
    classes: tuple[str, ...] = ()
    if spec.task != "regression":
        scorer = workshop.scorers(artifacts)
        classes = classes_of(scorer)
        for _, scores in scorer.score_csv(artifacts.parent / "train.csv"):
            cells.update(cells_of(one_score(scores), low=0.0, high=1.0))
    told = {"classes": list(classes)} if classes else {}
    return told | {
        "plan": plan.to_dict(),
        "spec": spec.model_dump(mode="json"),
        "training": result.to_dict() | {"artifact_dir": None},
        "environment": Environment.of(spec).to_dict(),
        "artifact_digest": ModelFiles.read(artifacts).digest,
        "metadata_digest": metadata_digest(artifacts),
        "score_cells": [[cell, count] for cell, count in sorted(cells.items())],
    }


def _record(
    ledger: Ledger, run: TaskRun, plan: TrainingPlan, guidance: Guidance, facts: dict[str, Any]
) -> Version:
    spec = guidance.spec
    fact = run.fact(spec.model)
    with ledger.transaction():
        ledger.assets.lock(spec.model)
        version = ledger.versions.of_fact(fact)
        if version is None:
            version = ledger.versions.add(run=run, fact=fact, facts=facts)
            node = version_node(version.version_id)
            edges = [Edge(version_node(plan.version_id), node, "trained_on", trained_on(spec))]
            edges += guidance.edges(version.version_id)
            if plan.reason_report is not None:
                edges.append(Edge(report_node(plan.reason_report), node, "reason"))
            ledger.lineage.add(edges, run=run)
            for source in (plan.version_id, *(one.version_id for one in guidance.sources.values())):
                ledger.versions.pin(source, holder=version.ref, reason="trained on")
            ledger.versions.move_alias(
                asset=spec.model, name="candidate", version_id=version.version_id, run=run
            )
            body = facts["training"] | {"dataset": plan.version, "reasons": list(plan.reasons)}
            ledger.reports.add(
                run=run, fact=fact, kind="training", verdict="pass", body=body, version_id=version.version_id
            )
            ledger.audit.add(action="train", subject=version.ref, run=run, detail={"dataset": plan.version})
        ledger.runs.finish(run)
    log.info("Registered %s, trained on %s", version.ref, plan.version)
    return version


class _Teller:
    """Progress to the task log and the tracking store: a line every two seconds, a metric per epoch."""

    def __init__(self, registry: ModelRegistry, run_id: str) -> None:
        self._registry = registry
        self._run_id = run_id
        self._told = 0.0
        self._epoch = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            log.info(
                "Epoch %d of %d, step %d, loss %s, validation loss %s, %d rows/s, at most %d s left",
                progress.epoch, progress.max_epochs, progress.step, _short(progress.loss),
                _short(progress.validation_loss), progress.rows_per_second, progress.eta_seconds,
            )  # fmt: skip
        if progress.validation_loss is not None and progress.epoch > self._epoch:
            self._epoch = progress.epoch
            point = MetricPoint("validation_loss", progress.validation_loss, progress.epoch - 1, 0)
            self._registry.log_metrics(run_id=self._run_id, points=[point])


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _parameters(spec: TrainingSpec) -> dict[str, str | int | float | bool]:
    shown = spec.model_dump(
        mode="json",
        include={
            *("module", "task", "seed", "max_epochs", "batch_size", "learning_rate"),
            *("engine", "processes", "accelerator"),
        },
    )
    return shown | {"features": ",".join(f.name for f in spec.features), "target": spec.target}

"""Tune: try settings of a training on a pinned dataset version, and choose one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.tuning_trials import TuningResult
from airflow_dataml.steps.models import tidy
from airflow_dataml.steps.plan import require_columns, require_target
from airflow_dataml.steps.training_rows import export_rows
from airflow_dataml.steps.trials import Shard, TuningBench, shown

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.tuning import TuningSpec
    from airflow_dataml.core.tuning_trials import Trial
    from airflow_dataml.core.windows import TrainingPlan

log = logging.getLogger(__name__)
KIND = "tuning"
_NAME_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a tuning task, or one shard of it, did.

    :param trials: how many of the study's trials are this shard's.
    :param report: the report with all trials; ``None`` from a shard, for others may still run.
    """

    study: str
    run_id: str
    trials: int
    report: Report | None = None


def tune_model(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    plan: TrainingPlan,
    spec: TuningSpec,
    bench: TuningBench,
    shard: int = 0,
    shards: int = 1,
) -> Tuned:
    """Run this shard's trials; a retry goes on with the trial that was running, and repeats none.

    :raises TrainingSpecError: a column or the module is not there, or no setting can be trained.
    :raises RegistryError: the tracking store does not answer; nothing was started.
    :raises TrainingCrashedError: the process of the trials was ended on request.
    """
    training = spec.training
    require_columns(ledger.versions.by_id(plan.version_id), ledger, training.required_columns)
    require_target(ledger.versions.by_id(plan.version_id), ledger, training)
    bench.runner.check(training)
    bench.registry.check()
    bench.studies.check()
    asked = digest_of(plan=plan.to_dict(), spec=spec.model_dump(mode="json"), shards=shards)
    run = ledger.runs.begin(identity, input_digest=asked)
    study_fact = _study_fact(run, training.model, asked)
    name = study_name(study_fact)
    kept = ledger.reports.of_fact(run.fact(training.model), KIND)
    if kept is not None:
        log.info("Trials of %s were already reported", training.model)
        return Tuned(name, kept.body["run_id"], len(kept.body["trials"]), kept)
    run_id = _tracked(bench, study_fact, plan, spec)
    folder = bench.work_dir / f"{study_fact.digest}-{shard}"
    rows = export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=plan,
        columns=training.required_columns,
        target=training.target,
        side="train",
        path=_made(folder) / "train.csv",
    )
    log.info("Exported %d rows of %s; study %s", rows, plan.version, name)
    with bench.studies.open(name, spec=spec, shard=shard, shards=shards) as study:
        try:
            Shard(study, spec, bench, run_id, folder, shard, shards).work()
        finally:
            bench.runner.close()
        trials = study.trials()
    if shards == 1:
        report = record_tuning(
            ledger=ledger, run=run, plan=plan, spec=spec, study=name, run_id=run_id, trials=trials
        )
        bench.registry.finish_run(run_id=run_id, status="FINISHED")
    else:
        report = None
        ledger.runs.finish(run)
    tidy(folder)
    return Tuned(name, run_id, sum(trial.shard == shard for trial in trials), report)


def choose_trial(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    plan: TrainingPlan,
    spec: TuningSpec,
    bench: TuningBench,
    study: str,
    run_id: str,
) -> Report:
    """Report what the shards of a study found together; costs one reading of the study.

    :raises SpecError: trials are missing or still run.
    """
    bench.studies.check()
    bench.registry.check()
    run = ledger.runs.begin(identity, input_digest=digest_of(study=study))
    trials = bench.studies.read(study)
    running = [trial.number for trial in trials if trial.state == "running"]
    if running or len(trials) < (spec.trials or 1):
        wanted = spec.trials or "some"
        msg = f"study {study!r} has {len(trials)} trials of {wanted}, and {running or 'none'} running: let all shards succeed first."
        raise SpecError(msg)
    report = record_tuning(
        ledger=ledger, run=run, plan=plan, spec=spec, study=study, run_id=run_id, trials=trials
    )
    bench.registry.finish_run(run_id=run_id, status="FINISHED")
    return report


def record_tuning(
    *,
    ledger: Ledger,
    run: TaskRun,
    plan: TrainingPlan,
    spec: TuningSpec,
    study: str,
    run_id: str,
    trials: tuple[Trial, ...],
) -> Report:
    """Write the report with all trials, the front and the chosen spec."""
    result = TuningResult.of(trials, spec)
    chosen = result.chosen
    body = {
        "dataset": plan.version,
        "objective": spec.objective,
        "metric": spec.metric,
        "direction": spec.direction,
        "study": study,
        "run_id": run_id,
        "space": spec.space.model_dump(mode="json")["parameters"],
        "spec": spec.space.apply(spec.training, chosen.params).model_dump(mode="json"),
        **result.to_dict(),
        "summary": f"trial {chosen.number} of {len(trials)}: {shown(chosen, spec)}",
    }
    model = spec.training.model
    with ledger.transaction():
        report = ledger.reports.add(run=run, fact=run.fact(model), kind=KIND, verdict="pass", body=body)
        node = report_node(report.report_id)
        ledger.lineage.add([Edge(version_node(plan.version_id), node, "evaluated_on")], run=run)
        ledger.runs.finish(run)
    log.info("Chose trial %d of %d: %s", chosen.number, len(trials), shown(chosen, spec))
    return report


def study_name(fact: FactKey) -> str:
    """Return the name of a study: of the task and not its try, nor of one of its shards."""
    name = str(fact)
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 17]}~{fact.digest}"


def _study_fact(run: TaskRun, model: str, asked: str) -> FactKey:
    fact = run.fact(model)
    # Changed input is another study, also where the task had not finished.
    return replace(fact, task=replace(fact.task, map_index=-1)).of(asked[:12])


def _tracked(bench: TuningBench, fact: FactKey, plan: TrainingPlan, spec: TuningSpec) -> str:
    tracked = bench.registry.ensure_run(
        experiment=bench.experiment,
        key=str(fact),
        name=f"tuning {spec.training.model} on {plan.version}",
        params={
            "objective": spec.objective,
            "metric": spec.metric,
            "seed": spec.seed,
            "searched": ",".join(spec.space.parameters),
        },
        tags={"dataml.dataset": plan.version, "dataml.task": str(fact.task)},
    )
    return tracked.run_id


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""Reproduce: a model version trained again from what it is pinned to, and compared with what it was."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.environment import Environment
from airflow_dataml.core.errors import TrainingSpecError, VersionNotFoundError
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.reproduction import (
    Reproduction,
    compare_scores,
    compare_weights,
    differences,
    metadata_differences,
)
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.training import TrainingJob, TrainingSpec
from airflow_dataml.core.windows import plan_of
from airflow_dataml.steps.guidance import bring, resolve
from airflow_dataml.steps.models import fetch_files, tidy
from airflow_dataml.steps.training_rows import export_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, ScorerLoader, Trainer, Warehouse
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.reproduction import Difference, ScoresComparison, WeightsReader
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.training import Progress, TrainingResult
    from airflow_dataml.core.windows import TrainingPlan
    from airflow_dataml.steps.guidance import Guidance

log = logging.getLogger(__name__)
KIND = "reproduction"
_LINE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Rerun:
    """What reproducing needs besides the ledger.

    :param registry: where the files of the version are; nothing is written to it.
    :param work_dir: folder kept between tries; exports and checkpoints live there.
    """

    trainer: Trainer
    registry: ModelRegistry
    scorers: ScorerLoader
    weights: WeightsReader
    work_dir: Path


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A version with all that its training was pinned to."""

    version: Version
    plan: TrainingPlan
    guidance: Guidance
    parts: tuple[Part, ...]

    @property
    def spec(self) -> TrainingSpec:
        """The spec, in which every version it takes from is a numbered one."""
        return self.guidance.spec

    @property
    def training(self) -> dict[str, Any]:
        """What the ledger knows of how it was trained."""
        return dict(self.version.facts.get("training") or {})


def reproduce_model(
    *, ledger: Ledger, warehouse: Warehouse, identity: RunIdentity, model: str, rerun: Rerun
) -> Report:
    """Train a model version again, compare, and keep the report; costs one training and registers nothing.

    :param model: the version, ``name@number`` or ``name@alias``.
    :raises SpecError: it is no model version that was trained here; nothing was started.
    :raises VersionNotFoundError: rows it was trained on are gone or changed; nothing was started.
    :raises TrainingSpecError: its module is not there any more; nothing was started.
    :raises RegistryError: the store does not answer, or gave other files than were registered.
    :raises TrainingCrashedError: the training process died; a retry resumes from its last checkpoint.
    """
    version = ledger.versions.find(model)
    run = ledger.runs.begin(identity, input_digest=digest_of(reproduce=version.version_id))
    fact = run.fact(version.asset)
    folder = rerun.work_dir / fact.digest
    report = ledger.reports.of_fact(fact, KIND)
    if report is not None:
        tidy(folder)
        log.info("An earlier try reproduced %s (report %d); kept", version.ref, report.report_id)
        return report
    pinned = _pinned(ledger, version)
    rerun.trainer.check(pinned.spec)
    files = fetch_files(version=version, registry=rerun.registry, work_dir=rerun.work_dir)
    _require_content(warehouse, pinned)
    environment = Environment.of(pinned.spec)
    changed = _changed_environment(version, environment)
    _log_environment(version, changed)
    found = _train_again(ledger, warehouse, pinned, changed, files, rerun, folder)
    report = _record(ledger, run, pinned, found, environment)
    tidy(folder)
    return report


def _pinned(ledger: Ledger, version: Version) -> _Pinned:
    plan = plan_of(version, what="a reproduction")
    spec = TrainingSpec.from_mapping(version.facts["spec"], source=f"spec of {version.ref}")
    manifest = ledger.versions.manifest(plan.version_id, profiles=False)
    parts = tuple(part for part in manifest if part.partition_key in plan.partitions)
    missing = sorted(set(plan.partitions) - {part.partition_key for part in parts})
    gone = [part for part in parts if part.state != "live"]
    if missing or gone:
        batches = sorted({str(part.partition_key) for part in gone} | set(missing))
        how = " and ".join(sorted({part.state for part in gone})) or "never kept"
        msg = (
            f"{version.ref} cannot be reproduced: rows of {plan.version} it was trained on were {how} (batches {batches}). "
            "Restore the ledger's database from a backup that still has them, or train a new version."
        )
        raise VersionNotFoundError(msg)
    return _Pinned(version, plan, resolve(ledger=ledger, plan=plan, spec=spec), parts)


def _require_content(warehouse: Warehouse, pinned: _Pinned) -> None:
    """Read the pinned rows once: a table that was changed by hand is no proof against the model."""
    for part in pinned.parts:
        if part.store != "postgres":
            continue
        found = warehouse.fingerprint(part.relation)
        if found.algorithm == part.fingerprint.algorithm and found != part.fingerprint:
            msg = (
                f"{pinned.version.ref} cannot be reproduced: {part.locator} no longer holds the rows of {pinned.plan.version}, "
                f"batch {part.partition_key!r} (fingerprint {found.text}, ledger {part.fingerprint.text}). "
                "Somebody wrote to it by hand: restore the table from a backup."
            )
            raise VersionNotFoundError(msg)


def _changed_environment(version: Version, now: Environment) -> tuple[Difference, ...] | None:
    then = version.facts.get("environment")
    return None if then is None else differences(then, now.to_dict())


def _log_environment(version: Version, changed: tuple[Difference, ...] | None) -> None:
    if changed is None:
        log.info("With what %s was trained was not recorded", version.ref)
    for one in changed or ():
        log.info("Changed since %s was trained: %s was %s, is %s", version.ref, one.what, one.then, one.now)


def _train_again(
    ledger: Ledger,
    warehouse: Warehouse,
    pinned: _Pinned,
    changed: tuple[Difference, ...] | None,
    files: Path,
    rerun: Rerun,
    folder: Path,
) -> Reproduction:
    rows = _export(ledger, warehouse, pinned, "train", folder)
    log.info("Training %s again on %d rows of %s", pinned.version.ref, rows, pinned.plan.version)
    bring(
        guidance=pinned.guidance,
        folder=folder,
        registry=rerun.registry,
        scorers=rerun.scorers,
        weights=rerun.weights,
        work_dir=rerun.work_dir,
    )
    job = TrainingJob(spec=pinned.spec, data=folder / "train.csv", work_dir=folder)
    asked = Reproduction(version=pinned.version.ref, environment=changed)
    try:
        result = rerun.trainer.train(job, on_progress=_Teller())
    except TrainingSpecError as err:
        return replace(asked, refused=str(err), notes=_notes(pinned, None))
    again = Path(result.artifact_dir)
    return replace(
        asked,
        weights=compare_weights(
            rerun.weights(files),
            rerun.weights(again),
            digest_then=pinned.training.get("weights_digest"),
            digest_now=result.weights_digest,
        ),
        metadata=metadata_differences(_metadata(files), _metadata(again)),
        scores=_compare_scores(ledger, warehouse, pinned, (files, again), rerun, folder),
        notes=_notes(pinned, result),
    )


def _export(ledger: Ledger, warehouse: Warehouse, pinned: _Pinned, side: str, folder: Path) -> int:
    return export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=pinned.plan,
        columns=pinned.guidance.columns,
        target=pinned.spec.target,
        side=side,
        path=folder / f"{side}.csv",
        guidance=pinned.guidance,
    )


def _compare_scores(
    ledger: Ledger,
    warehouse: Warehouse,
    pinned: _Pinned,
    models: tuple[Path, Path],
    rerun: Rerun,
    folder: Path,
) -> ScoresComparison:
    side = "holdout" if _export(ledger, warehouse, pinned, "holdout", folder) else "train"
    then, now = (rerun.scorers(files).score_csv(folder / f"{side}.csv") for files in models)

    def blocks() -> Iterator[tuple[Any, Any]]:
        for (_, one), (_, other) in zip(then, now, strict=True):
            yield one, other

    return compare_scores(blocks(), rows_of=side)


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / "metadata.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _notes(pinned: _Pinned, result: TrainingResult | None) -> tuple[str, ...]:
    """Return what besides the environment may explain a difference."""
    notes = []
    if pinned.spec.max_seconds is not None:
        notes.append(
            f"max_seconds is {pinned.spec.max_seconds:g}: how many epochs fit depends on the machine and its load"
        )
    epochs = pinned.training.get("epochs")
    if result is not None and epochs not in (None, result.epochs):
        notes.append(f"{epochs} epochs then, {result.epochs} now")
    if pinned.training.get("resumed"):
        notes.append("the first training was resumed from a checkpoint")
    if result is not None and result.resumed:
        notes.append("this training was resumed from a checkpoint")
    return tuple(notes)


def _record(
    ledger: Ledger, run: TaskRun, pinned: _Pinned, found: Reproduction, environment: Environment
) -> Report:
    version, plan = pinned.version, pinned.plan
    fact = run.fact(version.asset)
    body = found.to_dict() | {
        "dataset": plan.version,
        "partitions": list(plan.partitions),
        "cut": plan.cut,
        "parts": len(pinned.parts),
        "environment": environment.to_dict(),
    }
    with ledger.transaction():
        ledger.assets.lock(version.asset)
        report = ledger.reports.of_fact(fact, KIND)
        if report is None:
            report = ledger.reports.add(
                run=run, fact=fact, kind=KIND, verdict=found.verdict, body=body, version_id=version.version_id
            )
            node = report_node(report.report_id)
            sources = (plan.version_id, version.version_id)
            ledger.lineage.add((Edge(version_node(one), node, "evaluated_on") for one in sources), run=run)
            detail = {"verdict": found.verdict, "report": report.report_id, "dataset": plan.version}
            ledger.audit.add(action="reproduce", subject=version.ref, run=run, detail=detail)
        ledger.runs.finish(run)
    log.info("Reproduction of %s: %s. %s", version.ref, found.verdict, found.summary)
    return report


class _Teller:
    """Progress to the task log, a line every two seconds."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            log.info(
                "Epoch %d of %d, step %d, at most %d s left",
                progress.epoch, progress.max_epochs, progress.step, progress.eta_seconds,
            )  # fmt: skip

"""Trainers by a spec's engine: here, in a job of a Ray cluster, or by a manifest a person applies."""

from __future__ import annotations

import json
import logging
import shlex
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.ray import RayJobRequest, ended_badly
from airflow_dataml.core.errors import (
    BackendError,
    SpecError,
    TrainingCrashedError,
    TrainingSpecError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult, TrainingSpec
    from airflow_dataml.hooks.ray import RayHook

ENTRYPOINT = "airflow_dataml.adapters.lightning.remote"
_SUBMITTED = "submission.json"

log = logging.getLogger(__name__)


class FolderTrainer(ABC):
    """Trains by a folder that both sides reach: what is wanted is written into it, and the result comes back in it."""

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec whose module is not here; torch has to be there only where it is trained."""
        from airflow_dataml.adapters.lightning.modules import module_source

        module_source(spec)

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        """Return the result that is in the folder already, or have it made."""
        from airflow_dataml.adapters.lightning.trainer import adopt

        result = adopt(job)
        if result is None:
            self._refuse(job)
            self._make(job)
            self._refuse(job)
            result = adopt(job)
        if result is None:
            msg = (
                f"the training of model {job.spec.model!r} ended well and left no result of this spec, data and module "
                f"in {str(job.work_dir)!r}: that folder must be shared with where it runs, and the code the same there."
            )
            raise TrainingCrashedError(msg)
        self._tell(job, on_progress)
        return result

    @abstractmethod
    def kill(self) -> None:
        """End what runs."""

    @abstractmethod
    def _make(self, job: TrainingJob) -> None:
        """Have the result put into the job's folder, or raise."""

    def _refuse(self, job: TrainingJob) -> None:
        from airflow_dataml.adapters.lightning.remote import refusal

        if (reason := refusal(job.work_dir)) is not None:
            raise TrainingSpecError(reason)

    def _tell(self, job: TrainingJob, on_progress: Callable[[Progress], None]) -> None:
        from airflow_dataml.adapters.lightning.remote import progress_of

        for progress in progress_of(job.work_dir):
            on_progress(progress)


class RayTrainer(FolderTrainer):
    """Trains in a Ray job.

    The job's name is that of the fact, spec and data, so a retry finds it however far it is. A job of another spec
    for the same fact is stopped first.

    :param wait: returns how a job ended, or defers the task and does not return.
    :param event: how the job ended, if that is known already; then nothing is submitted.
    """

    def __init__(
        self,
        hook: RayHook,
        *,
        work_dir: Path,
        wait: Callable[[str], Mapping[str, Any]],
        event: Mapping[str, Any] | None = None,
    ) -> None:
        self._jobs = hook.jobs()
        self._cluster = hook.cluster()
        self._work_dir = work_dir
        self._wait = wait
        self._event = event
        self._running: str | None = None

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec whose module is not here, and a cluster that does not answer."""
        super().check(spec)
        log.info("Ray %s answers at %s", self._jobs.version(), self._jobs.url)

    def kill(self) -> None:
        """Stop the job; its checkpoints stay for the next try."""
        if self._running is not None:
            self._jobs.stop(self._running)

    def _make(self, job: TrainingJob) -> None:
        from airflow_dataml.adapters.lightning.remote import prepare

        event = self._event
        if event is None:
            folder = prepare(job)
            request = self._request(job, folder, f"dataml-{job.work_dir.name}-{job.fingerprint()[:12]}")
            _stop_other(self._jobs, folder, request.submission_id)
            state = self._jobs.ensure(request, keep_succeeded=False)
            self._running = state.submission_id
            _note(folder, request.submission_id, state.submission_id)
            log.info("Ray job %s is %s", state.submission_id, state.status)
            event = self._wait(state.submission_id)
        self._running = None
        self._refuse(job)
        if event.get("status") != "SUCCEEDED":
            bad = ended_badly(self._jobs, event)
            raise TrainingCrashedError(str(bad)) if isinstance(bad, BackendError) else bad

    def _request(self, job: TrainingJob, folder: Path, name: str) -> RayJobRequest:
        there: PurePosixPath | Path = folder
        if self._cluster.work_dir is not None:
            there = PurePosixPath(self._cluster.work_dir) / folder.relative_to(self._work_dir.absolute())
        spec = job.spec
        return RayJobRequest(
            submission_id=name,
            entrypoint=f"{self._cluster.python} -P -m {ENTRYPOINT} {shlex.quote(str(there))}",
            runtime_env=self._cluster.runtime_env,
            metadata={"dataml_model": spec.model},
            entrypoint_num_cpus=spec.threads * spec.processes,
            entrypoint_num_gpus=spec.processes if spec.accelerator == "gpu" else None,
        )


class ManifestTrainer(FolderTrainer):
    """Prepares a training for Kubernetes, which a person or another task submits, and takes up its result.

    :param spec: how the spec was named, for the command that is shown.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec

    def kill(self) -> None:
        """Nothing of ours runs."""

    def _make(self, job: TrainingJob) -> None:
        from airflow_dataml.adapters.lightning.remote import prepare

        folder = prepare(job)
        msg = (
            f"model {job.spec.model!r} waits to be trained on Kubernetes, which this package does not submit to: "
            f"`dataml model manifest --spec {shlex.quote(self._spec)} --engine kubernetes --folder {shlex.quote(str(folder))} "
            "--image IMAGE --claim CLAIM --mount PATH | kubectl apply -f -`, then clear this task; it takes up the result."
        )
        raise SpecError(msg)


def _stop_other(jobs: Any, folder: Path, name: str) -> None:
    """Stop what an earlier try submitted for another spec; two would write to one folder."""
    from airflow_dataml.adapters.lightning.remote import PROGRESS

    try:
        earlier = json.loads((folder / _SUBMITTED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if earlier["name"] != name:
        jobs.stop(earlier["submission_id"])
        (folder / PROGRESS).unlink(missing_ok=True)


def _note(folder: Path, name: str, submission_id: str) -> None:
    body = {"name": name, "submission_id": submission_id}
    beside = folder / f"{_SUBMITTED}.tmp"
    beside.write_text(json.dumps(body), encoding="utf-8")
    beside.replace(folder / _SUBMITTED)

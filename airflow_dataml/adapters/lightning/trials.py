"""Trials seen from the task: one child interpreter trains many of them, and is followed and ended here."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.modules import module_source
from airflow_dataml.adapters.lightning.trainer import TAIL_LINES, LightningTrainer, child_environment
from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import Progress
from airflow_dataml.core.tuning_trials import TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.tuning_trials import TrialJob

CHILD = "airflow_dataml.adapters.lightning.trial_child"
OUTCOME_FILE = "outcome.json"

log = logging.getLogger(__name__)


class LightningTrials:
    """Trains trials in one process, started with the first of them; ends with the task, however that ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.killed = False

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec that cannot be trained here, in milliseconds and without importing torch."""
        LightningTrainer().check(spec)

    def run(self, job: TrialJob, *, on_progress: Callable[[Progress], bool]) -> TrialOutcome | None:
        """Train, resume, or adopt what an earlier try of this trial finished.

        :param on_progress: called about once per second and after each epoch, the training waits for its answer.
        :raises TrainingSpecError: this setting cannot be trained.
        :raises TrainingCrashedError: the process died.
        """
        fingerprint = _fingerprint(job)
        if (adopted := _adopt(job, fingerprint)) is not None:
            return adopted
        job.work_dir.mkdir(parents=True, exist_ok=True)
        whole = False
        try:
            process = self._started(job.spec.threads)
            message = _converse(process, _request(job, fingerprint), on_progress)
            whole = bool(message)
        except BrokenPipeError:
            message = {}
        finally:
            if not whole:
                self.close()
        if "refused" in message:
            raise TrainingSpecError(str(message["refused"]))
        if "done" in message:
            return TrialOutcome(**message["done"])
        if "stopped" in message:
            return None
        lines = "\n".join(self._tail) or "(nothing on standard error)"
        how = "was killed on request" if self.killed else "died"
        msg = f"the process of the trials of {job.spec.model!r} {how}. Last lines:\n{lines}"
        raise TrainingCrashedError(msg)

    def kill(self) -> None:
        """End the process at once; safe in a signal handler, and nothing to do without one."""
        self.killed = True
        if self._process is not None and self._process.returncode is None:
            _end(self._process)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        _end(process)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _started(self, threads: int) -> subprocess.Popen[str]:
        if self._process is not None:
            return self._process
        self._tail.clear()
        self._process = process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-P", "-m", CHILD, str(os.getpid()), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=child_environment(os.environ, threads=threads),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=_drain, args=(process.stderr, self._tail), daemon=True)
        self._reader.start()
        return process


def _converse(
    process: subprocess.Popen[str], request: dict[str, Any], on_progress: Callable[[Progress], bool]
) -> dict[str, Any]:
    """Hand over a trial and answer its progress; return its last word, or nothing if the process died."""
    into, out = process.stdin, process.stdout
    if into is None or out is None:
        return {}
    _say(into, json.dumps(request))
    for line in out:
        message: dict[str, Any] = json.loads(line)
        if "progress" not in message:
            return message
        _say(into, "go" if on_progress(Progress.from_dict(message["progress"])) else "stop")
    return {}


def _say(stream: IO[str], text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _request(job: TrialJob, fingerprint: str) -> dict[str, Any]:
    return {
        "spec": job.spec.model_dump(mode="json"),
        "data": str(job.data.absolute()),
        "folder": str(job.work_dir.absolute()),
        "fingerprint": fingerprint,
        "export": job.export,
    }


def _fingerprint(job: TrialJob) -> str:
    """Hash of what decides the weights besides the rows, which a study pins."""
    said = json.dumps([job.spec.model_dump(mode="json"), job.export], sort_keys=True)
    return hashlib.sha256(f"{said}\n{module_source(job.spec)}".encode()).hexdigest()


def _adopt(job: TrialJob, fingerprint: str) -> TrialOutcome | None:
    try:
        stored = json.loads((job.work_dir / OUTCOME_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if stored["fingerprint"] != fingerprint:
        return None
    outcome = TrialOutcome(**stored["outcome"])
    there = outcome.model_dir is None or (Path(outcome.model_dir) / "model.onnx").is_file()
    return outcome if there else None


def _drain(stream: IO[str] | None, tail: deque[str]) -> None:
    """Keep the child's standard error flowing into the task log, and its last lines for the error message."""
    if stream is None:
        return
    with stream:
        for line in stream:
            tail.append(line.rstrip())
            log.info("trial: %s", tail[-1])


def _end(process: subprocess.Popen[str]) -> None:
    # SIGKILL at once: whatever the child writes is renamed into place, so there is nothing to tidy up.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

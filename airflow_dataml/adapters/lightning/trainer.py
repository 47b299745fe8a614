"""Training seen from the task: spawn a child interpreter, follow it, end it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_dataml.adapters.lightning.modules import module_source
from airflow_dataml.core.errors import MissingExtraError, TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.core.training import TrainingSpec

CHILD = "airflow_dataml.adapters.lightning.child"
LAUNCH = "airflow_dataml.adapters.lightning.launch"
NEEDED = ("torch", "pytorch_lightning", "onnx", "onnxscript", "onnxruntime", "pyarrow", "numpy")
ARTIFACTS = ("model.onnx", "model.pt2", "metadata.json")
TAIL_LINES = 30
RESULT_FORMAT = "1"
_KEPT_VARIABLES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"),
    *("MPLCONFIGDIR", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR"),
    *(
        "CUDA_VISIBLE_DEVICES",
        "CUDA_HOME",
        "NVIDIA_VISIBLE_DEVICES",
        "GLOO_SOCKET_IFNAME",
        "NCCL_SOCKET_IFNAME",
    ),
)

log = logging.getLogger(__name__)


class LightningTrainer:
    """Trains one job at a time in a process of its own.

    The child shares nothing with the task but the job's folder: no loaded torch is forked, its memory
    goes back when it ends, its environment holds no secret, and it dies with the task.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec that cannot be trained here, in milliseconds and without importing torch.

        :raises TrainingSpecError: its module is not there.
        :raises MissingExtraError: a package that training needs is not installed.
        """
        for package in NEEDED:
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError("lightning", package)  # noqa: EM101 - the name of an extra
        module_source(spec)

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        """Train, resume, or adopt what an earlier try finished.

        :param on_progress: called about once per second and after each epoch; if it raises, the
            training is killed.
        :raises TrainingSpecError: spec, module or data are wrong; a retry would fail again.
        :raises TrainingCrashedError: the process died; a retry resumes from its last finished epoch.
        """
        self.check(job.spec)
        fingerprint = fingerprint_of(job)
        finished = _adopt(job.work_dir, fingerprint)
        if finished is not None:
            log.info("Adopting the finished training in %s", job.work_dir)
            return finished
        self._killed = False
        self._process = process = _spawn(job, fingerprint)
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        reader = threading.Thread(target=_drain, args=(process.stderr, tail), daemon=True)
        reader.start()
        try:
            refusal = _follow(process.stdout, on_progress)
            # Its output has ended, so the child is leaving. Not reaped yet: the group's id stays ours.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            _kill_group(process)
            process.wait()
            self._process = None
            reader.join(timeout=5)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if refusal is not None:
            raise TrainingSpecError(refusal)
        result = _adopt(job.work_dir, fingerprint)
        if process.returncode != 0 or result is None:
            raise TrainingCrashedError(self._explain(job.spec, process.returncode, tail))
        return result

    def kill(self) -> None:
        """End the running training at once; safe in a signal handler, and nothing to do without one.

        The checkpoint of the last finished epoch stays for the next try.
        """
        process = self._process
        if process is not None and process.returncode is None:
            self._killed = True
            _kill_group(process)

    def _explain(self, spec: TrainingSpec, status: int, tail: deque[str]) -> str:
        if self._killed:
            return f"training of model {spec.model!r} was killed on request; another try resumes from its last epoch."
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with code {status}"
        hint = " (out of memory?)" if status == -signal.SIGKILL else ""
        lines = "\n".join(tail) or "(nothing on standard error)"
        return (
            f"training process of model {spec.model!r} {how}{hint}; another try resumes from its last epoch. "
            f"Last lines:\n{lines}"
        )


def child_environment(environment: Mapping[str, str], *, threads: int) -> dict[str, str]:
    """Return what a training may know of the task's environment: an allow-list, so no secret is in it.

    :param threads: CPU threads for the libraries that read it from the environment.
    """
    kept = {name: environment[name] for name in _KEPT_VARIABLES if name in environment}
    count = str(threads)
    return {
        **kept,
        # Modules beside DAG files are found through the task's own import path.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(entry or os.getcwd() for entry in sys.path)),
        "PYTHONHASHSEED": "0",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }


def fingerprint_of(job: TrainingJob) -> str:
    """Hash of all that decides the weights; a changed module must not resume from its old checkpoints."""
    parts = (RESULT_FORMAT, job.fingerprint(), module_source(job.spec))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def adopt(job: TrainingJob) -> TrainingResult | None:
    """Return the result that is in a job's folder, whoever put it there, if it is of this very job."""
    return _adopt(job.work_dir, fingerprint_of(job))


def _adopt(work_dir: Path, fingerprint: str) -> TrainingResult | None:
    """Return the result an earlier try left, if it is of this very job and its files are still there."""
    try:
        stored = json.loads((work_dir / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if stored["fingerprint"] != fingerprint:
        return None
    # Where it was trained the folder may have had another path.
    result = replace(
        TrainingResult.from_dict(stored["result"]), artifact_dir=str(work_dir.absolute() / "model")
    )
    there = all((Path(result.artifact_dir) / name).is_file() for name in ARTIFACTS)
    return result if there else None


def _spawn(job: TrainingJob, fingerprint: str) -> subprocess.Popen[str]:
    work_dir = job.work_dir.absolute()
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / "result.json").unlink(missing_ok=True)
    checkpoints = work_dir / "checkpoints" / fingerprint[:16]
    _drop_others(checkpoints)
    job_file = work_dir / "job.json"
    job_file.write_text(
        json.dumps(
            {
                "spec": job.spec.model_dump(mode="json"),
                "data": str(job.data.absolute()),
                "work_dir": str(work_dir),
                "checkpoints": str(checkpoints),
                "fingerprint": fingerprint,
                "parent": os.getpid(),
            }
        ),
        encoding="utf-8",
    )
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        [sys.executable, "-P", "-m", LAUNCH if job.spec.processes > 1 else CHILD, str(job_file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=child_environment(os.environ, threads=job.spec.threads),
        start_new_session=True,
    )


def _drop_others(checkpoints: Path) -> None:
    """Delete checkpoints of a job that is no longer asked for."""
    with suppress(FileNotFoundError):
        for other in checkpoints.parent.iterdir():
            if other != checkpoints:
                shutil.rmtree(other, ignore_errors=True)


def _follow(stream: IO[str] | None, on_progress: Callable[[Progress], None]) -> str | None:
    """Pass progress on until the child closes its output; return why it refused, if it did."""
    refusal = None
    for line in stream or ():
        message = json.loads(line)
        if "progress" in message:
            on_progress(Progress.from_dict(message["progress"]))
        else:
            refusal = str(message["refused"])
    return refusal


def _drain(stream: IO[str] | None, tail: deque[str]) -> None:
    """Keep the child's standard error flowing into the task log, and its last lines for the error message."""
    for line in stream or ():
        tail.append(line.rstrip())
        log.info("training: %s", tail[-1])


def _kill_group(process: subprocess.Popen[str]) -> None:
    # SIGKILL at once: whatever the child writes is renamed into place, so there is nothing to tidy up.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

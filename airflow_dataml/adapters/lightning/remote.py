"""A training somewhere else: a folder that says what to train, and the program that trains it there.

Run as ``python -P -m airflow_dataml.adapters.lightning.remote FOLDER`` where the folder can be reached and this
package is installed with the extra ``lightning``: as the entrypoint of a Ray job, or in a container. It makes its
training a child of its own, as a task would, and leaves the result in the folder. Airflow takes no part in it.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_dataml.adapters.lightning.trainer import LightningTrainer
from airflow_dataml.core.errors import DataMLError, MissingExtraError, SpecError
from airflow_dataml.core.training import Progress, TrainingJob, TrainingSpec

if TYPE_CHECKING:
    from types import FrameType

REFUSED, CRASHED = 3, 1
REQUEST, REFUSAL, PROGRESS = "request.json", "refusal.txt", "progress.jsonl"
_LINE_EVERY_S = 2.0

log = logging.getLogger(__name__)


def prepare(job: TrainingJob) -> Path:
    """Write beside a job's data what :func:`main` needs; return the folder.

    The data must be in the job's folder already: elsewhere nothing else of this machine is seen.
    """
    folder = job.work_dir.absolute()
    body = {"spec": job.spec.model_dump(mode="json"), "data": str(job.data.absolute().relative_to(folder))}
    beside = folder / f"{REQUEST}.tmp"
    beside.write_text(json.dumps(body, indent=2), encoding="utf-8")
    beside.replace(folder / REQUEST)
    return folder


def refusal(folder: Path) -> str | None:
    """Return why a training was refused, once: a later try asks again, for the cause may lie elsewhere."""
    path = folder / REFUSAL
    try:
        reason = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return reason


def progress_of(folder: Path) -> list[Progress]:
    """Return the last word on every epoch, oldest first."""
    try:
        lines = (folder / PROGRESS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    said = [Progress.from_dict(json.loads(line)) for line in lines if line.endswith("}")]
    return [one for _, one in sorted({one.epoch: one for one in said}.items())]


def main(folder: Path) -> int:
    """Train what a folder asks for; the exit status is 0, ``REFUSED`` or ``CRASHED``."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    job = TrainingJob(
        spec=TrainingSpec.model_validate(request["spec"]), data=folder / request["data"], work_dir=folder
    )
    trainer = LightningTrainer()
    signal.signal(signal.SIGTERM, _leave)
    try:
        result = trainer.train(job, on_progress=_Told(folder / PROGRESS))
    except (SpecError, MissingExtraError) as err:
        (folder / REFUSAL).write_text(str(err), encoding="utf-8")
        log.error("Refused: %s", err)
        return REFUSED
    except DataMLError as err:
        log.error("%s", err)
        return CRASHED
    log.info("Trained %s: %s", job.spec.model, json.dumps(result.to_dict()))
    return 0


class _Told:
    """Progress for whoever reads the log, every two seconds, and for the task, after every epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY_S:
            self._said = now
            log.info(
                "Epoch %d of %d, step %d, %d rows/s, at most %d s left",
                progress.epoch, progress.max_epochs, progress.step, progress.rows_per_second, progress.eta_seconds,
            )  # fmt: skip
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(progress.to_dict()) + "\n")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End as if interrupted, so that the training that is under way is ended first."""
    del frame
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

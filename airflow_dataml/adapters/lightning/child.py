"""The training process: reads a job, trains, exports, and tells its parent in lines of JSON.

Run as ``python -P -m airflow_dataml.adapters.lightning.child job.json`` by :class:`LightningTrainer` only, or as
one of several by ``launch``; then the first alone writes and reports, and any may refuse.
Standard output carries ``{"progress": ..}`` and ``{"refused": ..}``; whatever else is printed goes to
standard error. The result is ``result.json`` in the job's folder, renamed into place as the very last act.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from airflow_dataml.adapters.lightning import data as training_data
from airflow_dataml.adapters.lightning import export, measures, modules
from airflow_dataml.adapters.lightning.datamodules import load_datamodule
from airflow_dataml.adapters.lightning.fit import fit
from airflow_dataml.adapters.lightning.ranks import Ranks
from airflow_dataml.adapters.lightning.targets import untrained_classes
from airflow_dataml.core.classes import named_few
from airflow_dataml.core.errors import SpecError, TrainingSpecError
from airflow_dataml.core.training import DEFAULT_MODULE, TrainingJob, TrainingResult, TrainingSpec

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule
    from torch.nn import Module

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import Progress

REFUSED = 3
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Channel:
    """The way to the parent. A parent that is gone breaks it, which ends the training."""

    stream: TextIO

    @classmethod
    def claim(cls) -> Self:
        """Take standard output for ourselves and send what anybody prints to standard error."""
        stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        return cls(stream)

    def progress(self, progress: Progress) -> None:
        """Say how far the training is."""
        self._send({"progress": progress.to_dict()})

    def refused(self, reason: str) -> None:
        """Say what in the spec or the data is wrong."""
        self._send({"refused": reason})

    def _send(self, message: dict[str, object]) -> None:
        self.stream.write(json.dumps(message) + "\n")
        self.stream.flush()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        raise SystemExit(1)


def main(job_file: Path) -> int:
    """Run one job; the exit status is 0, ``REFUSED``, or that of a crash."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    ranks = Ranks.here()
    die_with(ranks.launcher or job["parent"])
    faulthandler.enable()
    channel = Channel.claim()
    _be_quiet()
    try:
        result = train(
            TrainingSpec.model_validate(job["spec"]),
            data=Path(job["data"]),
            work_dir=Path(job["work_dir"]),
            checkpoints=Path(job["checkpoints"]),
            channel=channel,
            ranks=ranks,
        )
    except SpecError as err:
        channel.refused(str(err))
        return REFUSED
    if result is None:
        return 0
    _finish(Path(job["work_dir"]), job["fingerprint"], result)
    shutil.rmtree(Path(job["checkpoints"]).parent, ignore_errors=True)
    return 0


def train(
    spec: TrainingSpec, *, data: Path, work_dir: Path, checkpoints: Path, channel: Channel, ranks: Ranks
) -> TrainingResult | None:
    """Load, fit, measure and export; of several processes all but the first are done after fitting."""
    import torch

    started = time.monotonic()
    torch.set_num_threads(spec.threads)
    torch.set_num_interop_threads(1)
    module_class = modules.load_class(spec)
    modules.refuse_untaken(module_class, spec)
    load_datamodule(spec)  # so that what is wrong with it is said before the rows are read
    rows = training_data.load(data, spec, folder=work_dir)
    module = modules.build(module_class, spec, rows.encoding, rows.target.classes)
    start = TrainingJob(spec=spec, data=data, work_dir=work_dir).start
    modules.begin_with(module, spec, rows.encoding, start=start, classes=rows.target.classes)
    folder = work_dir / "model"
    refuse_idle(rows, spec)
    if ranks.first:
        _try_out(module, rows, spec, folder)
    on_progress = channel.progress if ranks.first else _keep_quiet
    fitted = fit(module, rows, spec, folder=checkpoints, on_progress=on_progress, ranks=ranks)
    ranks.leave()
    if not ranks.first:
        return None
    # A fresh module: the trained one still hangs on its trainer, and it holds the last epoch's weights.
    kept = modules.build(module_class, spec, rows.encoding, rows.target.classes)
    kept.load_state_dict(fitted.weights)
    model = _scoring(kept, rows, spec)
    scores = export.score(model, rows.validation, release=rows.release)
    difference = export.export(model, rows, spec, folder=folder)
    digest = export.weights_digest(fitted.weights)
    export.write_metadata(folder, spec=spec, data=rows, digest=digest)
    return TrainingResult(
        artifact_dir=str(folder),
        epochs=fitted.epochs,
        steps=fitted.steps,
        rows=len(rows.labels),
        metrics={
            **measures.measure(spec.task, rows.labels[rows.train_rows :], scores),
            **_untrained(rows, spec),
            **fitted.metrics(),
            "onnx_max_abs_diff": difference,
        },
        seconds=time.monotonic() - started,
        resumed=fitted.resumed,
        weights_digest=digest,
        device=fitted.device,
    )


def _untrained(rows: TrainingData, spec: TrainingSpec) -> dict[str, float]:
    """Say which classes have no row to learn from; nothing where all have, or there are none."""
    found = untrained_classes(rows.labels, rows.target, rows.train_rows)
    if not found:
        return {}
    message = f"only validation rows of model {spec.model!r} have the classes {named_few(found)}: it never learns them"
    sys.stderr.write(message + "\n")
    return {"untrained_classes": float(len(found))}


def _keep_quiet(_: Progress) -> None:
    """The first process speaks for all."""


def refuse_idle(rows: TrainingData, spec: TrainingSpec) -> None:
    """Refuse more processes than there is work for: each needs two rows, as normalisation does."""
    if rows.train_rows < 2 * spec.processes:
        msg = f"{rows.train_rows} training rows cannot be dealt to {spec.processes} processes; at least two rows each are needed."
        raise TrainingSpecError(msg)


def _scoring(module: LightningModule, rows: TrainingData, spec: TrainingSpec) -> Module:
    from airflow_dataml.adapters.lightning.tabular import ScoringModule

    return ScoringModule(
        module, task=spec.task, target_mean=rows.target.mean, target_std=rows.target.std
    ).eval()


def _try_out(module: LightningModule, rows: TrainingData, spec: TrainingSpec, folder: Path) -> None:
    """Find out before the first epoch, not after the last, whether a module can be scored and exported."""
    import torch

    model = _scoring(module, rows, spec)
    with torch.inference_mode():
        shape = tuple(model(rows.tensors[0][:2], rows.tensors[1][:2]).shape)
    wanted = (2, len(rows.target.classes)) if rows.target.classes else (2,)
    if shape != wanted:
        what = "one number per class and row" if rows.target.classes else "one number per row"
        msg = (
            f"module {spec.module!r} of model {spec.model!r} gives shape {shape} for 2 rows; "
            f"forward must give {what}, shape {wanted}."
        )
        raise TrainingSpecError(msg)
    if spec.module != DEFAULT_MODULE:  # ours is known to export, and this costs a second
        export.export(model, rows, spec, folder=folder)
    model.train()


def _finish(work_dir: Path, fingerprint: str, result: TrainingResult) -> None:
    beside = work_dir / "result.json.tmp"
    beside.write_text(
        json.dumps({"fingerprint": fingerprint, "result": result.to_dict()}, indent=2), encoding="utf-8"
    )
    beside.replace(work_dir / "result.json")


def _be_quiet() -> None:
    """Keep advertisements and advice about other set-ups out of the task log."""
    for package in ("lightning_fabric", "pytorch_lightning"):
        importlib.import_module(package)  # sets the level of its logger when first imported
        logging.getLogger(package).setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", module=r"(torch|pytorch_lightning|lightning_fabric|onnxscript|copyreg)\b"
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

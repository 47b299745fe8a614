"""The process that trains trials one after the other, so that importing torch is paid once.

Run as ``python -P -m airflow_dataml.adapters.lightning.trial_child <parent> <threads>`` by
:class:`LightningTrials` only. Standard input brings one JSON line per trial, and an answer to each
progress, ``go`` or ``stop``; standard output carries ``progress``, and then ``done``, ``refused`` or
``stopped``. The outcome is also in ``outcome.json`` in the trial's folder, renamed into place.
"""

from __future__ import annotations

import faulthandler
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning import child, export, measures, modules
from airflow_dataml.adapters.lightning import data as training_data
from airflow_dataml.adapters.lightning.fit import fit
from airflow_dataml.adapters.lightning.ranks import Ranks
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.tuning_trials import TrialOutcome

if TYPE_CHECKING:
    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import Progress

OUTCOME_FILE = "outcome.json"


class Stopped(Exception):
    """The parent wants no more of this trial."""


class TrialChannel(child.Channel):
    """The way to the parent, with its answers."""

    def tell(self, word: str, value: object) -> None:
        """Say how a trial ended."""
        self._send({word: value})

    def ask(self, progress: Progress) -> None:
        """Say how far the trial is, and stop if that is the answer."""
        self.progress(progress)
        if sys.stdin.readline().strip() != "go":
            raise Stopped


def main(parent: int, threads: int) -> int:
    """Run the trials that standard input names, until it ends."""
    child.die_with(parent)
    faulthandler.enable()
    channel = TrialChannel.claim()
    child._be_quiet()
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    rows = Rows()
    while line := sys.stdin.readline():
        job = json.loads(line)
        try:
            outcome = run(job, rows, channel)
        except SpecError as err:
            channel.tell("refused", str(err))
        except Stopped:
            channel.tell("stopped", True)
        else:
            channel.tell("done", outcome)
    return 0


class Rows:
    """The rows read last; trials of one tuning read equal ones."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._rows: TrainingData | None = None

    def of(self, data: Path, spec: TrainingSpec) -> TrainingData:
        """Return a file's rows as a spec wants them."""
        at = data.stat()
        key = (
            data,
            at.st_mtime_ns,
            at.st_size,
            spec.features,
            spec.target,
            spec.task,
            spec.validation_fraction,
            spec.memory_mb,
        )
        if self._rows is None or key != self._key:
            self._rows = training_data.load(data, spec)
            self._key = key
        return self._rows


def run(job: dict[str, Any], rows: Rows, channel: TrialChannel) -> dict[str, Any]:
    """Fit, measure, and export if wanted; see ``child.train``, which also makes what a model version needs."""
    from airflow_dataml.adapters.lightning.tabular import ScoringModule

    started = time.monotonic()
    spec = TrainingSpec.model_validate(job["spec"])
    folder = Path(job["folder"])
    checkpoints = folder / "checkpoints" / job["fingerprint"][:16]
    found = rows.of(Path(job["data"]), spec)
    module_class = modules.load_class(spec)
    module = modules.build(module_class, spec, found.encoding, found.target.classes)
    fitted = fit(module, found, spec, folder=checkpoints, on_progress=channel.ask, ranks=Ranks())
    kept = modules.build(module_class, spec, found.encoding, found.target.classes)
    kept.load_state_dict(fitted.weights)
    model = ScoringModule(
        kept, task=spec.task, target_mean=found.target.mean, target_std=found.target.std
    ).eval()
    scores = export.score(model, found.validation, release=found.release)
    metrics = measures.measure(spec.task, found.labels[found.train_rows :], scores) | fitted.metrics()
    model_dir = None
    if job["export"]:
        model_dir = folder / "model"
        export.export(model, found, spec, folder=model_dir)
        export.write_metadata(model_dir, spec=spec, data=found, digest=export.weights_digest(fitted.weights))
    outcome = TrialOutcome(
        metrics=metrics,
        epochs=fitted.epochs,
        seconds=time.monotonic() - started,
        resumed=fitted.resumed,
        model_dir=str(model_dir) if model_dir else None,
    )
    values = {name: getattr(outcome, name) for name in TrialOutcome.__slots__}
    beside = folder / f"{OUTCOME_FILE}.tmp"
    beside.write_text(json.dumps({"fingerprint": job["fingerprint"], "outcome": values}), encoding="utf-8")
    beside.replace(folder / OUTCOME_FILE)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return values


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

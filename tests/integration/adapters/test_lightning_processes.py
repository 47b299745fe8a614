"""One training in two processes, for real: torchrun and gloo on the CPU of this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.adapters.lightning.child import refuse_idle
from airflow_dataml.adapters.lightning.data import SlicingLoader, load
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import TrainingJob
from tests.integration.adapters.test_lightning import MODULES, TASK, ended, spec, train, write_rows

slow = pytest.mark.slow
TWO = {"engine": "torchrun", "processes": 2}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingJob:
    """A job of two processes, its modules beside a DAG."""
    folder = tmp_path / "dags"
    folder.mkdir()
    shutil.copy(MODULES, folder)
    monkeypatch.syspath_prepend(str(folder))
    return TrainingJob(spec=spec(**TWO), data=write_rows(tmp_path / "rows.csv"), work_dir=tmp_path / "work")


@slow
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_two_processes_walk_the_batches_of_one(job: TrainingJob, tmp_path: Path, task: str) -> None:
    asked: dict[str, Any] = {"task": task}
    if task == "multiclass":
        asked |= {"target": "carrier", "features": [{"name": "distance"}, {"name": "flag"}]}
        rows = [line.split(",", 4) for line in job.data.read_text().splitlines()]
        job.data.write_text("".join(",".join([*row[:3], row[3] or "D", row[4]]) + "\n" for row in rows))
    two = train(replace(job, spec=spec(**TWO, **asked)))
    again = train(replace(job, spec=spec(**TWO, **asked), work_dir=tmp_path / "again"))
    one = train(replace(job, spec=spec(**asked), work_dir=tmp_path / "one"))
    assert again.weights_digest == two.weights_digest
    assert (two.steps, two.epochs, two.rows) == (one.steps, one.epochs, one.rows)
    assert two.device == "cpu"
    classes = OnnxScorer.load(Path(two.artifact_dir)).classes
    assert classes == OnnxScorer.load(Path(one.artifact_dir)).classes
    assert (len(classes) > 2) == (task == "multiclass")
    for name, value in one.metrics.items():
        assert two.metrics[name] == pytest.approx(value, abs=1e-4), name


@slow
def test_a_process_that_is_killed_ends_the_training_and_a_retry_resumes(
    job: TrainingJob, tmp_path: Path
) -> None:
    markers = tmp_path / "markers"
    markers.mkdir()
    arguments = {"markers": str(markers), "dropout": 0.3}
    fragile = replace(job, spec=spec(module="Fragile", module_arguments=arguments, **TWO))
    for moment in ("batch", "end"):
        with pytest.raises(TrainingCrashedError, match="resumes from its last epoch"):
            train(fragile)
        assert (markers / moment).exists()
    resumed = train(fragile)
    undisturbed = train(replace(fragile, work_dir=tmp_path / "elsewhere"))
    assert (resumed.resumed, undisturbed.resumed) == (True, False)
    assert resumed.weights_digest == undisturbed.weights_digest


def pids(lines: list[str]) -> set[int]:
    """Processes that said their number; two at once may share a line."""
    return {int(number) for line in lines for number in re.findall(r"pid (\d+)", line)}


@slow
def test_kill_ends_every_process(job: TrainingJob, caplog: pytest.LogCaptureFixture) -> None:
    trainer = LightningTrainer()
    endless = replace(job, spec=spec(module="Endless", **TWO))
    with caplog.at_level("INFO"), pytest.raises(TrainingCrashedError, match="was killed on request"):
        trainer.train(endless, on_progress=lambda _: trainer.kill())
    told = pids(caplog.messages)
    assert len(told) == 2
    assert all(ended(pid, within=5) for pid in told)


@slow
def test_every_process_dies_with_the_task(job: TrainingJob) -> None:
    endless = spec(module="Endless", **TWO).model_dump_json()
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", TASK, str(job.data), str(job.work_dir), endless],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as task:
        told: list[str] = []
        for line in task.stdout or ():
            told.append(line)
            if "progress\n" in told and len(pids(told)) == 2:
                break
        os.kill(task.pid, signal.SIGKILL)
    assert all(ended(pid, within=10) for pid in pids(told))


@slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "Wide"}, r"gives shape \(2, 1\)"),
        ({"accelerator": "gpu"}, "asks for accelerator: gpu in 2 process"),
    ],
    ids=["a module that cannot be scored", "GPUs that are not here"],
)
def test_what_cannot_be_trained_is_refused_with_its_reason(
    job: TrainingJob, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        train(replace(job, spec=spec(**{**TWO, **changes})))


def test_more_processes_than_rows_are_refused(job: TrainingJob) -> None:
    wanted = spec(engine="torchrun", processes=256, batch_size=256, validation_fraction=0.5)
    with pytest.raises(TrainingSpecError, match="300 training rows cannot be dealt to 256 processes"):
        refuse_idle(load(job.data, wanted), wanted)


@pytest.mark.parametrize("rows", [64, 67, 66, 130], ids=str)
def test_processes_share_every_batch_out_among_them(rows: int) -> None:
    import torch

    tensors = (torch.arange(rows)[:, None], torch.arange(rows)[:, None], torch.arange(rows))

    def batches(rank: int, size: int) -> list[set[int]]:
        loader = SlicingLoader(tensors, batch_size=16, seed=3, epoch=lambda: 2, rank=rank, size=size)
        found = [set(batch[2].tolist()) for batch in loader]
        assert len(found) == len(loader)
        return found

    whole, first, second = batches(0, 1), batches(0, 2), batches(1, 2)
    assert [len(one) for one in first] == [len(one) for one in second]
    assert not any(one & other for one, other in zip(first, second, strict=True))
    assert all(len(one) > 1 for one in first)
    for one, other, both in zip(first, second, whole, strict=False):
        assert one | other <= both

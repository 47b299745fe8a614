"""A model of classes from Lightning: trained, streamed, exported, scored, tuned, and loaded by MLflow alone."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_dataml.adapters.lightning import LightningTrainer, LightningTrials
from airflow_dataml.adapters.mlflow.package import read_interface, write_package
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult, TrainingSpec
from airflow_dataml.core.tuning_trials import TrialJob

pytestmark = pytest.mark.slow
ROWS = 900
_PREDICT = """
import json, sys
import numpy as np
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = json.loads(sys.argv[2])
given = {"numeric": np.array(rows["numeric"], "float32"), "categorical": np.array(rows["categorical"], "int64")}
said = model.predict(given)["score"].astype(float).tolist()
print(json.dumps({"classes": model.metadata.metadata["dataml"]["classes"], "score": said}))
"""


def spec(**changes: Any) -> TrainingSpec:
    base = {
        "model": "grade",
        "task": "multiclass",
        "target": "grade",
        "features": [{"name": "x"}, {"name": "zone", "kind": "categorical"}],
        "max_epochs": 3,
        "batch_size": 64,
        "learning_rate": 0.01,
        "seed": 7,
    }
    return TrainingSpec.from_mapping(base | changes)


def write(path: Path, *, last: str | None = None, only: str | None = None, many: bool = False) -> Path:
    """Write integers as classes, 10 after 9; ``last`` is that of the last ten rows, ``only`` that of all."""
    draw = random.Random(0)  # noqa: S311 - test data
    lines = ["x,zone,grade"]
    for row in range(ROWS):
        x, zone = draw.gauss(0, 1), draw.choice("ab")
        grade = only or (str(row) if many else str(9 + (x + (zone == "a") > 0) + (x > 1)))
        grade = last if last is not None and row >= ROWS - 10 else grade
        lines.append(f"{x:.4f},{zone},{grade}")
    path.write_text("\n".join(lines) + "\n")
    return path


def train(data: Path, folder: Path, on_progress: Any = lambda _: None, **changes: Any) -> TrainingResult:
    job = TrainingJob(spec=spec(**changes), data=data, work_dir=folder)
    return LightningTrainer().train(job, on_progress=on_progress)


def test_probabilities_of_integer_classes_are_exported_and_equal_again(tmp_path: Path) -> None:
    data = write(tmp_path / "rows.csv")
    first, again = train(data, tmp_path / "a"), train(data, tmp_path / "b")
    assert first.weights_digest == again.weights_digest
    assert first.metrics["accuracy"] > 0.8
    assert first.metrics["log_loss"] == pytest.approx(first.metrics["validation_loss"], rel=1e-4)
    folder = Path(first.artifact_dir)
    assert json.loads((folder / "metadata.json").read_text())["classes"] == ["9", "10", "11"]
    scorer = OnnxScorer.load(folder)
    assert scorer.classes == ("9", "10", "11")
    columns: dict[str, list[Any]] = {"x": [-3.0, 3.0], "zone": ["b", "a"]}
    said = scorer.score(columns)
    assert said.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert said.argmax(axis=1).tolist() == [0, 2]

    import torch

    numeric, categorical = scorer.encoding.encode(columns)
    program = torch.export.load(folder / "model.pt2").module()
    assert program(
        torch.from_numpy(numeric), torch.from_numpy(categorical)
    ).detach().numpy() == pytest.approx(said, abs=1e-5)

    package = tmp_path / "package"
    package.mkdir()
    interface = read_interface(folder / "model.onnx", {"numeric": ["x"], "categorical": ["zone"]})
    write_package(package, interface=interface, run_id="r", model_id="m-1")
    shutil.copy(folder / "model.onnx", package)
    given = json.dumps({"numeric": numeric.tolist(), "categorical": categorical.tolist()})
    found = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _PREDICT, str(package), given], capture_output=True, text=True, check=True
    )
    assert json.loads(found.stdout) == {"classes": ["9", "10", "11"], "score": said.tolist()}


def test_a_streamed_file_is_the_file_read_whole(tmp_path: Path) -> None:
    import torch

    from airflow_dataml.adapters.lightning.data import load
    from airflow_dataml.adapters.lightning.stream import load_streamed

    data = write(tmp_path / "rows.csv")
    whole, streamed = load(data, spec()), load_streamed(data, spec(memory_mb=1), folder=tmp_path)
    assert streamed.target == whole.target
    assert streamed.labels.tolist() == whole.labels.tolist()
    assert all(
        torch.equal(one, other) for one, other in zip(streamed.tensors[1:], whole.tensors[1:], strict=True)
    )


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    data = write(tmp_path / "rows.csv")
    undisturbed = train(data, tmp_path / "a")

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(data, tmp_path / "b", stop)
    resumed = train(data, tmp_path / "b")
    assert resumed.weights_digest == undisturbed.weights_digest


def test_a_class_of_validation_rows_alone_is_counted(tmp_path: Path) -> None:
    result = train(write(tmp_path / "rows.csv", last="12"), tmp_path / "a", max_epochs=1)
    assert result.metrics["untrained_classes"] == 1
    assert OnnxScorer.load(Path(result.artifact_dir)).classes == ("9", "10", "11", "12")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"only": "9"}, "is '9' in all 810 training rows, so there is nothing to learn"),
        ({"last": ""}, "is missing or infinite in 10 of 900 rows"),
        ({"many": True}, "has more than 100 classes, such as '0', '1'"),
    ],
    ids=["one class", "missing", "too many"],
)
def test_classes_that_cannot_be_learnt_are_refused(
    tmp_path: Path, rows: dict[str, Any], message: str
) -> None:
    from airflow_dataml.adapters.lightning.data import load

    with pytest.raises(TrainingSpecError, match=message):
        load(write(tmp_path / "rows.csv", **rows), spec())


def taught(source: Path, target: Path, said: dict[str, float]) -> Path:
    """Write what a teacher says of every row beside it: the same of all."""
    header, *rows = source.read_text().splitlines()
    names = ",".join(f"dataml_teacher={name}" for name in said)
    shares = ",".join(map(str, said.values()))
    target.write_text("\n".join([f"{header},{names}", *(f"{row},{shares}" for row in rows)]) + "\n")
    return target


def test_a_teacher_of_classes_alone_teaches_its_probabilities(tmp_path: Path) -> None:
    said = {"9": 0.5, "10": 0.3, "11": 0.2}
    data = taught(write(tmp_path / "rows.csv"), tmp_path / "taught.csv", said)
    result = train(
        data, tmp_path / "a", max_epochs=60, patience=None, distill={"teacher": "grade@1", "weight": 1}
    )
    # Labels decide which epoch is kept, so look at how far the last one came: to the teacher's entropy.
    entropy = -sum(share * math.log(share) for share in said.values())
    assert result.metrics["train_loss"] == pytest.approx(entropy, abs=0.02)
    assert result.metrics["train_loss"] >= entropy - 1e-6


@pytest.mark.parametrize("memory_mb", [None, 1], ids=["whole", "streamed"])
def test_a_teacher_speaks_of_what_it_knows_and_the_label_of_the_rest(
    tmp_path: Path, memory_mb: int | None
) -> None:
    from airflow_dataml.adapters.lightning.data import load
    from airflow_dataml.adapters.lightning.stream import load_streamed
    from airflow_dataml.adapters.lightning.targets import untrained_classes

    data = taught(write(tmp_path / "rows.csv"), tmp_path / "taught.csv", {"12": 0.25, "10": 0.5, "9": 0.25})
    asked = spec(distill={}, memory_mb=memory_mb)
    found = load_streamed(data, asked, folder=tmp_path) if memory_mb else load(data, asked)
    assert (found.target.classes, found.target.taught) == (("9", "10", "11", "12"), ("12", "10", "9"))
    strange = found.labels == 2
    assert 0 < strange.sum() < len(strange)
    assert found.beside["teacher"][~strange].unique(dim=0).tolist() == [[0.25, 0.5, 0.0, 0.25]]
    assert found.beside["teacher"][strange].unique(dim=0).tolist() == [[0.0, 0.0, 1.0, 0.0]]
    assert untrained_classes(found.labels, found.target, found.train_rows) == ()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"a": 0.5, "b": 0.5},
            "teacher 'champion' of model 'grade' tells 'a', 'b' apart, .* '9', '10', '11', it knows none",
        ),
        ({}, r"lack columns \['dataml_teacher='\]"),
        (
            {"9": 0.5, "10": float("nan")},
            "'dataml_teacher=10' of the training data of model 'grade' is no number in 900",
        ),
        ({str(name): 0.01 for name in range(100)}, "have 101 classes together, and at most 100"),
    ],
    ids=["other classes", "no column", "no number", "too many"],
)
def test_a_teacher_that_cannot_teach_is_refused(tmp_path: Path, said: dict[str, float], message: str) -> None:
    from airflow_dataml.adapters.lightning.data import load

    rows = write(tmp_path / "rows.csv", last="x" if len(said) == 100 else None)
    data = taught(rows, tmp_path / "taught.csv", said) if said else rows
    with pytest.raises(TrainingSpecError, match=message):
        load(data, spec(distill={}))


def test_a_trial_measures_classes(tmp_path: Path) -> None:
    data = write(tmp_path / "rows.csv")
    trials = LightningTrials()
    try:
        job = TrialJob(spec=spec(max_epochs=1), data=data, work_dir=tmp_path / "trial", export=True)
        outcome = trials.run(job, on_progress=lambda _: True)
    finally:
        trials.close()
    assert outcome is not None
    assert {"log_loss", "accuracy", "f1_macro", "roc_auc_ovr"} <= set(outcome.metrics)
    assert OnnxScorer.load(Path(str(outcome.model_dir))).classes == ("9", "10", "11")

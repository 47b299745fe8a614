"""Beginning with stored weights, learning from a teacher, and weighing rows, in the training child for real."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.onnx import OnnxScorer, read_weights
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.guidance import START_FILE
from airflow_dataml.core.training import TrainingJob
from airflow_dataml.core.warm_start import write_start
from tests.integration.adapters.test_lightning import job, modules, spec, train, trained, write_rows

if TYPE_CHECKING:
    from airflow_dataml.core.training import Progress, TrainingResult

__all__ = ["job", "modules", "trained"]
pytestmark = pytest.mark.slow
Trained = tuple[TrainingJob, "TrainingResult", list["Progress"]]


def add_column(source: Path, target: Path, name: str, values: Any) -> Path:
    with source.open() as file:
        rows = list(csv.reader(file))
    with target.open("w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*rows[0], name])
        writer.writerows([*row, str(value)] for row, value in zip(rows[1:], values, strict=True))
    return target


def begin_with(folder: Path, model_dir: Path) -> None:
    metadata = json.loads((model_dir / "metadata.json").read_text())
    folder.mkdir(exist_ok=True)
    write_start(
        folder / START_FILE,
        version="flight_delay@1",
        weights=read_weights(model_dir),
        encoding=metadata["encoding"],
    )


def test_a_warm_start_begins_where_the_version_ended(trained: Trained, tmp_path: Path) -> None:
    done, result, _ = trained
    begin_with(tmp_path, Path(result.artifact_dir))
    data = write_rows(tmp_path / "rows.csv")
    still = spec(max_epochs=1, learning_rate=1e-12, warm_start="flight_delay@1")
    warm = train(TrainingJob(spec=still, data=data, work_dir=tmp_path / "work"))
    cold = train(
        TrainingJob(spec=still.model_copy(update={"warm_start": None}), data=data, work_dir=tmp_path / "cold")
    )
    assert warm.metrics["log_loss"] == pytest.approx(result.metrics["log_loss"], abs=1e-6)
    assert cold.metrics["log_loss"] > warm.metrics["log_loss"] + 0.01
    assert done.spec.warm_start is None


def test_weights_that_do_not_fit_are_refused_before_any_epoch(trained: Trained, tmp_path: Path) -> None:
    begin_with(tmp_path, Path(trained[1].artifact_dir))
    other = spec(module_arguments={"hidden": [32]}, warm_start="flight_delay@1")
    seen: list[Progress] = []
    with pytest.raises(TrainingSpecError, match=r"tensor 'layers\.0\.weight' has shape \(64, 7\) there"):
        train(
            TrainingJob(spec=other, data=write_rows(tmp_path / "rows.csv"), work_dir=tmp_path / "work"), seen
        )
    assert seen == []


def test_a_teacher_alone_teaches_its_scores(job: TrainingJob) -> None:
    taught = add_column(job.data, job.data.with_name("taught.csv"), "dataml_teacher", [0.2] * 600)
    pupil = spec(distill={"teacher": "flight_delay@1", "weight": 1}, max_epochs=40, learning_rate=0.01)
    result = train(replace(job, spec=pupil.model_copy(update={"patience": None}), data=taught))
    # Labels decide which epoch is kept, so look at how far the last one came: to the teacher's entropy.
    assert result.metrics["train_loss"] == pytest.approx(0.5004, abs=0.01)


def test_rows_that_weigh_more_pull_the_scores(job: TrainingJob) -> None:
    with job.data.open() as file:
        late = [row["late"] == "t" for row in csv.DictReader(file)]
    data = add_column(
        job.data, job.data.with_name("hard.csv"), "dataml_weight", [20 if one else 1 for one in late]
    )
    hard = spec(hard_examples={"dataset": "hard_flights@1"}, max_epochs=6, learning_rate=0.01)
    heavy = train(replace(job, spec=hard, data=data))
    plain = train(replace(job, work_dir=job.work_dir.with_name("plain")))
    means = [
        fmean(s for _, block in OnnxScorer.load(Path(r.artifact_dir)).score_csv(data) for s in block)
        for r in (heavy, plain)
    ]
    assert means[0] > means[1] + 0.15


@pytest.mark.usefixtures("modules")
def test_a_module_that_takes_no_teacher_is_refused(job: TrainingJob) -> None:
    data = add_column(job.data, job.data.with_name("taught.csv"), "dataml_teacher", [0.2] * 600)
    with pytest.raises(TrainingSpecError, match=r"takes no teacher, which distill gives: leave distill out"):
        train(replace(job, spec=spec(module="Unteachable", distill={}), data=data))


def test_a_regressions_teacher_is_scaled_as_its_target(tmp_path: Path) -> None:
    from airflow_dataml.adapters.lightning.data import load

    rows = write_rows(tmp_path / "rows.csv")
    with rows.open() as file:
        target = [float(row["distance"] or 500) for row in csv.DictReader(file)]
    full = add_column(rows, tmp_path / "full.csv", "km", target)
    taught = add_column(full, tmp_path / "taught.csv", "dataml_teacher", target)
    learnt = spec(task="regression", target="km", features=[{"name": "flag"}], distill={})
    data = load(taught, learnt)
    assert (data.beside["teacher"] == data.tensors[2]).all()

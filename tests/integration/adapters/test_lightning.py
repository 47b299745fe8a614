"""Lightning in its child process, for real: results, refusals, crashes, kills and resumption."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.adapters.lightning.trainer import child_environment
from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult, TrainingSpec

slow = pytest.mark.slow
ROWS = 600
MODULES = Path(__file__).with_name("beside_dag.py")


def write_rows(path: Path, *, seed: int = 0, **overrides: str) -> Path:
    """Write a file as COPY would; ``overrides`` fix a column to one text."""
    draw = random.Random(seed)  # noqa: S311 - test data
    lines = ["late,flag,distance,carrier,spare"]
    for _ in range(ROWS):
        distance, carrier = draw.gauss(500, 100), draw.choice("ABC")
        late = distance + 80 * (carrier == "A") + draw.gauss(0, 150) > 530
        row = {
            "late": "t" if late else "f",
            "flag": draw.choice("tf"),
            "distance": "" if draw.random() < 0.1 else f"{distance:.3f}",
            "carrier": "" if draw.random() < 0.1 else carrier,
            "spare": '"a, b"',
        }
        lines.append(",".join((row | overrides).values()))
    path.write_text("\n".join(lines) + "\n")
    return path


def spec(**changes: Any) -> TrainingSpec:
    """A small model; a short module name is one of MODULES."""
    base: dict[str, Any] = {
        "model": "flight_delay",
        "features": [{"name": "distance"}, {"name": "flag"}, {"name": "carrier", "kind": "categorical"}],
        "target": "late",
        "task": "binary",
        "max_epochs": 4,
        "batch_size": 64,
        "seed": 7,
    }
    if "module" in changes:
        changes["module"] = f"beside_dag:{changes['module']}"
    return TrainingSpec.from_mapping(base | changes)


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A job whose data are written and whose folder is fresh."""
    return TrainingJob(spec=spec(), data=write_rows(tmp_path / "rows.csv"), work_dir=tmp_path / "work")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a DAG, on the import path, with MODULES in it."""
    folder = tmp_path / "dags"
    folder.mkdir()
    shutil.copy(MODULES, folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def train(job: TrainingJob, seen: list[Progress] | None = None) -> TrainingResult:
    """Train with a fresh trainer, as a retry would."""
    return LightningTrainer().train(job, on_progress=(seen if seen is not None else []).append)


def ended(pid: int, *, within: float) -> bool:
    """Whether a process ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within)[0])
    finally:
        os.close(handle)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingJob, TrainingResult, list[Progress]]:
    """One finished training with the default module."""
    folder = tmp_path_factory.mktemp("trained")
    job = TrainingJob(spec=spec(max_epochs=6), data=write_rows(folder / "rows.csv"), work_dir=folder / "work")
    seen: list[Progress] = []
    return job, train(job, seen), seen


@slow
def test_a_training_tells_how_far_it_is_and_how_good(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]],
) -> None:
    _, result, seen = trained
    assert result.rows == ROWS
    assert result.metrics["auc"] > 0.6
    assert result.metrics["onnx_max_abs_diff"] < 1e-5
    assert not result.resumed
    assert [progress.epoch for progress in seen] == list(range(1, result.epochs + 1))
    assert seen[-1].step == result.steps == result.epochs * 9
    assert all(progress.validation_loss and progress.rows_per_second > 0 for progress in seen)


@slow
def test_both_exports_score_as_the_metrics_were_measured(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]],
) -> None:
    import numpy as np
    import torch

    from airflow_dataml.adapters.onnx import OnnxScorer

    job, result, _ = trained
    scorer = OnnxScorer.load(Path(result.artifact_dir))
    columns, scores = next(iter(scorer.score_csv(job.data)))
    labels = np.array(columns["late"].tolist()) == "t"
    tail = slice(-60, None)
    assert float(np.mean((scores[tail] >= 0.5) == labels[tail])) == pytest.approx(result.metrics["accuracy"])
    program = torch.export.load(Path(result.artifact_dir) / "model.pt2")
    inputs = [torch.from_numpy(array) for array in scorer.encoding.encode(columns)]
    with torch.inference_mode():
        np.testing.assert_allclose(program.module()(*inputs).numpy(), scores, atol=1e-5)


@slow
def test_artifacts_hold_no_rows_no_pickle_and_no_paths(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]],
) -> None:
    job, result, _ = trained
    folder = Path(result.artifact_dir)
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.json", "model.onnx", "model.pt2"]
    with zipfile.ZipFile(folder / "model.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert [name for name, body in contents.items() if name.endswith((".pt", ".pkl")) and body] == []
    everything = b"".join((*contents.values(), (folder / "model.onnx").read_bytes()))
    assert b".py" not in everything
    assert str(job.work_dir).encode() not in everything


@slow
def test_metadata_says_what_was_trained(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]],
) -> None:
    job, result, _ = trained
    metadata = json.loads((Path(result.artifact_dir) / "metadata.json").read_text())
    assert TrainingSpec.model_validate(metadata["spec"]) == job.spec
    assert metadata["weights_digest"] == result.weights_digest
    assert metadata["rows"] == {"training": 540, "validation": 60}
    assert [column["name"] for column in metadata["encoding"]["numeric"]] == ["distance", "flag"]


@slow
def test_a_finished_training_is_adopted_until_its_files_are_gone(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]],
) -> None:
    job, result, _ = trained
    assert train(job) == result
    (Path(result.artifact_dir) / "model.pt2").unlink()
    again = train(job)
    assert (again.weights_digest, again.resumed) == (result.weights_digest, False)
    assert again.metrics == result.metrics


@slow
def test_a_regression_scores_in_the_units_of_its_target(job: TrainingJob) -> None:
    from airflow_dataml.adapters.onnx import OnnxScorer

    features = [{"name": "late"}, {"name": "carrier", "kind": "categorical"}]
    write_rows(job.data, distance="")
    rows = job.data.read_text().splitlines()
    far = [row.replace(",,", ",9000," if row.startswith("t") else ",1000,", 1) for row in rows[1:]]
    job.data.write_text("\n".join([rows[0], *far]) + "\n")
    result = train(
        replace(
            job,
            spec=spec(
                features=features, target="distance", task="regression", max_epochs=30, learning_rate=0.01
            ),
        )
    )
    assert result.metrics["r2"] > 0.9
    late, early = OnnxScorer.load(Path(result.artifact_dir)).score(
        {"late": [1.0, 0.0], "carrier": ["A", "A"]}
    )
    assert (late, early) == (pytest.approx(9000, rel=0.1), pytest.approx(1000, rel=0.5))


@slow
@pytest.mark.usefixtures("modules")
def test_a_run_killed_twice_ends_with_the_weights_of_an_undisturbed_one(job: TrainingJob) -> None:
    markers = job.work_dir.parent / "markers"
    markers.mkdir()
    fragile = replace(
        job,
        spec=spec(
            module="Fragile",
            module_arguments={"markers": str(markers), "dropout": 0.3},
            max_epochs=40,
            patience=2,
            learning_rate=0.02,
        ),
    )
    for moment in ("batch", "end"):
        with pytest.raises(
            TrainingCrashedError, match=r"was killed by SIGKILL .* resumes from its last epoch"
        ):
            train(fragile)
        assert (markers / moment).exists()
    resumed = train(fragile)
    undisturbed = train(replace(fragile, work_dir=job.work_dir.parent / "elsewhere"))
    assert (resumed.resumed, undisturbed.resumed) == (True, False)
    assert undisturbed.epochs < 40  # the patience ended it
    assert resumed.weights_digest == undisturbed.weights_digest
    assert (resumed.epochs, resumed.steps) == (undisturbed.epochs, undisturbed.steps)
    assert (
        resumed.metrics.items()
        >= {key: value for key, value in undisturbed.metrics.items() if key != "train_loss"}.items()
    )


@slow
@pytest.mark.usefixtures("modules")
def test_kill_ends_the_process_at_once(job: TrainingJob, caplog: pytest.LogCaptureFixture) -> None:
    trainer = LightningTrainer()
    endless = replace(job, spec=spec(module="Endless"))
    with (
        caplog.at_level("INFO"),
        pytest.raises(TrainingCrashedError, match="was killed on request; another try resumes"),
    ):
        trainer.train(endless, on_progress=lambda _: trainer.kill())
    pid = next(int(line.split()[-1]) for line in caplog.messages if "pid" in line)
    assert ended(pid, within=0)
    trainer.kill()  # nothing is running, nothing happens


@slow
@pytest.mark.usefixtures("modules")
def test_a_callback_that_raises_ends_the_training(job: TrainingJob, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(progress: Progress) -> None:
        raise ArithmeticError(progress.epoch)

    with caplog.at_level("INFO"), pytest.raises(ArithmeticError):
        LightningTrainer().train(replace(job, spec=spec(module="Endless")), on_progress=refuse)
    pid = next(int(line.split()[-1]) for line in caplog.messages if "pid" in line)
    assert ended(pid, within=0)


TASK = """
import logging, sys
from pathlib import Path
from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.core.training import TrainingJob, TrainingSpec
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
data, work_dir, spec = sys.argv[1:]
job = TrainingJob(spec=TrainingSpec.model_validate_json(spec), data=Path(data), work_dir=Path(work_dir))
LightningTrainer().train(job, on_progress=lambda progress: print("progress", flush=True))
"""


@slow
@pytest.mark.usefixtures("modules")
def test_the_training_dies_with_its_task(job: TrainingJob) -> None:
    endless = spec(module="Endless").model_dump_json()
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", TASK, str(job.data), str(job.work_dir), endless],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as task:
        lines = iter(task.stdout or ())
        pid = next(int(line.split()[-1]) for line in lines if "pid" in line)
        assert any(line == "progress\n" for line in lines)
        os.kill(task.pid, signal.SIGKILL)
    assert ended(pid, within=10)


@slow
@pytest.mark.usefixtures("modules")
def test_a_crash_quotes_the_last_lines_and_no_secret(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRFLOW_CONN_WAREHOUSE", "DATAML_TOKEN", "PGPASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(
        TrainingCrashedError, match=r"exited with code 1; .*(?s:.)*RuntimeError: boom"
    ) as caught:
        train(replace(job, spec=spec(module="Crashing")))
    assert "variables:" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@slow
@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "Silent"}, r"module 'beside_dag:Silent' logs no 'validation_loss'"),
        ({"module": "Wide"}, r"gives shape \(2, 1\) for 2 rows"),
        ({"module": "Unexportable"}, r"cannot be exported"),
        (
            {"learning_rate": 10.0, "module_arguments": {"weight_decay": 1e30}},
            r"became (nan|inf|-inf) in epoch",
        ),
    ],
    ids=["no validation loss", "wrong shape", "not exportable", "diverged"],
)
def test_a_module_that_cannot_end_well_is_refused(
    job: TrainingJob, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        train(replace(job, spec=spec(**changes)))


@slow
@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "NotAModule"}, r"which is no LightningModule class"),
        ({"module_arguments": {"hiden": [8]}}, r"does not accept module_arguments .*'hiden'"),
        ({"module_arguments": {"task": "binary"}}, r"does not accept module_arguments .*'task'"),
    ],
    ids=["not a module", "unknown argument", "argument of ours"],
)
def test_a_class_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    from airflow_dataml.adapters.lightning.modules import load_class

    with pytest.raises(TrainingSpecError, match=message):
        load_class(spec(**changes))


@slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"late": "t"}, r"target 'late' is 1 in all 540 training rows"),
        ({"late": ""}, r"target 'late' is missing or infinite in 600 of 600 rows"),
        ({"late": "maybe"}, r"column 'late' holds 'maybe', which is no number"),
        ({"distance": "far"}, r"column 'distance' holds 'far', which is no number"),
    ],
    ids=["constant", "missing", "a word", "a word in a feature"],
)
def test_data_that_cannot_be_learnt_from_are_refused(
    tmp_path: Path, overrides: dict[str, str], message: str
) -> None:
    from airflow_dataml.adapters.lightning.data import load

    with pytest.raises(TrainingSpecError, match=message):
        load(write_rows(tmp_path / "rows.csv", **overrides), spec())


@slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("late,flag,distance,carrier\n", r"has 0 rows, at least 10 are needed"),
        ("late,flag,carrier\nt,t,A\n", r"lack columns \['distance'\]; the file has"),
        ("", r"lack columns \['carrier', 'distance', 'flag', 'late'\]"),
        ("late,flag,distance,carrier\nt,t\n", r"is no CSV with one header"),
        (
            "late,flag,distance,carrier\n" + "0,t,1,A\n2,t,1,A\n" * 10,
            r"target 'late' holds 2, but task 'binary'",
        ),
    ],
    ids=["no rows", "no column", "no header", "ragged", "three classes"],
)
def test_a_file_that_is_not_what_the_spec_says_is_refused(tmp_path: Path, text: str, message: str) -> None:
    from airflow_dataml.adapters.lightning.data import load

    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(TrainingSpecError, match=message):
        load(path, spec())


@slow
def test_other_data_in_the_same_folder_are_not_adopted_and_the_child_may_refuse_them(
    trained: tuple[TrainingJob, TrainingResult, list[Progress]], tmp_path: Path
) -> None:
    finished, _, _ = trained
    work_dir = shutil.copytree(finished.work_dir, tmp_path / "work")
    data = write_rows(tmp_path / "rows.csv", late="f")
    with pytest.raises(TrainingSpecError, match=r"target 'late' is 0 in all 540 training rows"):
        train(replace(finished, data=data, work_dir=work_dir))


@slow
def test_a_quoted_empty_text_is_a_value_and_an_unquoted_one_is_missing(tmp_path: Path) -> None:
    from airflow_dataml.adapters.lightning.data import load

    rows = "".join(f"{row % 2},t,{row},{'' if row < 10 else chr(34) * 2}\n" for row in range(40))
    path = tmp_path / "rows.csv"
    path.write_text("late,flag,distance,carrier\n" + rows)
    data = load(path, spec())
    assert data.encoding.categorical[0].vocabulary == ("",)
    assert data.tensors[1][:, 0].tolist() == [0] * 10 + [1] * 30


@slow
def test_a_training_ends_with_the_epoch_in_which_its_seconds_are_used_up(job: TrainingJob) -> None:
    result = train(replace(job, spec=spec(max_seconds=1e-6)))
    assert (result.epochs, result.steps, result.metrics["best_epoch"]) == (1, 9, 1)


@slow
def test_batches_depend_on_seed_and_epoch_alone() -> None:
    import torch

    from airflow_dataml.adapters.lightning.data import SlicingLoader

    rows = torch.arange(9.0)
    epochs = iter([0, 1, 0])
    loader = SlicingLoader((rows, rows, rows), batch_size=4, seed=3, epoch=lambda: next(epochs))
    first, second, third = ([batch[2].tolist() for batch in loader] for _ in range(3))
    assert first == third != second
    # One row would be left alone in the last batch, which normalisation layers refuse.
    assert [len(batch) for batch in first] == [4, 4]
    assert len(loader) == 2


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "nowhere.at_all:Module",
            r"is not importable: no 'nowhere\.at_all' on the import path; put its file",
        ),
        ("beside_dag:Fragil", r"'beside_dag' defines no 'Fragil'\. Did you mean 'Fragile'\?"),
        ("beside_dag.deeper:Module", r"no 'beside_dag\.deeper' on the import path"),
        ("broken:Module", r"does not parse: .*broken|does not parse: invalid syntax"),
    ],
    ids=["no module", "no class", "not a package", "syntax"],
)
def test_check_names_what_is_not_there(modules: Path, module: str, message: str) -> None:
    (modules / "broken.py").write_text("class :")
    with pytest.raises(TrainingSpecError, match=message):
        LightningTrainer().check(spec().model_copy(update={"module": module}))


def test_check_runs_nothing_of_the_module(modules: Path) -> None:
    package = modules / "explosive"
    package.mkdir()
    for name in ("__init__.py", "inner.py"):
        (package / name).write_text("raise SystemExit\nclass Module: ...\n")
    LightningTrainer().check(spec().model_copy(update={"module": "explosive.inner:Module"}))


def test_a_child_knows_an_allow_list_of_variables() -> None:
    task = {
        "PATH": "/bin",
        "LANG": "C",
        "AIRFLOW__CORE__FERNET_KEY": "s",
        "AIRFLOW_CONN_X": "s",
        "DATAML_KEY": "s",
        "PGPASSWORD": "s",
        "MLFLOW_TRACKING_PASSWORD": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    environment = child_environment(task, threads=2)
    assert "s" not in environment.values()
    assert (environment["PATH"], environment["OMP_NUM_THREADS"]) == ("/bin", "2")
    assert set(filter(None, sys.path)) <= set(environment["PYTHONPATH"].split(os.pathsep))

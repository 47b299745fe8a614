"""Training specs say what is wrong with them; jobs and results survive JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import (
    DEFAULT_MODULE,
    Feature,
    Progress,
    TrainingJob,
    TrainingResult,
    TrainingSpec,
)

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "model": "flight_delay",
    "features": [{"name": "distance"}, {"name": "carrier", "kind": "categorical"}],
    "target": "late",
    "task": "binary",
}


def test_a_spec_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(GOOD))
    spec = TrainingSpec.from_yaml(path)
    assert spec.features == (Feature(name="distance"), Feature(name="carrier", kind="categorical"))
    assert spec.module == DEFAULT_MODULE
    assert spec.required_columns == ("distance", "carrier", "late")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "Flight Delay"}, r"key 'model': model name 'Flight Delay' is not usable"),
        ({"module": "no_class"}, r"key 'module': write the import path .* package\.module:Class \(received"),
        ({"features": []}, r"key 'features': Tuple should have at least 1 item"),
        (
            {"features": [{"name": "x", "kind": "text"}]},
            r"key 'features\.0\.kind': Input should be 'numeric' or",
        ),
        ({"features": [{"name": "x"}, {"name": "x"}]}, r"features \['x'\] are listed more than once"),
        ({"target": "distance"}, r"target 'distance' is also a feature"),
        (
            {"task": "ranking"},
            r"key 'task': Input should be 'binary', 'regression' or 'multiclass' \(received 'ranking'\)",
        ),
        ({"learning_rat": 1}, r"key 'learning_rat' is not known, did you mean 'learning_rate'\?"),
        ({"zzz": 1}, r"key 'zzz' is not known$"),
        (
            {"validation_fraction": 0.9},
            r"key 'validation_fraction': Input should be less than or equal to 0\.5",
        ),
        ({"batch_size": 0}, r"key 'batch_size': Input should be greater than or equal to 1"),
        ({"learning_rate": float("nan")}, r"key 'learning_rate'"),
        ({"max_seconds": float("inf")}, r"key 'max_seconds'"),
        ({"seed": -1}, r"key 'seed'"),
        ({"patience": 0}, r"key 'patience'"),
        ({"warm_start": "late@"}, r"key 'warm_start'"),
        ({"distill": {"weight": 0}}, r"key 'distill\.weight'"),
        ({"features": [{"name": "dataml_teacher"}]}, r"\['dataml_teacher'\] are names that training itself"),
        ({"memory_mb": 0}, r"key 'memory_mb'"),
        (
            {"datamodule": "a.b"},
            r"key 'datamodule': write the import path of a class as package\.module:Class",
        ),
        ({"datamodule_arguments": {"a": 1}}, r"datamodule_arguments are for a datamodule, and there is none"),
        ({"datamodule": "a:B", "distill": {}}, r"a datamodule makes batches without what distill"),
        ({"module_arguments": {"hidden": object()}}, r"key 'module_arguments"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        TrainingSpec.from_mapping(GOOD | change, source="spec.yaml")


def test_a_missing_key_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != "target"}))
    with pytest.raises(TrainingSpecError, match=r"spec\.yaml': key 'target': Field required"):
        TrainingSpec.from_yaml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("model: [", "is not YAML"), ("- a", "holds list, not keys"), ("", "holds NoneType, not keys")],
    ids=["broken", "list", "empty"],
)
def test_a_file_that_is_no_spec_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(TrainingSpecError, match=message):
        TrainingSpec.from_yaml(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingSpecError, match=r"absent\.yaml' cannot be read \(No such file"):
        TrainingSpec.from_yaml(tmp_path / "absent.yaml")


def test_a_spec_cannot_be_changed() -> None:
    spec = TrainingSpec.from_mapping(GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1  # type: ignore[misc]


def test_a_spec_survives_json() -> None:
    spec = TrainingSpec.from_mapping(GOOD | {"module_arguments": {"hidden": [8, 4], "dropout": 0.1}})
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_fingerprint_follows_spec_and_data_but_not_the_place(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "a.csv", tmp_path / "b.csv"
    data.write_text("distance,carrier,late\n1,AA,t\n")
    elsewhere.write_text(data.read_text())
    spec = TrainingSpec.from_mapping(GOOD)
    first = TrainingJob(spec=spec, data=data, work_dir=tmp_path).fingerprint()
    assert TrainingJob(spec=spec, data=elsewhere, work_dir=tmp_path / "w").fingerprint() == first
    reseeded = TrainingSpec.from_mapping(GOOD | {"seed": 1})
    assert TrainingJob(spec=reseeded, data=data, work_dir=tmp_path).fingerprint() != first
    data.write_text("distance,carrier,late\n2,AA,t\n")
    assert TrainingJob(spec=spec, data=data, work_dir=tmp_path).fingerprint() != first


def test_a_job_without_its_data_says_so(tmp_path: Path) -> None:
    job = TrainingJob(spec=TrainingSpec.from_mapping(GOOD), data=tmp_path / "absent.csv", work_dir=tmp_path)
    with pytest.raises(TrainingSpecError, match=r"absent\.csv' cannot be read"):
        job.fingerprint()


def test_result_and_progress_survive_json() -> None:
    result = TrainingResult(
        artifact_dir="m",
        epochs=2,
        steps=4,
        rows=9,
        metrics={"auc": 0.9},
        seconds=1.5,
        resumed=True,
        weights_digest="d",
    )
    assert TrainingResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    progress = Progress(
        epoch=1, max_epochs=2, step=4, loss=None, validation_loss=0.5, rows_per_second=10.0, eta_seconds=3.0
    )
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


def test_options_that_came_later_are_written_only_where_they_are_used() -> None:
    base = {"model": "m", "features": [{"name": "x"}], "target": "y", "task": "binary"}
    written = TrainingSpec.from_mapping(base).model_dump(mode="json")
    assert not {"memory_mb", "datamodule", "datamodule_arguments"} & set(written)
    used = {"memory_mb": 64, "datamodule": "a.b:C", "datamodule_arguments": {"d": 1}}
    assert TrainingSpec.from_mapping(base | used).model_dump(mode="json") == written | used

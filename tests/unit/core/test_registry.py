"""Values of the model registry port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.errors import NotFoundError, RegistryError, SpecError
from airflow_dataml.core.registry import (
    MetricPoint,
    ModelFiles,
    TrackedRun,
    check_digest,
    check_key,
    check_status,
)
from airflow_dataml.testing import InMemoryRegistry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "metadata.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "fact",
    [TrackedRun("r1", "7", resumed=True), MetricPoint("loss", 0.5, 3, 1_700_000_000_000)],
    ids=["run", "metric"],
)
def test_facts_survive_json(fact: TrackedRun | MetricPoint) -> None:
    assert type(fact).from_dict(fact.to_dict()) == fact


def test_digest_names_the_graph_and_its_weights(model_dir: Path) -> None:
    first = ModelFiles.read(model_dir)
    (model_dir / "metadata.json").write_text('{"note": "later"}')
    assert ModelFiles.read(model_dir).digest == first.digest
    (model_dir / "model.onnx.data").write_bytes(b"weights")
    assert ModelFiles.read(model_dir).digest != first.digest


def test_files_are_listed_by_name(model_dir: Path) -> None:
    assert [path.name for path in ModelFiles.read(model_dir).paths] == ["metadata.json", "model.onnx"]


def test_a_directory_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"has no model\.onnx: export"):
        ModelFiles.read(tmp_path)


@pytest.mark.parametrize("name", ["model.pkl", "last.CKPT", "weights.pt"])
def test_files_that_run_code_when_loaded_are_refused(model_dir: Path, name: str) -> None:
    (model_dir / name).write_bytes(b"")
    with pytest.raises(SpecError, match="runs code"):
        ModelFiles.read(model_dir)


@pytest.mark.parametrize("key", ["", "it's", 'a"b', "a`b", "a\\b", "a\nb", "x" * 1001], ids=repr)
def test_unsearchable_keys_are_refused(key: str) -> None:
    with pytest.raises(SpecError, match="not usable"):
        check_key(key)


@pytest.mark.parametrize("digest", ["", "x" * 37], ids=["empty", "long"])
def test_digests_fit_the_registry(digest: str) -> None:
    with pytest.raises(SpecError, match="takes 1 to 36"):
        check_digest(digest)


def test_a_run_ends_in_a_known_way() -> None:
    with pytest.raises(SpecError, match="write one of FINISHED"):
        check_status("SUCCESS")


def test_a_registry_that_is_down_fails_every_call() -> None:
    registry = InMemoryRegistry()
    registry.down = True
    with pytest.raises(RegistryError, match="down"):
        registry.aliases("ride_demand")


def test_an_unknown_run_names_those_that_exist() -> None:
    registry = InMemoryRegistry()
    run = registry.ensure_run(experiment="e", key="k", name="n", params={}, tags={})
    with pytest.raises(NotFoundError, match=run.run_id):
        registry.finish_run(run_id="nope", status="FAILED")

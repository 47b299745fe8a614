"""What every model registry does, whatever is behind it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.registry import MetricPoint, ModelFiles, ModelRegistry
from airflow_dataml.testing import InMemoryRegistry
from dev.embedded import ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SERVER = """
import os, sys
uri, artifacts = sys.argv[1:]
os.environ |= {
    "MLFLOW_DISABLE_TELEMETRY": "true", "_MLFLOW_SERVER_FILE_STORE": uri, "_MLFLOW_SERVER_REGISTRY_STORE": uri,
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/", "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
}
from mlflow.server import app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


class Store(Protocol):
    """A registry, and what was written to it."""

    registry: ModelRegistry

    def run(self, run_id: str) -> dict[str, Any]: ...
    def history(self, run_id: str, key: str) -> list[tuple[int, float]]: ...
    def datasets(self, run_id: str) -> list[tuple[str, str, int, str]]: ...
    def versions(self, model: str) -> dict[int, dict[str, str]]: ...


class MemoryStore:
    def __init__(self) -> None:
        self.registry = InMemoryRegistry()

    def run(self, run_id: str) -> dict[str, Any]:
        run = self.registry.runs[run_id]
        return {"name": run.name, "status": run.status, "params": run.params, "tags": run.tags}

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        return [(p.step, p.value) for p in self.registry.runs[run_id].metrics if p.key == key]

    def datasets(self, run_id: str) -> list[tuple[str, str, int, str]]:
        found = self.registry.runs[run_id].datasets
        return [(d["name"], d["digest"], d["version"], d["context"]) for d in found]

    def versions(self, model: str) -> dict[int, dict[str, str]]:
        return {v.version: v.tags for v in self.registry.versions.get(model, [])}


class MlflowStore:
    def __init__(self, uri: str, artifacts: Path | None) -> None:
        from mlflow import MlflowClient

        location = str(artifacts) if artifacts else None
        self.registry = MlflowRegistry(tracking_uri=uri, artifact_location=location)
        self.client = MlflowClient(uri, uri)

    def run(self, run_id: str) -> dict[str, Any]:
        run = self.client.get_run(run_id)
        tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
        return {
            "name": run.info.run_name,
            "status": run.info.status,
            "params": run.data.params,
            "tags": tags,
        }

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in self.client.get_metric_history(run_id, key)]

    def datasets(self, run_id: str) -> list[tuple[str, str, int, str]]:
        found = []
        for entry in self.client.get_run(run_id).inputs.dataset_inputs:
            tags = {tag.key: tag.value for tag in entry.tags}
            version, context = int(tags["dataml.version"]), tags["mlflow.data.context"]
            found.append((entry.dataset.name, entry.dataset.digest, version, context))
        return found

    def versions(self, model: str) -> dict[int, dict[str, str]]:
        return {int(v.version): dict(v.tags) for v in self.client.search_model_versions(f"name = '{model}'")}


@pytest.fixture(scope="module")
def database_uri(postgres_server: str) -> str:
    info = conninfo_to_dict(ensure_database(postgres_server, "model_registry"))
    uri = mlflow_uri(host=str(info["host"]), port=None, login=str(info["user"]), database=str(info["dbname"]))
    MlflowRegistry(tracking_uri=uri, artifact_location="/nowhere").ensure_schema()
    return uri


@pytest.fixture(scope="module")
def server_uri(database_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    command = [sys.executable, "-c", _SERVER, database_uri, str(folder / "artifacts")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603  our own interpreter and code
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
        ) as server,
    ):
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


_REAL = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mlflow-postgres", marks=_REAL),
        pytest.param("mlflow-server", marks=_REAL),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "mlflow-postgres":
        return MlflowStore(request.getfixturevalue("database_uri"), tmp_path / "artifacts")
    return MlflowStore(request.getfixturevalue("server_uri"), None)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"n{uuid.uuid4().hex[:12]}"


@pytest.fixture
def run_id(store: Store, name: str) -> str:
    return start(store, name).run_id


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return export(tmp_path / "model")


def export(folder: Path, *, weight: float = 1.0) -> Path:
    """An ONNX model like ours: numeric [n, 2] and categorical [n, 1] in, score [n] out."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceSum", ["numeric", "axis"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "weight"], ["weighted"]),
        helper.make_node("Cast", ["categorical"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["codes", "axis"], ["offset"], keepdims=0),
        helper.make_node("Add", ["weighted", "offset"], ["score"]),
    ]
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("categorical", TensorProto.INT64, ["n", 1]),
    ]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])]
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("weight", TensorProto.FLOAT, [1], [weight]),
    ]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, constants)
    folder.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "metadata.json").write_text("{}")
    return folder


def start(store: Store, experiment: str, *, key: str = "dag/run+00:00/fit/-1/m#1", **params: Any) -> Any:
    return store.registry.ensure_run(
        experiment=experiment, key=key, name="fit", params=params, tags={"dataml.try": "1"}
    )


def log_model(store: Store, run_id: str, model_dir: Path) -> str:
    return store.registry.log_model(
        run_id=run_id, model_dir=model_dir, numeric=["distance", "hour"], categorical=["zone"]
    )


def register(store: Store, model: str, run_id: str, source: str, *, key: str = "dag/run/fit/-1/m#1") -> int:
    return store.registry.register(model=model, run_id=run_id, source=source, key=key, tags={"by": "test"})


def test_it_answers(store: Store) -> None:
    store.registry.check()


def test_a_run_begins_with_its_parameters_and_tags(store: Store, name: str) -> None:
    run = start(store, name, lr=0.1, epochs=3)
    assert not run.resumed
    assert store.run(run.run_id) == {
        "name": "fit",
        "status": "RUNNING",
        "params": {"lr": "0.1", "epochs": "3"},
        "tags": {"dataml.key": "dag/run+00:00/fit/-1/m#1", "dataml.try": "1"},
    }


def test_a_retry_resumes_its_run(store: Store, name: str) -> None:
    first = start(store, name, lr=0.1)
    store.registry.finish_run(run_id=first.run_id, status="FAILED")
    again = start(store, name, lr=0.2, epochs=3)
    assert (again.run_id, again.experiment_id, again.resumed) == (first.run_id, first.experiment_id, True)
    found = store.run(first.run_id)
    assert (found["status"], found["params"]) == ("RUNNING", {"lr": "0.1", "epochs": "3"})


def test_another_key_or_experiment_is_another_run(store: Store, name: str) -> None:
    runs = [start(store, name), start(store, name, key="other"), start(store, f"{name}b")]
    assert len({run.run_id for run in runs}) == 3
    assert runs[0].experiment_id == runs[1].experiment_id != runs[2].experiment_id


def test_many_parameters_are_all_logged(store: Store, name: str) -> None:
    run = start(store, name, **{f"p{i}": i for i in range(150)})
    assert len(store.run(run.run_id)["params"]) == 150


def test_a_key_with_quotes_is_refused(store: Store, name: str) -> None:
    with pytest.raises(SpecError, match="without quotes"):
        start(store, name, key="it's")


def test_metrics_are_kept_in_order_and_once(store: Store, run_id: str) -> None:
    points = [MetricPoint("loss", 1 / (step + 1), step, 1000 + step) for step in range(1200)]
    store.registry.log_metrics(run_id=run_id, points=points)
    store.registry.log_metrics(run_id=run_id, points=[*points[-2:], MetricPoint("loss", 0.0, 1200, 5000)])
    assert store.history(run_id, "loss") == [*((p.step, p.value) for p in points), (1200, 0.0)]


def test_no_metrics_are_no_error(store: Store, run_id: str) -> None:
    store.registry.log_metrics(run_id=run_id, points=[])
    assert store.history(run_id, "loss") == []


def test_a_dataset_is_recorded_once(store: Store, run_id: str) -> None:
    for context in ("training", "training", "evaluation"):
        store.registry.log_dataset(
            run_id=run_id,
            name="rides",
            version=17,
            digest="pg1-00",
            uri="dataml://dataset/rides",
            context=context,
        )
    assert store.datasets(run_id) == [("rides", "pg1-00", 17, "training")]


def test_equal_content_of_another_version_keeps_its_version(store: Store, name: str) -> None:
    runs = [start(store, name, key=key).run_id for key in ("a", "b")]
    for version, run in enumerate(runs, start=17):
        store.registry.log_dataset(
            run_id=run,
            name="rides",
            version=version,
            digest="pg1-01",
            uri="dataml://dataset/rides",
            context="t",
        )
    assert [store.datasets(run)[0][2] for run in runs] == [17, 18]


def test_a_long_digest_is_refused(store: Store, run_id: str) -> None:
    with pytest.raises(SpecError, match="37 characters"):
        store.registry.log_dataset(
            run_id=run_id, name="rides", version=1, digest="x" * 37, uri="dataml://dataset/rides", context="t"
        )


def test_equal_bytes_are_one_model(store: Store, run_id: str, model_dir: Path, tmp_path: Path) -> None:
    source = log_model(store, run_id, model_dir)
    assert log_model(store, run_id, model_dir) == source
    assert log_model(store, run_id, export(tmp_path / "other", weight=2.0)) != source


def test_a_stored_model_comes_back_as_it_went(
    store: Store, run_id: str, model_dir: Path, tmp_path: Path
) -> None:
    source = log_model(store, run_id, model_dir)
    for _ in range(2):
        store.registry.fetch_model(source=source, target=tmp_path / "back")
    assert ModelFiles.read(tmp_path / "back").digest == ModelFiles.read(model_dir).digest


def test_an_unknown_model_is_not_fetched(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        store.registry.fetch_model(
            source="models:/m-00000000000000000000000000000000", target=tmp_path / "back"
        )
    assert not (tmp_path / "back").exists()


def test_a_version_is_registered_once_per_key(store: Store, name: str, run_id: str, model_dir: Path) -> None:
    source = log_model(store, run_id, model_dir)
    assert register(store, name, run_id, source) == 1
    assert register(store, name, run_id, source) == 1
    assert store.versions(name) == {
        1: {"dataml.key": "dag/run/fit/-1/m#1", "dataml.source": source, "by": "test"}
    }


def test_other_keys_and_other_bytes_are_other_versions(
    store: Store, name: str, run_id: str, model_dir: Path, tmp_path: Path
) -> None:
    source = log_model(store, run_id, model_dir)
    other = log_model(store, run_id, export(tmp_path / "other", weight=2.0))
    assert register(store, name, run_id, source) == 1
    assert register(store, name, run_id, source, key="next") == 2
    assert register(store, name, run_id, other) == 3


def test_a_source_from_elsewhere_is_refused(store: Store, name: str, run_id: str) -> None:
    with pytest.raises(SpecError, match="not a logged model"):
        register(store, name, run_id, "s3://bucket/model")


def test_aliases_move_and_go(store: Store, name: str, run_id: str, model_dir: Path) -> None:
    source = log_model(store, run_id, model_dir)
    for key in ("a", "b"):
        register(store, name, run_id, source, key=key)
    store.registry.set_alias(model=name, alias="champion", version=1)
    store.registry.set_alias(model=name, alias="previous", version=1)
    store.registry.set_alias(model=name, alias="champion", version=2)
    assert store.registry.aliases(name) == {"champion": 2, "previous": 1}
    for _ in range(2):
        store.registry.set_alias(model=name, alias="previous", version=None)
    assert store.registry.aliases(name) == {"champion": 2}


def test_an_unregistered_model_has_no_aliases(store: Store, name: str) -> None:
    store.registry.set_alias(model=name, alias="champion", version=None)
    assert store.registry.aliases(name) == {}


def test_an_alias_needs_a_version(store: Store, name: str, run_id: str, model_dir: Path) -> None:
    register(store, name, run_id, log_model(store, run_id, model_dir))
    with pytest.raises(NotFoundError, match="99"):
        store.registry.set_alias(model=name, alias="champion", version=99)


@pytest.mark.parametrize("alias", ["Latest", "v3", "a/b", ""], ids=repr)
def test_an_alias_that_reads_as_a_version_is_refused(store: Store, alias: str) -> None:
    with pytest.raises(SpecError, match="not usable"):
        store.registry.set_alias(model="any", alias=alias, version=None)


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends(store: Store, run_id: str, status: Any) -> None:
    for _ in range(2):
        store.registry.finish_run(run_id=run_id, status=status)
    assert store.run(run_id)["status"] == status


def test_an_unknown_run_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="f" * 32):
        store.registry.finish_run(run_id="f" * 32, status="FINISHED")


def test_what_stands_in_it_is_read(store: Store, name: str, run_id: str, model_dir: Path) -> None:
    assert store.registry.registered(name) is None
    source = log_model(store, run_id, model_dir)
    for key in ("a", "b"):
        register(store, name, run_id, source, key=key)
    store.registry.set_alias(model=name, alias="champion", version=2)
    store.registry.set_tag(model=name, version=1, key="approval", value="yes")
    store.registry.set_tag(model=name, version=None, key="team", value="blue")
    found = store.registry.registered(name)
    assert found is not None
    assert (found.name, found.aliases, found.tags) == (name, {"champion": 2}, {"team": "blue"})
    assert [(v.version, v.run_id, v.source) for v in found.versions] == [
        (1, run_id, source),
        (2, run_id, source),
    ]
    assert found.versions[0].tags["approval"] == "yes"
    for _ in range(2):
        store.registry.set_tag(model=name, version=1, key="approval", value=None)
        store.registry.set_tag(model=name, version=None, key="team", value=None)
    again = store.registry.registered(name)
    assert again is not None
    assert (again.tags, "approval" in again.versions[0].tags) == ({}, False)


def test_what_a_run_logged_is_read(store: Store, name: str) -> None:
    run = start(store, name, lr=0.1)
    store.registry.log_metrics(run_id=run.run_id, points=[MetricPoint("loss", 0.25, 0, 1000)])
    store.registry.finish_run(run_id=run.run_id, status="FINISHED")
    found = store.registry.run_record(run.run_id)
    assert found is not None
    assert (found.name, found.status, found.params, found.metrics) == (
        "fit",
        "FINISHED",
        {"lr": "0.1"},
        {"loss": 0.25},
    )
    assert store.registry.run_record("f" * 32) is None


def test_the_files_of_a_version_are_fetched(
    store: Store, name: str, run_id: str, model_dir: Path, tmp_path: Path
) -> None:
    version = register(store, name, run_id, log_model(store, run_id, model_dir))
    store.registry.fetch_version(model=name, version=version, target=tmp_path / "back")
    assert ModelFiles.read(tmp_path / "back").digest == ModelFiles.read(model_dir).digest
    with pytest.raises(NotFoundError):
        store.registry.fetch_version(model=name, version=9, target=tmp_path / "none")

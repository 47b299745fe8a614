"""MLflow on a real PostgreSQL: whose schema it touches, who migrates, what users can load."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri
from airflow_dataml.adapters.mlflow.schema import installed_revisions
from airflow_dataml.adapters.mlflow.uri import TrackingUri
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.errors import ConnectionSpecError, RegistryError, SpecError
from airflow_dataml.core.features import CategoricalEncoding, FeatureEncoding, NumericEncoding
from airflow_dataml.core.registry import ModelFiles
from dev.embedded import ensure_database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

_AIRFLOW = "CREATE TABLE dag (); CREATE TABLE dag_run (); CREATE TABLE task_instance ();"
_REVISION = "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('{}');"
_LOAD = """
import json, sys
import numpy as np
import mlflow.pyfunc
model = mlflow.pyfunc.load_model("models:/ride_demand@champion")
scores = model.predict({"numeric": np.ones((2, 2), "float32"), "categorical": np.ones((2, 1), "int64")})
heavy = [name for name in ("torch", "pytorch_lightning", "onnx") if name in sys.modules]
print(json.dumps({"score": scores["score"].tolist(), "columns": model.metadata.metadata["dataml"], "heavy": heavy}))
"""
_PREDICT = """
import json, sys
import numpy as np
import mlflow.pyfunc
model = mlflow.pyfunc.load_model("models:/ride_same@champion")
rows = json.loads(sys.argv[1])
given = {"numeric": np.array(rows["numeric"], "float32"), "categorical": np.array(rows["categorical"], "int64")}
print(json.dumps(model.predict(given)["score"].tolist()))
"""
_LOG = """
import json, sys
from pathlib import Path
from airflow_dataml.adapters.mlflow import MlflowRegistry
before = "mlflow" in sys.modules
registry = MlflowRegistry(tracking_uri=sys.argv[1], artifact_location=sys.argv[2])
run = registry.ensure_run(experiment="imports", key="k", name="fit", params={}, tags={})
registry.log_model(run_id=run.run_id, model_dir=Path(sys.argv[3]), numeric=["a", "b"], categorical=["c"])
heavy = ("torch", "pytorch_lightning", "onnxruntime", "mlflow.pyfunc", "mlflow.onnx")
print(json.dumps({"before": before, "heavy": [name for name in heavy if name in sys.modules]}))
"""


def uri_of(dsn: str, schema: str = "mlflow") -> str:
    info = conninfo_to_dict(dsn)
    return mlflow_uri(
        host=str(info["host"]), login=str(info["user"]), database=str(info["dbname"]), schema=schema
    )


def registry_at(uri: str) -> MlflowRegistry:
    return MlflowRegistry(tracking_uri=uri, artifact_location="/nowhere")


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        }


@pytest.fixture
def foreign(postgres_dsn: str, request: pytest.FixtureRequest) -> str:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(request.param)
    return postgres_dsn


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (_AIRFLOW + _REVISION.format("abc"), "points into Airflow's metadata"),
        (_AIRFLOW + "CREATE TABLE experiments ();", "points into Airflow's metadata"),
        (_REVISION.format("v3.0.0.d") + "CREATE TABLE studies ();", "another program"),
        (_REVISION.format("fff") + "CREATE TABLE experiments ();", "a newer MLflow: upgrade"),
        ("CREATE TABLE rides ();", r"already holds \['rides'\]"),
    ],
    ids=["airflow", "airflow-with-strays", "optuna", "newer", "data"],
    indirect=["foreign"],
)
def test_a_foreign_schema_is_refused_untouched(foreign: str, said: str) -> None:
    before = tables(foreign)
    registry = registry_at(uri_of(foreign, "public"))
    for attempt in (registry.check, registry.ensure_schema, lambda: registry.aliases("m")):
        with pytest.raises(ConnectionSpecError, match=said):
            attempt()
    assert tables(foreign) == before


@pytest.mark.parametrize("foreign", [_AIRFLOW], indirect=True, ids=["airflow"])
def test_a_schema_of_its_own_beside_airflow_is_welcome(foreign: str) -> None:
    with pytest.raises(RegistryError, match="are missing: create or upgrade"):
        registry_at(uri_of(foreign)).check()


@pytest.mark.parametrize("foreign", [_AIRFLOW], indirect=True, ids=["airflow"])
def test_airflow_further_along_the_search_path_is_refused(foreign: str) -> None:
    uri = uri_of(foreign).replace("search_path%3Dmlflow", "search_path%3Dmlflow%2Cpublic")
    with pytest.raises(ConnectionSpecError, match=r"schema 'public'"):
        registry_at(uri).check()


@pytest.mark.parametrize(
    ("foreign", "state"),
    [
        ("CREATE SCHEMA mlflow", "empty"),
        ("CREATE SCHEMA mlflow; CREATE TABLE mlflow.experiments ()", "outdated"),
    ],
    indirect=["foreign"],
    ids=["empty", "half-made"],
)
def test_tables_that_are_not_ready_name_the_remedy(foreign: str, state: str) -> None:
    with pytest.raises(RegistryError, match=rf"are {state}: .*ensure_schema"):
        registry_at(uri_of(foreign)).check()


def test_revisions_are_read_from_the_installed_files() -> None:
    revisions = installed_revisions()
    assert revisions.head in revisions.known
    assert len(revisions.known) > 50


class TestUnreachable:
    """A store that does not answer is named within seconds, and its password is not."""

    @pytest.fixture
    def mute(self) -> Any:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server.getsockname()[1]

    def test_database(self) -> None:
        uri = mlflow_uri(host="127.0.0.1", port=1, login="ml", password="s3cret", database="platform")
        with pytest.raises(
            RegistryError, match=r"ml:\*\*\*@127\.0\.0\.1:1/platform.*did not answer"
        ) as caught:
            registry_at(uri).aliases("m")
        assert "s3cret" not in str(caught.value)

    def test_unknown_database(self, postgres_dsn: str) -> None:
        uri = uri_of(postgres_dsn).replace("/test_", "/no_test_")
        with pytest.raises(RegistryError, match="does not exist"):
            registry_at(uri).check()

    def test_server(self) -> None:
        registry = MlflowRegistry(tracking_uri="http://ml:s3cret@127.0.0.1:1")
        with pytest.raises(RegistryError, match=r"http://ml:\*\*\*@127\.0\.0\.1:1 did not answer") as caught:
            registry.aliases("m")
        assert "s3cret" not in str(caught.value)

    @pytest.mark.slow
    def test_silent_server(self, mute: int) -> None:
        registry = MlflowRegistry(tracking_uri=f"http://127.0.0.1:{mute}")
        begun = time.monotonic()
        with pytest.raises(RegistryError, match="did not answer"):
            registry.aliases("m")
        assert time.monotonic() - begun < 20

    @pytest.mark.slow
    def test_silent_database(self, mute: int) -> None:
        uri = mlflow_uri(host="127.0.0.1", port=mute, login="ml", database="platform")
        begun = time.monotonic()
        with pytest.raises(RegistryError, match="did not answer"):
            registry_at(uri).aliases("m")
        assert time.monotonic() - begun < 20


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Any:
    """An address where every request gets one status and an empty answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(request.param)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as http, ThreadPoolExecutor(1) as pool:
        pool.submit(http.serve_forever)
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize(
    ("server", "error"),
    [(401, ConnectionSpecError), (403, ConnectionSpecError), (404, RegistryError), (503, RegistryError)],
    indirect=["server"],
    ids=["login", "forbidden", "not-mlflow", "overloaded"],
)
def test_a_server_that_refuses_is_not_asked_again(server: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"http://127\.0\.0\.1:\d+ .*HTTP \d+"):
        MlflowRegistry(tracking_uri=server).check()


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "./mlruns", "mysql://host/db"])
def test_other_stores_are_refused(uri: str) -> None:
    with pytest.raises(ConnectionSpecError, match="is not supported: write postgresql"):
        MlflowRegistry(tracking_uri=uri)


@pytest.mark.parametrize(
    ("location", "said"),
    [(None, "needs an artifact_location"), ("mlruns", "is relative")],
    ids=["none", "relative"],
)
def test_model_files_need_one_place_for_all_workers(location: str | None, said: str) -> None:
    with pytest.raises(ConnectionSpecError, match=said):
        MlflowRegistry(tracking_uri=mlflow_uri(host="db", database="d"), artifact_location=location)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (
            mlflow_uri(host="db", port=5433, login="ml", password="a@b/c:d", database="p"),
            "postgresql+psycopg://ml:***@db:5433/p?connect_timeout=3&options=-csearch_path%3Dmlflow",
        ),
        (
            mlflow_uri(host="/run/pg", login="ml", database="p", options={"sslpassword": "x"}),
            "postgresql+psycopg://ml@/p?host=/run/pg&connect_timeout=3&sslpassword=***&options=-csearch_path%3Dmlflow",
        ),
        ("https://ml:pw@host/prefix", "https://ml:***@host/prefix"),
    ],
    ids=["tcp", "socket", "server"],
)
def test_a_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert TrackingUri(uri).shown == shown
    assert shown in repr(MlflowRegistry(tracking_uri=uri, artifact_location="/nowhere"))


def test_a_uri_says_the_same_to_libpq() -> None:
    info = conninfo_to_dict(
        TrackingUri(mlflow_uri(host="/run/pg", login="ml", password="a@b", database="p")).dsn
    )
    assert info == {
        "user": "ml",
        "password": "a@b",
        "dbname": "p",
        "host": "/run/pg",
        "connect_timeout": "3",
        "options": "-csearch_path=mlflow",
    }


def test_a_schema_name_is_checked() -> None:
    with pytest.raises(ConnectionSpecError, match=r"schema 'ML; --'"):
        mlflow_uri(host="db", database="d", schema="ML; --")


class Migrated:
    """A store that two tasks migrated at the same moment."""

    def __init__(self, dsn: str, artifacts: Path) -> None:
        self.dsn, self.uri, self.artifacts = dsn, uri_of(dsn), artifacts
        with ThreadPoolExecutor(2) as pool:
            self.worked = list(pool.map(lambda _: self.registry().ensure_schema(), range(2)))

    def registry(self) -> MlflowRegistry:
        return MlflowRegistry(tracking_uri=self.uri, artifact_location=str(self.artifacts))

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)


@pytest.fixture(scope="module")
def store(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    dsn = ensure_database(postgres_server, "mlflow_adapter")
    return Migrated(dsn, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """Scores the sum of both numeric features plus the category code."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["categorical"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["numeric", "codes"], ["all"], axis=1),
        helper.make_node("ReduceSum", ["all", "axis"], ["score"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("categorical", TensorProto.INT64, ["n", 1]),
    ]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "sum", inputs, outputs, [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "model.onnx"))
    (tmp_path / "metadata.json").write_text("{}")
    return tmp_path


def child(code: str, *arguments: str, **environment: str) -> Any:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(  # noqa: S603  our own interpreter and code
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
class TestMigrated:
    def test_one_of_two_migrates(self, store: Migrated) -> None:
        assert sorted(store.worked) == [False, True]
        store.registry().check()
        assert store.registry().ensure_schema() is False

    def test_tables_are_in_their_own_schema(self, store: Migrated) -> None:
        with psycopg.connect(store.dsn) as connection:
            query = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('experiments', 'alembic_version')"
            assert connection.execute(query).fetchall() == [("mlflow",)]

    def test_racing_tries_make_one_run(self, store: Migrated) -> None:
        def attempt(_: int) -> Any:
            return store.registry().ensure_run(experiment="race", key="k", name="n", params={}, tags={})

        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(attempt, range(4)))
        assert len({run.run_id for run in runs}) == 1
        assert sorted(run.resumed for run in runs) == [False, True, True, True]

    def test_a_try_killed_after_creating_its_run_is_resumed(self, store: Migrated) -> None:
        client = store.client()
        experiment = client.create_experiment("killed", artifact_location=str(store.artifacts))
        orphan = client.create_run(experiment, tags={"dataml.key": "k"}).info.run_id
        run = store.registry().ensure_run(experiment="killed", key="k", name="n", params={"lr": 1}, tags={})
        assert (run.run_id, run.resumed) == (orphan, True)
        assert client.get_run(orphan).data.params == {"lr": "1"}

    def test_a_half_uploaded_model_is_completed(self, store: Migrated, model_dir: Path) -> None:
        client, registry = store.client(), store.registry()
        run = registry.ensure_run(experiment="half", key="k", name="n", params={}, tags={})
        digest = ModelFiles.read(model_dir).digest
        begun = client.create_logged_model(run.experiment_id, "model", run.run_id, {"dataml.digest": digest})
        source = registry.log_model(
            run_id=run.run_id, model_dir=model_dir, numeric=["a", "b"], categorical=["c"]
        )
        assert source == f"models:/{begun.model_id}"
        assert client.get_logged_model(begun.model_id).status == "READY"
        outputs = client.get_run(run.run_id).outputs.model_outputs
        assert [output.model_id for output in outputs] == [begun.model_id]

    def test_columns_that_do_not_fit_leave_nothing_behind(self, store: Migrated, model_dir: Path) -> None:
        registry = store.registry()
        run = registry.ensure_run(experiment="misfit", key="k", name="n", params={}, tags={})
        with pytest.raises(SpecError, match=r"'numeric' of model\.onnx takes 2 columns, 1 are named \(a\)"):
            registry.log_model(run_id=run.run_id, model_dir=model_dir, numeric=["a"], categorical=["c"])
        assert not store.client().search_logged_models([run.experiment_id])

    def test_a_file_that_is_not_onnx_is_refused(self, store: Migrated, tmp_path: Path) -> None:
        registry = store.registry()
        run = registry.ensure_run(experiment="misfit", key="k", name="n", params={}, tags={})
        (tmp_path / "model.onnx").write_bytes(b"not a graph")
        with pytest.raises(SpecError, match="is not an ONNX model"):
            registry.log_model(run_id=run.run_id, model_dir=tmp_path, numeric=[], categorical=[])

    def test_a_deleted_experiment_is_not_used(self, store: Migrated) -> None:
        client = store.client()
        client.delete_experiment(client.create_experiment("gone", artifact_location=str(store.artifacts)))
        with pytest.raises(SpecError, match="'gone' is deleted: restore it"):
            store.registry().ensure_run(experiment="gone", key="k", name="n", params={}, tags={})

    def test_an_experiment_name_cannot_leave_the_artifact_folder(self, store: Migrated) -> None:
        store.registry().ensure_run(experiment="../a b/é", key="k", name="n", params={}, tags={})
        location = store.client().get_experiment_by_name("../a b/é").artifact_location
        assert location == f"{store.artifacts}/_a_b_"

    def test_users_load_the_champion_with_onnxruntime_alone(self, store: Migrated, model_dir: Path) -> None:
        registry = store.registry()
        run = registry.ensure_run(experiment="load", key="k", name="n", params={}, tags={})
        source = registry.log_model(
            run_id=run.run_id, model_dir=model_dir, numeric=["distance", "hour"], categorical=["zone"]
        )
        version = registry.register(model="ride_demand", run_id=run.run_id, source=source, key="k", tags={})
        registry.set_alias(model="ride_demand", alias="champion", version=version)
        assert child(_LOAD, MLFLOW_TRACKING_URI=store.uri, MLFLOW_DISABLE_TELEMETRY="true") == {
            "score": [3.0, 3.0],
            "columns": {"columns": {"numeric": ["distance", "hour"], "categorical": ["zone"]}},
            "heavy": [],
        }

    def test_users_of_mlflow_get_the_scores_that_batches_get(self, store: Migrated, model_dir: Path) -> None:
        encoding = FeatureEncoding(
            numeric=tuple(
                NumericEncoding(name=name, mean=0, std=1, missing_fraction=0) for name in ("distance", "hour")
            ),
            categorical=(CategoricalEncoding(name="zone", vocabulary=("north", "south")),),
        )
        told = {
            "encoding": encoding.model_dump(mode="json"),
            "onnx_sha256": hashlib.sha256((model_dir / "model.onnx").read_bytes()).hexdigest(),
        }
        (model_dir / "metadata.json").write_text(json.dumps(told))
        registry = store.registry()
        run = registry.ensure_run(experiment="same", key="k", name="n", params={}, tags={})
        source = registry.log_model(
            run_id=run.run_id, model_dir=model_dir, numeric=["distance", "hour"], categorical=["zone"]
        )
        version = registry.register(model="ride_same", run_id=run.run_id, source=source, key="k", tags={})
        registry.set_alias(model="ride_same", alias="champion", version=version)
        columns = {
            "distance": [0.1 * n for n in range(50)],
            "hour": [n % 24 for n in range(50)],
            "zone": [("north", "south", "elsewhere", None)[n % 4] for n in range(50)],
        }
        numeric, categorical = encoding.encode(columns)
        rows = json.dumps({"numeric": numeric.tolist(), "categorical": categorical.tolist()})
        theirs = child(_PREDICT, rows, MLFLOW_TRACKING_URI=store.uri, MLFLOW_DISABLE_TELEMETRY="true")
        assert theirs == OnnxScorer.load(model_dir).score(columns).tolist()

    def test_logging_a_model_loads_no_training_framework(self, store: Migrated, model_dir: Path) -> None:
        found = child(_LOG, store.uri, str(store.artifacts), str(model_dir))
        assert found == {"before": False, "heavy": []}

    def test_mlflow_is_left_pointing_where_it_was(self, store: Migrated) -> None:
        import mlflow

        store.registry().aliases("any")
        assert mlflow.get_tracking_uri() != store.uri
        assert "MLFLOW_TRACKING_URI" not in os.environ

    def test_a_dataset_source_survives_json(self) -> None:
        from airflow_dataml.adapters.mlflow.dataset_source import DataMLDatasetSource

        source = DataMLDatasetSource("dataml://dataset/rides", "rides", 17)
        assert DataMLDatasetSource.from_json(source.to_json()) == source
        with pytest.raises(SpecError, match="rides@17: read it from the warehouse"):
            source.load()

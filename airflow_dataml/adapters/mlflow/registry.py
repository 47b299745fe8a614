"""The model registry port on MLflow."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.mlflow.batches import chunks, log_params
from airflow_dataml.adapters.mlflow.client import answers, check_server, connect, prepare, spare_engine
from airflow_dataml.adapters.mlflow.lookup import (
    DIGEST_TAG,
    ensure_registered,
    find_model,
    find_run,
    find_version,
    link,
    may_know,
)
from airflow_dataml.adapters.mlflow.package import read_interface, upload
from airflow_dataml.adapters.mlflow.reading import MlflowReading
from airflow_dataml.adapters.mlflow.schema import MlflowSchema
from airflow_dataml.adapters.mlflow.uri import TrackingUri, artifact_root
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.registry import (
    KEY_TAG,
    MODEL_FILE,
    SOURCE_TAG,
    ModelFiles,
    TrackedRun,
    check_alias,
    check_digest,
    check_key,
    check_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import psycopg
    from mlflow import MlflowClient

    from airflow_dataml.core.registry import MetricPoint, ParamValue, RunStatus

_CONTEXT_TAG = "mlflow.data.context"
_VERSION_TAG = "dataml.version"
_MODEL_URI = "models:/m-"
_REGISTERED = re.compile(r"models:/([^/@]+)/(\d+)\Z")
_METRICS_PER_BATCH = 1000
# MLflow unquotes local paths, so an encoded slash or dot would wander off; run ids keep folders apart anyway.
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class MlflowRegistry(MlflowReading):
    """Runs and models in MLflow, written to its database directly or through its server.

    Directly (Postgres), racing writers of one key are kept apart by an advisory lock. Through a
    server there is no lock to take: of two runs that one key made, the older stays.

    :param tracking_uri: see ``mlflow_uri``, or the address of an MLflow server.
    :param artifact_location: folder or object-store uri for model files; needed for a database, whose
        default is the worker's working directory. With a server ``None`` leaves it to the server.
    """

    def __init__(self, *, tracking_uri: str, artifact_location: str | None = None) -> None:
        self._uri = TrackingUri(tracking_uri)
        self._artifacts = artifact_root(self._uri, artifact_location)
        self._schema = MlflowSchema(self._uri)
        self._experiments: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"MlflowRegistry(tracking_uri={self._uri.shown!r}, artifact_location={self._artifacts!r})"

    def ensure_schema(self) -> bool:
        """Create or upgrade MLflow's tables and return whether there was anything to do.

        Run it once per deployment, never in many mapped tasks; a server looks after its own tables.
        """
        if self._uri.kind == "http":
            return False
        return self._schema.ensure(artifact_root=self._artifacts or "")

    def check(self) -> None:
        """Return when the store answers and can be used; about five seconds at most."""
        if self._uri.kind == "http":
            check_server(self._uri)
        else:
            self._schema.check()

    def ensure_run(
        self,
        *,
        experiment: str,
        key: str,
        name: str,
        params: Mapping[str, ParamValue],
        tags: Mapping[str, str],
    ) -> TrackedRun:
        """Return the run of a key, running again if an earlier try had ended it, or start it."""
        check_key(key)
        with self._answers() as client:
            experiment_id = self._experiment(client, experiment)
            with self._lock(f"run/{experiment_id}/{key}") as held:
                run = find_run(client, experiment_id, key) if may_know(held, key) else None
                if resumed := run is not None:
                    client.update_run(run.info.run_id, status="RUNNING")
                else:
                    run, resumed = self._create_run(client, experiment_id, key, name, tags)
            # Each call costs milliseconds: a run that was just made has its tags already.
            missing = {k: v for k, v in params.items() if k not in run.data.params}
            log_params(client, run.info.run_id, missing, tags if resumed else {})
        return TrackedRun(run.info.run_id, experiment_id, resumed)

    def log_metrics(self, *, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log measured values in batches of a thousand; an equal point twice is one."""
        with self._answers() as client:
            from mlflow.entities import Metric

            for chunk in chunks(points, _METRICS_PER_BATCH):
                metrics = [Metric(p.key, p.value, p.timestamp_ms, p.step) for p in chunk]
                client.log_batch(run_id, metrics=metrics)

    def log_dataset(
        self, *, run_id: str, name: str, version: int, digest: str, uri: str, context: str
    ) -> None:
        """Record that a run read a dataset version, with our fingerprint and our source.

        MLflow keeps the source of the first version with a name and digest; which version this run
        read is the tag ``dataml.version`` of its input.
        """
        check_digest(digest)
        with self._answers() as client:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            from airflow_dataml.adapters.mlflow.dataset_source import SOURCE_TYPE, DataMLDatasetSource

            source = DataMLDatasetSource(uri, name, version).to_json()
            dataset = Dataset(name=name, digest=digest, source_type=SOURCE_TYPE, source=source)
            tags = [InputTag(_CONTEXT_TAG, context), InputTag(_VERSION_TAG, str(version))]
            client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])

    def log_model(
        self, *, run_id: str, model_dir: Path, numeric: Sequence[str], categorical: Sequence[str]
    ) -> str:
        """Store a model directory as an MLflow model and return its uri ``models:/m-...``.

        The files go up as they are; ``mlflow.pyfunc`` and ``mlflow.onnx`` load them, taking a
        dictionary of the ONNX inputs.
        """
        files = ModelFiles.read(Path(model_dir))
        prepare(self._uri)
        interface = read_interface(
            Path(model_dir) / MODEL_FILE, {"numeric": numeric, "categorical": categorical}
        )
        with self._answers() as client:
            experiment_id = client.get_run(run_id).info.experiment_id
            with self._lock(f"model/{run_id}/{files.digest}"):
                logged = find_model(client, experiment_id, run_id, files.digest)
                if logged is None:
                    tags = {DIGEST_TAG: files.digest}
                    logged = client.create_logged_model(
                        experiment_id, "model", run_id, tags, model_type="onnx"
                    )
            if logged.status != "READY":
                upload(client, files, model_id=logged.model_id, run_id=run_id, interface=interface)
        return f"models:/{logged.model_id}"

    def fetch_model(self, *, source: str, target: Path) -> None:
        """Copy the files of a stored model into a folder; the folder appears whole or not at all."""
        prepare(self._uri)
        if registered := _REGISTERED.match(source):
            self.fetch_version(model=registered[1], version=int(registered[2]), target=target)
        elif source.startswith(_MODEL_URI):
            with self._answers() as client:
                logged = client.get_logged_model(source.removeprefix("models:/"))
            self._download(logged.artifact_location, target)
        else:
            msg = f"model source {source!r} was not logged by this adapter: write models:/m-<id>."
            raise SpecError(msg)
        if not (target / MODEL_FILE).exists():
            shutil.rmtree(target, ignore_errors=True)
            msg = f"the artifact store holds no {MODEL_FILE} for {source!r}: was the model deleted from it?"
            raise NotFoundError(msg)

    def register(self, *, model: str, run_id: str, source: str, key: str, tags: Mapping[str, str]) -> int:
        """Return the version a key registered from a source, or register it.

        :param source: what ``log_model`` returned.
        """
        check_key(key)
        check_key(model, what="model")
        if not source.startswith(_MODEL_URI):
            msg = f"source {source!r} is not a logged model: pass what log_model returned ({_MODEL_URI}...)."
            raise SpecError(msg)
        model_id = source.removeprefix("models:/")
        with self._answers() as client:
            logged = client.get_logged_model(model_id)
            with self._lock(f"version/{model}/{key}"):
                version = find_version(client, model, key, source)
                if version is None:
                    ensure_registered(client, model)
                    # Given models:/..., the store itself would ask MLflow's process-wide tracking uri.
                    place = source if self._uri.kind == "http" else logged.artifact_location
                    made = client.create_model_version(
                        model, place, run_id, {**tags, KEY_TAG: key, SOURCE_TAG: source}, model_id=model_id
                    )
                    version = int(made.version)
                if self._uri.kind == "postgres":
                    link(client, logged, model, version)
        return version

    def set_alias(self, *, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a version; ``None`` removes it, also when there is none."""
        check_alias(alias)
        with self._answers() as client:
            if version is not None:
                client.set_registered_model_alias(model, alias, str(version))
                return
            with suppress(NotFoundError), answers(self._uri):
                client.delete_registered_model_alias(model, alias)

    def aliases(self, model: str) -> dict[str, int]:
        """Return every alias with its version; empty for a model nobody registered."""
        try:
            with self._answers() as client:
                found = client.get_registered_model(model).aliases
        except NotFoundError:
            return {}
        return {alias: int(version) for alias, version in found.items()}

    def finish_run(self, *, run_id: str, status: RunStatus) -> None:
        """Record how a run ended."""
        check_status(status)
        with self._answers() as client:
            client.set_terminated(run_id, status=status)

    @cached_property
    def _client(self) -> MlflowClient:
        # MLflow tries a silent server or database for minutes, and writes into a foreign schema.
        self.check()
        return connect(self._uri)

    @contextmanager
    def _answers(self) -> Iterator[MlflowClient]:
        client = self._client
        with answers(self._uri):
            yield client

    def _lock(self, key: str) -> AbstractContextManager[psycopg.Connection | None]:
        if self._uri.kind == "http":
            return nullcontext()
        return self._schema.lock(key, engine=spare_engine(self._client))

    def _experiment(self, client: MlflowClient, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = self._find_experiment(client, name)
        return self._experiments[name]

    def _find_experiment(self, client: MlflowClient, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is None:
            root = self._artifacts and f"{self._artifacts}/{_UNSAFE.sub('_', name)}"
            try:
                return str(client.create_experiment(name, artifact_location=root))
            except MlflowException as err:
                if err.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            msg = f"MLflow experiment {name!r} is deleted: restore it in MLflow or name another one."
            raise SpecError(msg)
        return str(found.experiment_id)

    def _create_run(
        self, client: MlflowClient, experiment_id: str, key: str, name: str, tags: Mapping[str, str]
    ) -> tuple[Any, bool]:
        run = client.create_run(experiment_id, run_name=name, tags={**tags, KEY_TAG: key})
        if self._uri.kind == "postgres":
            return run, False
        oldest = find_run(client, experiment_id, key)
        if oldest is None or oldest.info.run_id == run.info.run_id:
            return run, False
        client.delete_run(run.info.run_id)
        return oldest, True

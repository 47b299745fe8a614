"""Stand-ins that answer our ports from memory, for tests of DAGs and of code built on this package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, RegistryError, SpecError
from airflow_dataml.core.registry import (
    KEY_TAG,
    SOURCE_TAG,
    MetricPoint,
    ModelFiles,
    TrackedRun,
    check_alias,
    check_digest,
    check_key,
    check_status,
)
from airflow_dataml.core.registry_reading import RegisteredModel, RegisteredVersion, RunRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_dataml.core.registry import ParamValue, RunStatus


@dataclass(slots=True)
class RecordedRun:
    """What was logged to one run."""

    run_id: str
    experiment: str
    key: str
    name: str
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[MetricPoint] = field(default_factory=list)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """One registered version."""

    version: int
    run_id: str
    source: str
    tags: dict[str, str]


class InMemoryRegistry:
    """A model registry that lives as long as the object.

    It passes the same conformance suite as MLflow. Set ``down`` to make every call fail as a silent
    server would.

    >>> registry = InMemoryRegistry()
    >>> run = registry.ensure_run(experiment="rides", key="k", name="fit", params={}, tags={})
    >>> registry.ensure_run(experiment="rides", key="k", name="fit", params={}, tags={}).resumed
    True
    """

    def __init__(self) -> None:
        self.down = False
        self.runs: dict[str, RecordedRun] = {}
        self.versions: dict[str, list[RecordedVersion]] = {}
        self._aliases: dict[str, dict[str, int]] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._tags: dict[str, dict[str, str]] = {}

    def check(self) -> None:
        """Return unless the registry was set to be down."""
        if self.down:
            msg = "the in-memory registry is down: a test set it so."
            raise RegistryError(msg)

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
        self.check()
        check_key(key)
        experiments = {run.experiment: None for run in self.runs.values()} | {experiment: None}
        run = next((r for r in self.runs.values() if (r.experiment, r.key) == (experiment, key)), None)
        if resumed := run is not None:
            run.status = "RUNNING"
        else:
            run = RecordedRun(f"{len(self.runs) + 1:032x}", experiment, key, name, tags={KEY_TAG: key})
            self.runs[run.run_id] = run
        run.params = {k: str(v) for k, v in params.items()} | run.params
        run.tags |= tags
        return TrackedRun(run.run_id, str(list(experiments).index(experiment) + 1), resumed)

    def log_metrics(self, *, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log measured values; an equal point twice is one."""
        run = self._run(run_id)
        # As text a NaN equals itself.
        known = {str(point): point for point in run.metrics}
        run.metrics = list((known | {str(point): point for point in points}).values())

    def log_dataset(
        self, *, run_id: str, name: str, version: int, digest: str, uri: str, context: str
    ) -> None:
        """Record that a run read a dataset version."""
        check_digest(digest)
        run = self._run(run_id)
        if (name, digest) not in {(known["name"], known["digest"]) for known in run.datasets}:
            run.datasets.append(
                {"name": name, "version": version, "digest": digest, "uri": uri, "context": context}
            )

    def log_model(
        self, *, run_id: str, model_dir: Path, numeric: Sequence[str], categorical: Sequence[str]
    ) -> str:
        """Remember a model directory's files and return its source uri."""
        files = ModelFiles.read(model_dir)
        run = self._run(run_id)
        source = run.models.setdefault(files.digest, f"models:/m-{run_id[-8:]}{files.digest}")
        self._files[source] = {path.name: path.read_bytes() for path in files.paths}
        return source

    def fetch_model(self, *, source: str, target: Path) -> None:
        """Write the remembered files into a folder."""
        self.check()
        if source not in self._files:
            what = "model source"
            raise NotFoundError.from_available(what, source, self._files)
        target.mkdir(parents=True, exist_ok=True)
        for name, content in self._files[source].items():
            (target / name).write_bytes(content)

    def register(self, *, model: str, run_id: str, source: str, key: str, tags: Mapping[str, str]) -> int:
        """Return the version a key registered from a source, or register it."""
        check_key(key)
        check_key(model, what="model")
        if not source.startswith("models:/m-"):
            msg = f"source {source!r} is not a logged model: pass what log_model returned (models:/m-...)."
            raise SpecError(msg)
        if source not in self._run(run_id).models.values():
            msg = f"logged model {source!r} does not exist in run {run_id!r}."
            raise NotFoundError(msg)
        known = self.versions.setdefault(model, [])
        for version in known:
            if (version.tags[KEY_TAG], version.source) == (key, source):
                return version.version
        marks = {**tags, KEY_TAG: key, SOURCE_TAG: source}
        known.append(RecordedVersion(len(known) + 1, run_id, source, marks))
        return len(known)

    def set_alias(self, *, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a version; ``None`` removes it, also when there is none."""
        self.check()
        check_alias(alias)
        if version is None:
            self._aliases.get(model, {}).pop(alias, None)
        else:
            self._aliases.setdefault(model, {})[alias] = self._version(model, version).version

    def aliases(self, model: str) -> dict[str, int]:
        """Return every alias with its version; empty for a model nobody registered."""
        self.check()
        return dict(self._aliases.get(model, {}))

    def registered(self, model: str) -> RegisteredModel | None:
        """Return a model with its versions, aliases and tags."""
        self.check()
        if model not in self.versions:
            return None
        versions = (
            RegisteredVersion(known.version, known.run_id, known.source, dict(known.tags), 0)
            for known in self.versions[model]
        )
        return RegisteredModel(model, tuple(versions), self.aliases(model), dict(self._tags.get(model, {})))

    def run_record(self, run_id: str) -> RunRecord | None:
        """Return what was logged to a run."""
        self.check()
        run = self.runs.get(run_id)
        metrics = {point.key: point.value for point in run.metrics} if run else {}
        return RunRecord(run_id, run.name, run.status, dict(run.params), metrics) if run else None

    def fetch_version(self, *, model: str, version: int, target: Path) -> None:
        """Write the remembered files of a version into a folder."""
        self.fetch_model(source=self._version(model, version).source, target=target)

    def set_tag(self, *, model: str, version: int | None, key: str, value: str | None) -> None:
        """Set or remove a tag of a version, or of the model."""
        self.check()
        tags = self._tags.setdefault(model, {}) if version is None else self._version(model, version).tags
        if value is None:
            tags.pop(key, None)
        else:
            tags[key] = value

    def _version(self, model: str, version: int) -> RecordedVersion:
        for known in self.versions.get(model, []):
            if known.version == version:
                return known
        msg = f"version {version} of model {model!r} does not exist."
        raise NotFoundError(msg)

    def finish_run(self, *, run_id: str, status: RunStatus) -> None:
        """Record how a run ended."""
        self._run(run_id).status = check_status(status)

    def _run(self, run_id: str) -> RecordedRun:
        self.check()
        if run_id not in self.runs:
            unknown = NotFoundError.from_available("run", run_id, self.runs)
            raise unknown
        return self.runs[run_id]

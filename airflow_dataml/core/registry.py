"""Tracked runs and registered models: the values, and the port a model registry answers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.registry_reading import RegistryReading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
RUN_STATUSES: tuple[RunStatus, ...] = ("FINISHED", "FAILED", "KILLED")
ParamValue = str | int | float | bool

KEY_TAG = "dataml.key"
SOURCE_TAG = "dataml.source"
MODEL_FILE = "model.onnx"
DIGEST_LENGTH = 36
# Formats whose reading runs code that the file brings.
_EXECUTABLE = frozenset(
    {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt", ".bin"}
)
_KEY_LENGTH = 1000
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run in the tracking store.

    :param resumed: an earlier try of the same task had made it.
    """

    run_id: str
    experiment_id: str
    resumed: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(str(data["run_id"]), str(data["experiment_id"]), bool(data["resumed"]))


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One measured value at one step; all four fields together are its identity.

    :param timestamp_ms: when it was measured, milliseconds since 1970 UTC; keep it over a retry,
        a new one makes a second point.
    """

    key: str
    value: float
    step: int
    timestamp_ms: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(str(data["key"]), float(data["value"]), int(data["step"]), int(data["timestamp_ms"]))


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a stored model: ``model.onnx`` and what lies beside it.

    :param digest: content of the ONNX graph and its weights; two models with equal digests score equally.
    """

    paths: tuple[Path, ...]
    digest: str

    @classmethod
    def read(cls, model_dir: Path) -> Self:
        """List and hash a model directory; costs one read of the ONNX files.

        :raises SpecError: there is no ``model.onnx``, or a file in a format whose loading runs code.
        """
        paths = tuple(sorted(path for path in Path(model_dir).glob("*") if path.is_file()))
        if MODEL_FILE not in {path.name for path in paths}:
            msg = f"model directory {str(model_dir)!r} has no {MODEL_FILE}: export the model to ONNX first."
            raise SpecError(msg)
        if refused := [path.name for path in paths if path.suffix.lower() in _EXECUTABLE]:
            msg = (
                f"model directory {str(model_dir)!r} holds {refused}: loading such files runs code they "
                "bring; keep model.onnx, model.pt2 and plain text."
            )
            raise SpecError(msg)
        return cls(paths, _digest(path for path in paths if path.name.startswith(MODEL_FILE)))


class ModelRegistry(RegistryReading, Protocol):
    """A tracking store with a model registry.

    Writing twice under one key writes once, also when the first writer was killed half-way.

    :raises RegistryError: it did not answer.
    :raises ConnectionSpecError: it is there and must not be used so.
    :raises NotFoundError: a run, model or version that was named does not exist.
    """

    def check(self) -> None:
        """Return when the store answers and can be used; about five seconds at most."""

    def ensure_run(
        self,
        *,
        experiment: str,
        key: str,
        name: str,
        params: Mapping[str, ParamValue],
        tags: Mapping[str, str],
    ) -> TrackedRun:
        """Return the run of a key, running again if an earlier try had ended it, or start it.

        :param key: identity of the task that trains, equal over its retries.
        :param params: a parameter that an earlier try logged keeps its first value.
        :param tags: set on a resumed run too.
        """

    def log_metrics(self, *, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log measured values in batches of a thousand; an equal point twice is one."""

    def log_dataset(
        self, *, run_id: str, name: str, version: int, digest: str, uri: str, context: str
    ) -> None:
        """Record that a run read a dataset version.

        :param digest: the version's fingerprint, at most 36 characters.
        :param context: what it was read for, such as ``training``. The same name and digest a second
            time, whatever the context, is the same input.
        """

    def log_model(
        self, *, run_id: str, model_dir: Path, numeric: Sequence[str], categorical: Sequence[str]
    ) -> str:
        """Store a model directory with its run and return the source uri to register.

        :param model_dir: ``model.onnx`` and the files beside it; see ``ModelFiles``. An equal
            ``model.onnx`` twice is one model.
        :param numeric: feature columns of the ONNX input ``numeric`` (float32), in order.
        :param categorical: feature columns of the ONNX input ``categorical`` (int64 codes), in order.
        """

    def fetch_model(self, *, source: str, target: Path) -> None:
        """Copy the files of a stored model into a folder that is not there yet; whole or not at all.

        :param source: what ``log_model`` returned.
        """

    def register(self, *, model: str, run_id: str, source: str, key: str, tags: Mapping[str, str]) -> int:
        """Return the version a key registered from a source, or register it.

        A retry that trained to other bytes brings another source, and gets a version of its own.
        """

    def set_alias(self, *, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a version; ``None`` removes it, also when there is none."""

    def aliases(self, model: str) -> dict[str, int]:
        """Return every alias with its version; empty for a model nobody registered."""

    def finish_run(self, *, run_id: str, status: RunStatus) -> None:
        """Record how a run ended."""


def check_key(key: str, *, what: str = "key") -> str:
    """Return an idempotency key, or refuse one that no store can search for.

    >>> check_key("train/manual__2026-01-01T00:00:00+00:00/fit/-1/ride_demand#1")
    'train/manual__2026-01-01T00:00:00+00:00/fit/-1/ride_demand#1'
    """
    if not key or len(key) > _KEY_LENGTH or not key.isprintable() or any(mark in key for mark in "'\"`\\"):
        msg = f"{what} {key!r} is not usable: write 1 to {_KEY_LENGTH} printable characters without quotes or backslash."
        raise SpecError(msg)
    return key


def check_alias(alias: str) -> str:
    """Return a registry alias, or refuse one that registries read as a version.

    >>> check_alias("champion")
    'champion'
    """
    if not _ALIAS.match(alias) or alias.lower() == "latest" or re.match(r"v\d+\Z", alias):
        msg = f"alias {alias!r} is not usable: write letters, digits, _ and -, and neither 'latest' nor v<number>."
        raise SpecError(msg)
    return alias


def check_digest(digest: str) -> str:
    """Return a content digest, or refuse one the store would not take.

    >>> check_digest("pg1-00ff")
    'pg1-00ff'
    """
    if not 0 < len(digest) <= DIGEST_LENGTH:
        msg = f"digest {digest!r} has {len(digest)} characters: a registry takes 1 to {DIGEST_LENGTH}."
        raise SpecError(msg)
    return digest


def check_status(status: str) -> RunStatus:
    """Return how a run ended, or refuse a word no store knows.

    >>> check_status("FINISHED")
    'FINISHED'
    """
    for known in RUN_STATUSES:
        if status == known:
            return known
    msg = f"run status {status!r} is unknown: write one of {', '.join(RUN_STATUSES)}."
    raise SpecError(msg)


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:32]

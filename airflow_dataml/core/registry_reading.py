"""What a model registry holds, as it stands there: the values, and the port that reads them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

# Formats whose reading may run code that the file brings.
_CODE = frozenset(
    {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt", ".bin", ".py"}
)


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model.

    :param source: what its files can be fetched by; see ``fetch_model``.
    :param created_ms: when it was registered, milliseconds since 1970 UTC.
    """

    version: int
    run_id: str | None
    source: str
    tags: Mapping[str, str]
    created_ms: int
    description: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model with everything that people can change of it.

    :param versions: oldest first; a version that was deleted is not among them.
    :param tags: of the model; each version has its own.
    """

    name: str
    versions: tuple[RegisteredVersion, ...] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the tracking store knows of a run.

    :param metrics: the last value of each.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    started_ms: int | None = None
    ended_ms: int | None = None
    user: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FolderDigest:
    """The files of a folder, by content.

    :param files: SHA-256 by path within the folder.
    """

    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> FolderDigest:
        """Hash every file of a folder; costs one read of them, and loads none."""
        found = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(found)

    @property
    def code(self) -> tuple[str, ...]:
        """Files whose loading may run code that they bring."""
        return tuple(name for name in self.files if Path(name).suffix.lower() in _CODE)


class RegistryReading(Protocol):
    """Reads a model registry, and sets the tags that people read there.

    :raises RegistryError: it did not answer.
    """

    def registered(self, model: str) -> RegisteredModel | None:
        """Return a model with its versions, aliases and tags; ``None`` where nobody registered it."""

    def run_record(self, run_id: str) -> RunRecord | None:
        """Return what is known of a run; ``None`` where it was deleted for good."""

    def fetch_version(self, *, model: str, version: int, target: Path) -> None:
        """Copy all files of a registered version into a folder, as they are; nothing is loaded.

        :raises NotFoundError: the version or its files are not there.
        """

    def set_tag(self, *, model: str, version: int | None, key: str, value: str | None) -> None:
        """Set a tag of a version, or of the model for ``None``; the value ``None`` removes it."""

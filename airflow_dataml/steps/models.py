"""Fetching the files of a model version, verified, for whoever scores with it."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import RegistryError
from airflow_dataml.core.registry import ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Scorer, ScorerLoader
    from airflow_dataml.core.registry import ModelRegistry


def tidy(folder: Path) -> None:
    """Remove what one task exported; once its fact is in the ledger no retry needs it."""
    shutil.rmtree(folder, ignore_errors=True)


def metadata_digest(folder: Path) -> str | None:
    """Content of what tells a scorer how columns become inputs; ``None`` for a model that needs no telling."""
    path = folder / "metadata.json"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.exists() else None


def fetch_files(*, version: Version, registry: ModelRegistry, work_dir: Path) -> Path:
    """Return the folder of a version's files; they come from the registry once per worker and must match the ledger.

    :raises RegistryError: the store does not answer, or gave other bytes than were registered.
    """
    digest = version.facts["artifact_digest"]
    folder = work_dir / "models" / f"{version.asset}_{version.number}_{digest[:12]}"
    if not (folder / "model.onnx").exists():
        registry.fetch_model(source=version.facts["registry"]["source"], target=folder)
    found = ModelFiles.read(folder).digest
    if found != digest or metadata_digest(folder) != version.facts["metadata_digest"]:
        msg = (
            f"the stored files of {version.ref} are not the ones that were registered (digest {found}, ledger {digest}): "
            f"restore them in the registry and delete {str(folder)!r}."
        )
        raise RegistryError(msg)
    return folder


def open_model(*, version: Version, registry: ModelRegistry, scorers: ScorerLoader, work_dir: Path) -> Scorer:
    """Load a model version; see ``fetch_files``."""
    return scorers(fetch_files(version=version, registry=registry, work_dir=work_dir))

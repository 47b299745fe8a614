"""Fetching the files of a model version, verified, for whoever scores with it."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import RegistryError, SpecError
from airflow_dataml.core.registry import MODEL_FILE, ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Scorer, ScorerLoader
    from airflow_dataml.core.registry import ModelRegistry


METADATA_FILE = "metadata.json"


def tidy(folder: Path) -> None:
    """Remove what one task exported; once its fact is in the ledger no retry needs it."""
    shutil.rmtree(folder, ignore_errors=True)


def metadata_digest(folder: Path) -> str | None:
    """Content of what tells a scorer how columns become inputs; ``None`` for a model that needs no telling."""
    path = folder / METADATA_FILE
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.exists() else None


def fetch_files(*, version: Version, registry: ModelRegistry, work_dir: Path) -> Path:
    """Return the folder of a version's files; they come from the registry once per worker and must match the ledger.

    :raises SpecError: it was adopted and is in a format that is not loaded here.
    :raises RegistryError: the store does not answer, or gave other bytes than were registered.
    """
    adopted = version.facts.get("adopted")
    if adopted and not adopted["loadable"]:
        msg = f"{version.ref} came from the registry and cannot be loaded here: {adopted['reason']}."
        raise SpecError(msg)
    digest = version.facts["artifact_digest"]
    folder = work_dir / "models" / f"{version.asset}_{version.number}_{digest[:12]}"
    if not (folder / MODEL_FILE).exists():
        registry.fetch_model(source=version.facts["registry"]["source"], target=folder)
    wrong = _tampered(folder, version)
    if wrong:
        # A retry fetches them anew, so that it heals once the registry has the right ones again.
        shutil.rmtree(folder, ignore_errors=True)
        msg = (
            f"the stored files of {version.ref} are not the ones that were registered: {'; '.join(wrong)}. "
            f"Restore them at {version.facts['registry']['source']!r} in the registry, or use another version."
        )
        raise RegistryError(msg)
    return folder


def _tampered(folder: Path, version: Version) -> list[str]:
    """Name the files whose content is not what the ledger says, with both hashes."""
    facts = version.facts
    found = {MODEL_FILE: ModelFiles.read(folder).digest, METADATA_FILE: metadata_digest(folder)}
    kept = {MODEL_FILE: facts["artifact_digest"], METADATA_FILE: facts["metadata_digest"]}
    return [
        f"{name} has hash {found[name] or 'none, it is missing'} and the ledger {kept[name] or 'none'}"
        for name in found
        if found[name] != kept[name]
    ]


def open_model(*, version: Version, registry: ModelRegistry, scorers: ScorerLoader, work_dir: Path) -> Scorer:
    """Load a model version; see ``fetch_files``."""
    return scorers(fetch_files(version=version, registry=registry, work_dir=work_dir))

"""With what a model is trained: interpreter, packages, machine and code, as far as they can be told."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec

    from airflow_dataml.core.training import TrainingSpec

COMMIT_VARIABLE = "DATAML_CODE_COMMIT"
# Distributions whose release may change the weights or how they are written.
RECORDED = (
    *("airflow-dataml", "torch", "pytorch-lightning", "numpy", "onnx"),
    *("onnxscript", "onnxruntime", "pyarrow"),
)
_GIT_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What may change the weights besides data and spec.

    :param cpu: model of the processor; kernels are chosen by it.
    :param threads: CPU threads of the training.
    :param packages: release of each distribution that takes part; ``None`` where it is not installed.
    :param module: import path of the training module.
    :param module_digest: SHA-256 of the file that holds it; ``None`` where there is no such file.
    :param commit: code commit, as ``DATAML_CODE_COMMIT`` or the work tree around the module says.
    """

    python: str
    platform: str
    cpu: str
    threads: int
    packages: Mapping[str, str | None] = field(default_factory=dict)
    module: str
    module_digest: str | None = None
    commit: str | None = None

    @classmethod
    def of(cls, spec: TrainingSpec, environ: Mapping[str, str] | None = None) -> Self:
        """Look around; runs none of the module, imports no package, and asks git at most once."""
        path = module_file(spec.module.partition(":")[0])
        environ = os.environ if environ is None else environ
        return cls(
            python=platform.python_version(),
            platform=platform.platform(),
            cpu=_cpu(),
            threads=spec.threads,
            packages={name: _release(name) for name in RECORDED},
            module=spec.module,
            module_digest=None if path is None else hashlib.sha256(path.read_bytes()).hexdigest(),
            commit=environ.get(COMMIT_VARIABLE) or _commit(path),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(**data)


def find_module(path: str) -> ModuleSpec | None:
    """Locate a module by asking every finder from the top package down; importing none of them."""
    found: ModuleSpec | None = None
    locations = None
    name = ""
    for part in path.split("."):
        name = f"{name}.{part}" if name else part
        specs = (finder.find_spec(name, locations) for finder in sys.meta_path)
        found = next((spec for spec in specs if spec is not None), None)
        if found is None:
            return None
        # A module that is no package has nothing below it.
        locations = found.submodule_search_locations if found.submodule_search_locations is not None else []
    return found


def module_file(path: str) -> Path | None:
    """Return the file a module would be loaded from, if it is one that can be read."""
    found = find_module(path)
    if found is None or not found.has_location or found.origin is None:
        return None
    file = Path(found.origin)
    return file if file.is_file() else None


def _release(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _commit(file: Path | None) -> str | None:
    git = shutil.which("git")
    if file is None or git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - git itself, no shell
            [git, "-C", str(file.resolve().parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=_GIT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None

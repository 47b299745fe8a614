"""With what a model is trained, looked at without running any of it."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.environment import COMMIT_VARIABLE, RECORDED, Environment, find_module, module_file
from airflow_dataml.core.training import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "raise RuntimeError('nobody imports this')\n"


def spec(module: str, threads: int = 2) -> TrainingSpec:
    return TrainingSpec(
        model="ride_late", module=module, features=({"name": "km"},), target="late", task="binary", threads=threads
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "never_run").mkdir()
    (tmp_path / "never_run" / "__init__.py").write_text(SOURCE)
    (tmp_path / "never_run" / "nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def commit_all(folder: Path) -> str:
    git = shutil.which("git")
    assert git

    def run(*words: str) -> str:
        who = ("-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
        return subprocess.run([git, "-C", str(folder), *who, *words], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - git itself # fmt: skip

    run("init", "--quiet")
    run("add", ".")
    run("commit", "--quiet", "--message", "nets")
    return run("rev-parse", "HEAD")


def test_it_tells_interpreter_packages_threads_and_the_module(folder: Path) -> None:
    found = Environment.of(spec("never_run.nets:Net"), {COMMIT_VARIABLE: "abc123"})
    assert (found.python, found.threads, found.commit) == (platform.python_version(), 2, "abc123")
    assert found.module_digest == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert set(found.packages) == set(RECORDED)
    assert found.packages["torch"]
    assert found.cpu


def test_the_commit_is_that_of_the_work_tree_around_the_module(folder: Path) -> None:
    assert Environment.of(spec("never_run.nets:Net"), {}).commit is None
    commit = commit_all(folder)
    assert Environment.of(spec("never_run.nets:Net"), {}).commit == commit


@pytest.mark.parametrize("module", ["sys:Net", "no_such.module:Net"], ids=["built in", "not there"])
def test_what_has_no_file_has_no_digest(module: str) -> None:
    found = Environment.of(spec(module), {})
    assert (found.module_digest, found.commit) == (None, None)


def test_modules_are_found_without_importing_what_is_above_them(folder: Path) -> None:
    assert module_file("never_run.nets") == folder / "never_run" / "nets.py"
    assert module_file("never_run") == folder / "never_run" / "__init__.py"
    assert find_module("never_run.nets.below") is None


def test_it_survives_the_ledger(folder: Path) -> None:
    found = Environment.of(spec("never_run.nets:Net"), {})
    assert Environment.from_dict(found.to_dict()) == found

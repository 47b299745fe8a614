"""How the page is built: by what, when, and what a wheel holds of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dev import page

CLONE = Path(__file__).resolve().parents[3]


def _sources(root):
    (root / "src").mkdir(parents=True)
    for name in ("build.mjs", "package.json", "package-lock.json", "tsconfig.json", "src/main.tsx"):
        (root / name).write_text(name)
    return root


class TestDigest:
    def test_another_source_is_another_bundle(self, tmp_path):
        root = _sources(tmp_path)
        before = page.digest(root)
        (root / "src/main.tsx").write_text("changed")
        assert page.digest(root) != before

    def test_a_renamed_source_is_another_bundle(self, tmp_path):
        root = _sources(tmp_path)
        before = page.digest(root)
        (root / "src/main.tsx").rename(root / "src/other.tsx")
        assert page.digest(root) != before

    def test_what_is_no_source_is_none(self, tmp_path):
        root = _sources(tmp_path)
        before = page.digest(root)
        (root / "README.md").write_text("words")
        (root / "node_modules").mkdir()
        (root / "node_modules/x.ts").write_text("elsewhere")
        assert page.digest(root) == before


def test_node_comes_with_a_package_or_is_new_enough():
    found = page.node()
    assert found is not None
    program, npm = found
    assert subprocess.run([program, "--version"], check=True, capture_output=True).returncode == 0
    assert subprocess.run([*npm, "--version"], check=True, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_wheel_holds_the_bundle_and_no_sources_of_it(tmp_path):
    """Built from a copy, so that setuptools writes nothing into the checkout."""
    copy = tmp_path / "copy"
    shutil.copytree(
        CLONE,
        copy,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", ".state", "node_modules", "build", "*.egg-info", "unpacked", "tests", ".*_cache"
        ),
    )
    page.build()
    shutil.copytree(page.STATIC, copy / "airflow_dataml/plugins/static", dirs_exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(copy),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    static = {Path(name).name for name in names if name.startswith("airflow_dataml/plugins/static/")}
    assert {file.name for file in page.STATIC.iterdir()} == static
    assert "airflow_dataml/plugins/unbuilt.js" in names
    assert [name for name in names if "plugins/www" in name or name.startswith("dev/")] == []

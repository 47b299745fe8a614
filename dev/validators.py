"""Other people's validators of the formats the catalog is exported in, in a virtual environment of their own.

What they are pinned to contradicts what Airflow is pinned to. ``python -m dev.validators`` makes the environment,
once; the list of what is in it is ``validators.txt`` beside this file, and nothing else is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
LIST = CLONE / "dev/validators.txt"
FOLDER = CLONE / ".venv-validators"
_STAMP = FOLDER / "installed"
_SECONDS = 900


class ValidatorsError(Exception):
    """The environment could not be made."""


def interpreter() -> Path:
    """Return the Python that has the validators; the first time this takes a minute or two.

    :raises ValidatorsError: they could not be installed; with what pip said.
    """
    python = FOLDER / "bin/python"
    FOLDER.mkdir(exist_ok=True)
    with (CLONE / ".venv-validators.lock").open("w") as lock:
        # Two test runs at once make one environment.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (python.exists() and _STAMP.exists() and _STAMP.read_text() == _wanted()):
            _make(python)
    return python


def _wanted() -> str:
    # A virtual environment does not survive being moved.
    said = f"{CLONE} {sys.version_info[:2]} {LIST.read_text()}"
    return hashlib.sha256(said.encode()).hexdigest()


def _make(python: Path) -> None:
    _STAMP.unlink(missing_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
    # Nothing is written outside the clone unless the caller has named a place for it.
    cache = [] if os.environ.get("PIP_CACHE_DIR") else ["--no-cache-dir"]
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", *cache]
    _run([*pip, "-r", str(LIST)])
    _STAMP.write_text(_wanted())


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        msg = f"the validators could not be installed: {err}"
        raise ValidatorsError(msg) from err
    if done.returncode:
        msg = f"the validators could not be installed: {' '.join(command)}: {done.stderr.strip()[-2000:]}"
        raise ValidatorsError(msg)


if __name__ == "__main__":
    try:
        print(interpreter())
    except ValidatorsError as err:
        sys.exit(str(err))

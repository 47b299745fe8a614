"""The modules of the page, as they were built into ``plugins/static``."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

MAIN = "dataml.js"


@cache
def sources() -> dict[str, bytes]:
    """Return every module of the page by name; where none was built, one that says so."""
    folder = resources.files("airflow_dataml.plugins") / "static"
    files = folder.iterdir() if folder.is_dir() else ()
    found = {file.name: file.read_bytes() for file in files if file.name.endswith(".js")}
    if MAIN not in found:
        return {MAIN: stand_in()}
    return dict(sorted(found.items()))


def stand_in() -> bytes:
    """Return what is shown where the page was not built."""
    return (resources.files("airflow_dataml.plugins") / "unbuilt.js").read_bytes()


@cache
def digest() -> str:
    """Return the content of all modules as one word, so that no browser runs an older one."""
    total = hashlib.sha256()
    for name, source in sources().items():
        total.update(f"{name}\n{hashlib.sha256(source).hexdigest()}\n".encode())
    return total.hexdigest()[:12]

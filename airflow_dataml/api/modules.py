"""The modules of the page, as they lie in ``plugins/static``."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

MAIN = "dataml.js"


@cache
def sources() -> dict[str, bytes]:
    """Return every module of the page by name."""
    folder = resources.files("airflow_dataml.plugins") / "static"
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".js")}
    return dict(sorted(found.items()))


@cache
def digest() -> str:
    """Return the content of all modules as one word, so that no browser runs an older one."""
    total = hashlib.sha256()
    for name, source in sources().items():
        total.update(f"{name}\n{hashlib.sha256(source).hexdigest()}\n".encode())
    return total.hexdigest()[:12]

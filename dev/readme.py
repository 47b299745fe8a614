"""Fills the code blocks of README.md and docs/ from marked regions of the DAG files; ``--check`` only compares."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In the order in which they are read.
PAGES = tuple(
    ROOT / name
    for name in (
        "README.md",
        "docs/datasets.md",
        "docs/quality.md",
        "docs/models.md",
        "docs/monitoring.md",
        "docs/lineage.md",
        "docs/reference.md",
    )
)
_BLOCK = re.compile(r"<!-- region (\S+) (\S+) -->\n```python\n.*?```\n<!-- endregion -->", re.DOTALL)


def region(file: str, name: str) -> str:
    """Text between ``# [region name]`` and ``# [endregion name]``, as a reader would write it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"# \[region {name}\]\n(.*?)\n[ ]*# \[endregion {name}\]", text, re.DOTALL)
    if found is None:
        sys.exit(f"{file} has no region {name!r}")
    return textwrap.dedent(found[1])


def filled(page: str) -> str:
    """A page with every block as its DAG file has it now."""
    return _BLOCK.sub(
        lambda m: f"<!-- region {m[1]} {m[2]} -->\n```python\n{region(m[1], m[2])}\n```\n<!-- endregion -->",
        page,
    )


if __name__ == "__main__":
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if "--check" in sys.argv and before != after:
            sys.exit(f"{path.relative_to(ROOT)} differs from the DAG files: run python -m dev.readme")
        path.write_text(after, encoding="utf-8")

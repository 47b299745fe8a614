"""Fills the code blocks of README.md from marked regions of the DAG files; ``--check`` only compares."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"<!-- region (\S+) (\S+) -->\n```python\n.*?```\n<!-- endregion -->", re.DOTALL)


def region(file: str, name: str) -> str:
    """Text between ``# [region name]`` and ``# [endregion name]``, as a reader would write it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"# \[region {name}\]\n(.*?)\n[ ]*# \[endregion {name}\]", text, re.DOTALL)
    if found is None:
        sys.exit(f"{file} has no region {name!r}")
    return textwrap.dedent(found[1])


def filled(readme: str) -> str:
    """README with every block as its DAG file has it now."""
    return _BLOCK.sub(
        lambda m: f"<!-- region {m[1]} {m[2]} -->\n```python\n{region(m[1], m[2])}\n```\n<!-- endregion -->",
        readme,
    )


if __name__ == "__main__":
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = filled(before)
    if "--check" in sys.argv:
        sys.exit(0 if before == after else "README.md differs from the DAG files: run python -m dev.readme")
    path.write_text(after, encoding="utf-8")

"""Nothing in the package grows out of sight: lines of a module, lines of a function's body."""

from __future__ import annotations

import ast
from pathlib import Path

import airflow_dataml

ROOT = Path(airflow_dataml.__file__).parent
MODULE_LINES, BODY_LINES = 500, 60
FILES = sorted(ROOT.rglob("*.py"))


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from a function's first statement to its last; its docstring is none of them.

    >>> source = "def f():\\n    'Says one.'\\n    x = 1\\n\\n    return x"
    >>> body_lines(ast.parse(source).body[0])
    3
    """
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def too_long(source: str) -> list[str]:
    """Name the functions of a module whose bodies are too long."""
    return [
        f"{node.lineno} {node.name}: {body_lines(node)} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > BODY_LINES
    ]


def test_the_package_is_looked_at() -> None:
    assert len(FILES) > 300
    lines = "".join(f"    x = {number}\n" for number in range(BODY_LINES))
    assert too_long(f"def f():\n    '''Says\n    much.'''\n{lines}") == []
    assert too_long(f"class A:\n  async def g(self):\n{lines}    return x\n") == ["2 g: 61 lines"]


def test_no_module_is_too_long() -> None:
    found = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines > MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {str(path.relative_to(ROOT)): too_long(path.read_text()) for path in FILES}
    assert {name: functions for name, functions in found.items() if functions} == {}

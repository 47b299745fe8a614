from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dev.readme import ROOT, filled

README = (ROOT / "README.md").read_text(encoding="utf-8")
_REGIONS = re.compile(r"<!-- region .*?<!-- endregion -->", re.DOTALL)


def blocks(language: str) -> list[str]:
    """Code blocks that no DAG file fills."""
    return re.findall(rf"```{language}\n(.*?)```", _REGIONS.sub("", README), re.DOTALL)


def commands() -> list[str]:
    """Every ``dataml`` line of the README, as a shell would hand it over."""
    lines = re.findall(r"^\$ dataml (.*)$", "\n".join(blocks("console")), re.MULTILINE)
    return [line.partition(" > ")[0] for line in lines]


def test_every_snippet_is_a_region_of_a_dag() -> None:
    assert README.count("<!-- region dags/") == 8
    assert filled(README) == README


def test_the_other_snippets_run() -> None:
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102 - our own README, read from top to bottom as people do
    assert {"flights", "rides", "staged", "watched"} <= names.keys()


def test_the_block_of_a_contract_parses() -> None:
    from airflow_dataml.core.contract import Contract

    [block] = blocks("yaml")
    columns = "".join(f"  - name: {name}\n" for name in ("rider", "fare", "zone"))
    contract = Contract.from_text(
        f"dataset: w/rides\nchecks: [row_count: ]\ncolumns:\n{columns}{block}", source="README.md"
    )
    assert len(contract.extension.checks) == 4


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    from airflow_dataml.cli.main import build_parser

    assert build_parser().parse_args(shlex.split(line, comments=True)).command


def test_every_linked_file_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert Path(ROOT, target).is_file(), target


def test_the_configuration_reference_is_complete() -> None:
    from airflow_dataml.get_provider_info import get_provider_info

    for option, facts in get_provider_info()["config"]["dataml"]["options"].items():
        assert f"| `{option}` |" in README, facts


def test_everything_a_dag_can_use_is_named() -> None:
    from airflow_dataml.get_provider_info import get_provider_info
    from tests.unit.test_public_names import HELPERS, PUBLIC

    shown = [
        name
        for module, names in PUBLIC.items()
        if module.partition(".")[0] in {"operators", "sensors", "notifications", "task_groups"}
        and module not in HELPERS
        for name in names
    ]
    assert [name for name in shown if f"`{name}`" not in README] == []
    decorators = [f"`@task.{d['name']}`" for d in get_provider_info()["task-decorators"]]
    assert all(name in README for name in decorators)

from __future__ import annotations

import configparser
import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from dev.readme import PAGES, ROOT, filled
from tests.unit.cli.test_parser import NAMES

if TYPE_CHECKING:
    from pathlib import Path

PAGE = {page: page.read_text(encoding="utf-8") for page in PAGES}
# The README and what it leads to, in the order in which they are read.
README = "\n".join(PAGE.values())
_REGIONS = re.compile(r"<!-- region .*?<!-- endregion -->", re.DOTALL)


def blocks(language: str) -> list[str]:
    """Code blocks that no DAG file fills."""
    return re.findall(rf"```{language}\n(.*?)```", _REGIONS.sub("", README), re.DOTALL)


def commands() -> list[str]:
    """Every ``dataml`` line of the documentation, as a shell would hand it over."""
    lines = re.findall(r"^\$ dataml (.*)$", "\n".join(blocks("console")), re.MULTILINE)
    return [line.partition(" > ")[0] for line in lines]


def test_every_snippet_is_a_region_of_a_dag() -> None:
    assert README.count("<!-- region dags/") == 18
    assert filled(README) == README


def test_the_other_snippets_run() -> None:
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102 - our own README, read from top to bottom as people do
    assert {"flights", "trips", "rides", "staged", "watched"} <= names.keys()


def test_the_block_of_a_contract_parses() -> None:
    from airflow_dataml.core.contract import Contract

    [block] = [block for block in blocks("yaml") if block.startswith("x-dataml:")]
    columns = "".join(f"  - name: {name}\n" for name in ("rider", "fare", "zone"))
    contract = Contract.from_text(
        f"dataset: w/rides\nchecks: [row_count: ]\ncolumns:\n{columns}{block}", source="docs/quality.md"
    )
    assert len(contract.extension.checks) == 4


def test_the_file_of_assets_is_understood(tmp_path: Path) -> None:
    from airflow_dataml.core.catalog_yaml import read_entries

    [block] = [block for block in blocks("yaml") if block.startswith("assets:")]
    (tmp_path / "catalog.yml").write_text(block)
    assert [entry.name for entry in read_entries(tmp_path / "catalog.yml")] == ["airport_board"]


def test_the_lineage_backends_are_understood() -> None:
    from airflow_dataml.core.delivery import parse_backends

    [block] = blocks("json")
    assert [spec.kind for spec in parse_backends(block)] == ["http", "http", "file", "kafka"]


def test_the_configuration_of_airflow_is_understood() -> None:
    from airflow_dataml.core.delivery import parse_backends

    for block in blocks("ini"):
        written = configparser.ConfigParser(interpolation=None)
        written.read_string(block)
        assert json.loads(written["openlineage"]["transport"]) == {
            "type": "airflow_dataml.transport.OutboxTransport"
        }
        if "dataml" in written:
            assert parse_backends(written["dataml"]["lineage_backends"])


def test_the_event_posted_by_curl_is_one() -> None:
    from airflow_dataml.core.openlineage import read_event

    [event] = re.findall(r"-d '(\{\n.*?\})'\n", "\n".join(blocks("console")), re.DOTALL)
    assert read_event(json.loads(event)).problems == ()


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    from airflow_dataml.cli.main import build_parser

    assert build_parser().parse_args(shlex.split(line, comments=True)).command


def test_every_linked_file_is_there() -> None:
    for page, text in PAGE.items():
        for target, anchor in re.findall(r"\]\((?!http)([^)#]+)(?:#([^)]*))?\)", text):
            found = page.parent / target
            assert found.is_file(), target
            assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """How a page's headings are linked to."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_readme_is_read_in_one_go() -> None:
    assert len(PAGE[ROOT / "README.md"].splitlines()) <= 500


@pytest.mark.parametrize("command", NAMES)
def test_every_command_is_listed(command: str) -> None:
    assert f"| `{command}` |" in PAGE[ROOT / "docs/reference.md"]


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

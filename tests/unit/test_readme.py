from __future__ import annotations

import re
from pathlib import Path

from dev.readme import ROOT, filled

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_snippet_is_a_region_of_a_dag() -> None:
    assert README.count("<!-- region dags/") == 5
    assert filled(README) == README


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

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

"""What the demo's DAGs take from how a run is started, and when their watchers begin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).parents[2] / "dags"
_RENDER = """
import json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from airflow.dag_processing.dagbag import DagBag

def dag(name):
    return DagBag(f"{sys.argv[1]}/{name}.py").dags[name]

def dropped(conf):
    task = dag("flights_impact").get_task("impact")
    task.render_template_fields({"dag_run": SimpleNamespace(conf=conf)})
    return task.drop

found = {"dropped": [dropped(conf) for conf in json.loads(sys.argv[2])], "paused": dag("flights_blame").is_paused_upon_creation}
print(json.dumps(found))
"""
CONFS = [{"drop": ["visib", "precip"]}, {"dataml_branch": "trial"}, {}]


@pytest.fixture(scope="module")
def read() -> Any:
    """What Airflow makes of the files; in a process of its own, for reading them registers them."""
    command = [sys.executable, "-c", _RENDER, str(DAGS), json.dumps(CONFS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=DAGS.parent)  # noqa: S603 - our own code
    return json.loads(done.stdout.splitlines()[-1])


def test_columns_that_would_be_gone_come_with_the_run(read: Any) -> None:
    assert read["dropped"] == [["visib", "precip"], [], []]


def test_the_watcher_of_incidents_begins_when_its_file_is_read_first(read: Any) -> None:
    assert read["paused"] is False

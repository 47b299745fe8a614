"""What importing us costs: nothing heavy, nowhere that Airflow imports us."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_dataml

ROOT = Path(airflow_dataml.__file__).parents[1]
HEAVY = (
    "torch", "lightning", "pytorch_lightning", "mlflow", "soda_core", "soda_postgres", "openlineage", "pandas",
    "numpy", "pyarrow", "scipy", "onnx", "onnxruntime", "fastapi", "sqlglot",
)  # fmt: skip
KINDS = (
    "operators",
    "sensors",
    "triggers",
    "decorators",
    "task_groups",
    "hooks",
    "notifications",
    "listeners",
)
# What any DAG file with a Postgres task has loaded; what this brings is not our doing.
BASELINE = ("airflow.sdk", "airflow.providers.postgres.hooks.postgres")
_PROBE = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[2].split(): importlib.import_module(name)
baseline = set(sys.modules)
for name in sys.argv[1].split(): importlib.import_module(name)
print(json.dumps({"baseline": sorted(baseline - before), "ours": sorted(set(sys.modules) - baseline)}))
"""


def imported(names, baseline=()):
    """Import modules in a fresh interpreter; what the baseline loaded, and what came on top."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _PROBE, " ".join(names), " ".join(baseline)],
        capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])
    return set(answer["baseline"]), set(answer["ours"])


def modules_of(kind):
    package = importlib.import_module(f"airflow_dataml.{kind}")
    return [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]


def heavy(names):
    return sorted({name.split(".")[0] for name in names} & set(HEAVY))


def test_what_every_airflow_process_imports_imports_nothing():
    _, ours = imported(["airflow_dataml", "airflow_dataml.get_provider_info"])
    assert {name for name in ours if name.startswith("airflow")} == {
        "airflow_dataml",
        "airflow_dataml.get_provider_info",
    }
    assert ours <= {"airflow_dataml", "airflow_dataml.get_provider_info", "__future__"}


def test_calling_provider_info_imports_nothing():
    script = "import sys; from airflow_dataml.get_provider_info import get_provider_info as g; n = set(sys.modules); g(); print(len(set(sys.modules) - n))"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_dag_file_loads_nothing_heavy(kind):
    names = modules_of(kind)
    if not names:
        return
    baseline, ours = imported(names, BASELINE)
    assert heavy(ours) == [], f"brought by airflow_dataml.{kind}; the baseline has {heavy(baseline)}"


def test_the_plugin_loads_nothing_heavy_into_a_task():
    _, ours = imported(["airflow_dataml.plugins.plugin"], BASELINE)
    assert heavy(ours) == []
    assert sorted(name for name in ours if name.startswith("airflow_dataml.")) == [
        "airflow_dataml.listeners",
        "airflow_dataml.listeners.catalog",
        "airflow_dataml.listeners.lineage",
        "airflow_dataml.plugins",
        "airflow_dataml.plugins.plugin",
    ]


def test_core_and_steps_know_no_airflow():
    names = [*modules_of("core"), *modules_of("steps")]
    _, ours = imported(names)
    assert heavy(ours) == []
    assert "airflow" not in ours
    assert "psycopg" not in ours

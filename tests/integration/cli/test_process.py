"""``dataml`` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
_PROBE = """
import json, sys, time
started = time.process_time()
from airflow_dataml.cli.main import main
code = main(sys.argv[1:])
heavy = [name for name in ("airflow", "pandas", "numpy", "mlflow", "sqlalchemy") if name in sys.modules]
print(json.dumps({"code": code, "heavy": heavy, "seconds": time.process_time() - started}), file=sys.stderr)
"""


def _probe(*argv, **variables):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "DATAML"))}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _PROBE, *argv],
        capture_output=True, text=True, check=True, cwd=ROOT, env=clean | {"PYTHONPATH": str(ROOT)} | variables,
    )  # fmt: skip
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "argv", [("status",), ("dataset", "list"), ("lineage", "ride_demand"), ("audit", "verify")], ids=" ".join
)
def test_reading_the_ledger_imports_no_airflow(filled_dsn, argv):
    out, probe = _probe(*argv, DATAML_LEDGER_DSN=filled_dsn)
    assert out
    assert probe["code"] == 0
    assert probe["heavy"] == []
    assert probe["seconds"] < 2


def test_output_cut_by_its_reader_is_no_error(filled_dsn):
    command = f"{sys.executable} -m airflow_dataml.cli.main dataset show rides --json | true"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"DATAML_LEDGER_DSN": filled_dsn, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.slow
def test_without_variables_airflow_is_asked(tmp_path):
    out, probe = _probe("status", AIRFLOW_HOME=str(tmp_path))
    assert out == ""
    assert probe["code"] == 1
    assert "airflow" in probe["heavy"]

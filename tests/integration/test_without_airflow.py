"""Core, steps and adapters are useful alone: the model lifecycle runs where Airflow cannot be imported."""

from __future__ import annotations

import subprocess
import sys

from dev.readme import ROOT

_RUN = """
import sys
class NoAirflow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ImportError("airflow is not here")
sys.meta_path.insert(0, NoAirflow())
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/integration/steps", "-k", "alarm or exact_version or append"]))
"""


def test_the_lifecycle_needs_no_airflow() -> None:
    done = subprocess.run([sys.executable, "-c", _RUN], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout

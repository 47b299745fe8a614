from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_dataml.core.errors import MissingExtraError
from airflow_dataml.core.extras import load
from dev.readme import ROOT


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(
        MissingExtraError, match=r"'no_such_package' is not installed.*airflow-dataml\[soda\]"
    ):
        load("no_such_package", extra="soda")


def test_drift_without_scipy_names_the_extra() -> None:
    code = """
import sys
sys.modules["scipy"] = None
from airflow_dataml.core.statistics import shift_test
try: shift_test([1, 2], [2, 3], tolerance=0.0)
except ImportError as err: print(type(err).__name__, err)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 - our own code
    assert done.stdout.startswith("MissingExtraError 'scipy")
    assert "airflow-dataml[monitoring]" in done.stdout

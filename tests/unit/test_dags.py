"""The example DAGs: they parse, and parse light."""

from __future__ import annotations

import json
import subprocess
import sys

from dev.readme import ROOT

HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "mlflow",
    "soda_core",
    "onnx",
    "onnxruntime",
    "pandas",
    "numpy",
    "pyarrow",
    "scipy",
)
_PARSE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag(sys.argv[1])
came = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"errors": {k: str(v) for k, v in bag.import_errors.items()}, "dags": sorted(bag.dag_ids), "came": sorted(came)}))
"""


def test_the_lifecycle_parses_without_a_heavy_package() -> None:
    command = [sys.executable, "-c", _PARSE, str(ROOT / "dags")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 - our own code
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["errors"] == {}
    assert answer["dags"] == [
        "catalog_crawl", "catalog_export", "flights_blame", "flights_branch", "flights_daily", "flights_distil", "flights_external", "flights_features", "flights_impact", "flights_ingest", "flights_monitor", "flights_ray", "flights_reference", "flights_release", "flights_report", "flights_review",
        "flights_score", "flights_train", "flights_tune", "lineage_drain", "lineage_external", "weather_quarantine",
    ]  # fmt: skip
    assert not set(HEAVY) & set(answer["came"])

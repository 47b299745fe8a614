"""Runs operators as Airflow would: one context per task instance, connections from the environment."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.assets import dataset, model

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.operators.base import DataMLOperator

RIDES = dataset("rides", owner="ann")
FEATURES = dataset("ride_features")
DEMAND = model("ride_late", owner="bob")
PREDICTIONS = dataset("ride_predictions", kind="prediction")

CONTRACT = """
dataset: dataml/test/public/rides
columns:
  - {name: id, data_type: integer, checks: [{missing: {}}, {duplicate: {}}]}
  - {name: at, data_type: timestamp with time zone, checks: [{missing: {}}]}
  - {name: km, data_type: double precision, valid_min: 0, valid_max: 100, checks: [{invalid: {}}]}
  - {name: kind, data_type: text, valid_values: [bike, car, tram], checks: [{invalid: {}}]}
  - {name: late, data_type: integer}
checks:
  - row_count: {threshold: {must_be_greater_than: 10}}
"""

SPEC = """
model: ride_late
task: binary
target: late
features: [{name: km, kind: numeric}, {name: kind, kind: categorical}]
max_epochs: 2
batch_size: 256
learning_rate: 0.01
seed: 7
"""


@dataclass
class Events:
    """Stands for ``outlet_events``: remembers extras, and assets added through an alias."""

    extras: dict[str, Any] = field(default_factory=dict)
    added: list[Any] = field(default_factory=list)

    def __getitem__(self, asset: Any) -> Any:
        events = self

        class Accessor:
            def __setattr__(self, name: str, value: Any) -> None:
                events.extras[asset.name] = value

            def add(self, added: Any, extra: Any = None) -> None:
                events.added.append((added.name, extra))

        return Accessor()


def context(
    task_id: str, *, run_id: str = "r1", partition_key: str | None = None, try_number: int = 1
) -> dict[str, Any]:
    """What Airflow hands to ``execute``, as far as our operators look."""
    pushed: dict[str, Any] = {}

    def push(key: str, value: Any) -> None:
        pushed[key] = value

    ti = SimpleNamespace(
        dag_id="dag",
        run_id=run_id,
        task_id=task_id,
        map_index=-1,
        try_number=try_number,
        id=uuid.uuid4(),
        xcom_push=push,
        pushed=pushed,
    )
    dag_run = SimpleNamespace(partition_key=partition_key, bundle_version=None)
    return {"ti": ti, "dag_run": dag_run, "outlet_events": Events()}


def run(
    operator: DataMLOperator, *, run_id: str = "r1", partition_key: str | None = None, try_number: int = 1
) -> Any:
    """Execute an operator once."""
    return operator.execute(
        context(operator.task_id, run_id=run_id, partition_key=partition_key, try_number=try_number)
    )


def connections(dsn: str, folder: Path) -> dict[str, str]:
    """Environment that makes a ledger and an MLflow store on a database reachable."""
    info = conninfo_to_dict(dsn)
    common = {"host": str(info["host"]), "login": str(info["user"]), "schema": str(info["dbname"])}
    mlflow = common | {
        "conn_type": "dataml_mlflow",
        "extra": {"artifact_location": str(folder / "artifacts")},
    }
    return {
        "AIRFLOW_CONN_DATAML_DEFAULT": json.dumps(common | {"conn_type": "dataml"}),
        "AIRFLOW_CONN_DATAML_MLFLOW_DEFAULT": json.dumps(mlflow),
        "AIRFLOW__DATAML__WORK_DIR": str(folder / "work"),
    }


def batch(path: Path, *, month: int, rows: int = 1500, shift: float = 0.0) -> Path:
    """A month of rides; long rides are late more often, ``shift`` makes all rides longer."""
    draw = random.Random(month)  # noqa: S311 - test data
    lines = ["id,at,km,kind,late"]
    for index in range(rows):
        km = min(max(draw.gauss(10, 4) + shift, 0.1), 99)
        late = int(draw.random() < (0.9 if km > 12 + shift else 0.1))
        day, minute = 1 + index * 27 // rows, index % 60
        at = f"2026-{month:02d}-{day:02d}T10:{minute:02d}:00+00:00"
        lines.append(f"{month * 100_000 + index},{at},{km:.3f},{draw.choice(['bike', 'car', 'tram'])},{late}")
    path.write_text("\n".join(lines) + "\n")
    return path

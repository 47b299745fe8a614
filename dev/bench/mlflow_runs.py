"""What a tracked run and a dataset's digest cost: ours beside MLflow's fluent calls and its plain client.

A run is begun, given 15 parameters, 5 tags and 40 metrics, and ended, on one PostgreSQL without a server
between; every way in turn, so that a busy machine is busy for all of them. Of the digest there are two
costs: of making it, once, in the database that has the rows, and of giving it to a run.

    python -m dev.bench.mlflow_runs [--runs 40] [--rows 1000000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.fingerprints import fingerprint_relation
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.registry import MetricPoint
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow import MlflowClient

FLOOR_MS, DIGEST_FLOOR_S = 25.0, 0.3
COLUMNS = 30
PARAMS: dict[str, int | float | str | bool] = {f"param{i}": i / 7 for i in range(15)}
TAGS = {f"tag{i}": f"value {i}" for i in range(5)}
# Four metrics of ten epochs.
POINTS = [
    MetricPoint(f"metric{i}", 1 / (step + i + 1), step, 1_700_000_000_000 + step)
    for step in range(10)
    for i in range(4)
]
Times = dict[str, list[tuple[float, float]]]


def ways(uri: str, folder: Path) -> dict[str, Callable[[], object]]:
    """Everything that is measured, by name."""
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(uri)
    registry = MlflowRegistry(tracking_uri=uri, artifact_location=str(folder))
    client, keys = MlflowClient(uri, uri), count()
    experiment = client.create_experiment("plain", str(folder))
    mlflow.set_experiment("plain")
    return {
        "ours": lambda: _ours(registry, f"dag/run/train/{next(keys)}"),
        "client.log_batch": lambda: _plain(client, experiment),
        "fluent calls": _fluent,
    }


def _ours(registry: MlflowRegistry, key: str) -> None:
    run = registry.ensure_run(experiment="ours", key=key, name="fit", params=PARAMS, tags=TAGS)
    registry.log_metrics(run_id=run.run_id, points=POINTS)
    registry.finish_run(run_id=run.run_id, status="FINISHED")


def _plain(client: MlflowClient, experiment: str) -> None:
    from mlflow.entities import Metric, Param, RunTag

    run = client.create_run(experiment, run_name="fit")
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(p.key, p.value, p.timestamp_ms, p.step) for p in POINTS],
        params=[Param(key, str(value)) for key, value in PARAMS.items()],
        tags=[RunTag(key, value) for key, value in TAGS.items()],
    )
    client.set_terminated(run.info.run_id)


def _fluent() -> None:
    import mlflow

    with mlflow.start_run():
        mlflow.log_params(PARAMS)
        mlflow.set_tags(TAGS)
        for step in range(10):
            mlflow.log_metrics({p.key: p.value for p in POINTS if p.step == step}, step=step)


def measure(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one call; the database's own are not in the CPU's."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def report_runs(uri: str, folder: Path, runs: int) -> None:
    """Measure runs and print."""
    found = ways(uri, folder)
    times: Times = {name: [] for name in found}
    for turn in range(runs + 3):
        for name, run in found.items():
            taken = measure(run)
            # The first of each opens connections and compiles statements.
            if turn >= 3:
                times[name].append(taken)
    print(f"{runs} runs of 40 metrics, 15 parameters, 5 tags")
    print(f"{'':22}{'best ms':>9}{'median ms':>11}{'CPU ms':>9}{'x ours':>8}")
    median = {name: statistics.median(wall for wall, _ in some) for name, some in times.items()}
    for name, some in times.items():
        best, cpu = min(wall for wall, _ in some), statistics.median(cpu for _, cpu in some)
        print(f"{name:22}{best:9.1f}{median[name]:11.1f}{cpu:9.1f}{median[name] / median['ours']:7.2f}x")
    held = "held" if median["ours"] <= FLOOR_MS else "MISSED"
    print(f"floor {FLOOR_MS:.0f} ms (median): {held}\n")


def report_digests(dsn: str, uri: str, folder: Path, rows: int) -> None:
    """Measure digests of one table of numbers and print."""
    import mlflow.data
    import numpy as np
    import pandas as pd  # type: ignore[import-untyped]  # stubs are a package of their own

    frame = pd.DataFrame(
        np.random.default_rng(7).random((rows, COLUMNS)), columns=[f"c{i}" for i in range(COLUMNS)]
    )
    dataset: Any = mlflow.data
    theirs = measure(lambda: dataset.from_pandas(frame).digest)
    changed = frame.copy()
    changed.iloc[rows // 2, 0] += 1.0
    blind = dataset.from_pandas(frame).digest == dataset.from_pandas(changed).digest
    _fill(dsn, rows)
    with Connection(dsn) as db:
        table = Relation("public", "numbers")
        made = min(measure(lambda: fingerprint_relation(db, table)) for _ in range(3))
        before = fingerprint_relation(db, table).text
        with psycopg.connect(dsn) as writer:
            writer.execute("UPDATE numbers SET c0 = c0 + 1 WHERE id = %s", [rows // 2])
        ours_blind = fingerprint_relation(db, table).text == before
    registry = MlflowRegistry(tracking_uri=uri, artifact_location=str(folder))
    keys = (f"digest{turn}" for turn in count())
    given = min(measure(lambda: _give(registry, next(keys), before)) for _ in range(5))
    print(f"digest of {rows:,} rows x {COLUMNS}")
    print(f"{'':40}{'wall s':>9}{'client CPU s':>14}  a change in the middle is")
    for name, (wall, cpu), unseen in (
        ("MLflow's from_pandas", theirs, blind),
        ("ours, given to a run (kept with the data)", given, ours_blind),
        ("ours, made in the database, once", made, ours_blind),
    ):
        print(f"{name:42}{wall / 1000:7.3f}{cpu / 1000:14.3f}  {'NOT SEEN' if unseen else 'seen'}")
    held = "held" if made[0] / 1000 < DIGEST_FLOOR_S else "MISSED"
    print(
        f"floor {DIGEST_FLOOR_S} s for every row: {held}; MLflow's takes {theirs[0] / made[0]:.0f} times as long"
    )


def _fill(dsn: str, rows: int) -> None:
    columns = ", ".join(f"random() AS c{i}" for i in range(COLUMNS))
    with psycopg.connect(dsn, autocommit=True) as writer:
        writer.execute(f"CREATE TABLE numbers AS SELECT i AS id, {columns} FROM generate_series(1, {rows}) i")
        writer.execute("VACUUM ANALYZE numbers")


def _give(registry: MlflowRegistry, key: str, digest: str) -> None:
    run = registry.ensure_run(experiment="digests", key=key, name="fit", params={}, tags={})
    registry.log_dataset(
        run_id=run.run_id,
        name="numbers",
        version=1,
        digest=digest,
        uri="dataml://dataset/numbers",
        context="training",
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-mlflow-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
    ):
        dsn = ensure_database(server, "bench")
        info = conninfo_to_dict(dsn)
        uri = mlflow_uri(host=str(info["host"]), login=str(info["user"]), database=str(info["dbname"]))
        artifacts = Path(folder) / "artifacts"
        MlflowRegistry(tracking_uri=uri, artifact_location=str(artifacts)).ensure_schema()
        report_runs(uri, artifacts, options.runs)
        report_digests(dsn, uri, artifacts, options.rows)


if __name__ == "__main__":
    main()

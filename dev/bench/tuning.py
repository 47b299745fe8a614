"""What a trial costs beside its objective: ours, plain Optuna on the same PostgreSQL, and Ray Tune.

The objective computes nothing, has four settings and reports five epochs, each of which may prune it. Ours is the
whole loop of a tuning task: what it proposes, its tables, its folders, its lines, and MLflow.

    python -m dev.bench.tuning --trials 100 --repeat 3 --ray 8
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.adapters.optuna import OptunaStudies
from airflow_dataml.core.training import Progress
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.tuning_trials import TrialOutcome
from airflow_dataml.steps.trials import Shard, TuningBench
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.tuning_trials import TrialJob

EPOCHS = 5
TRAINING = {
    "model": "m",
    "task": "binary",
    "target": "late",
    "features": [{"name": "km"}],
    "max_epochs": EPOCHS,
}
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    "batch_size": {"low": 32, "high": 1024},
    "module_arguments.dropout": {"low": 0.0, "high": 0.5},
    "module_arguments.hidden": [[8], [16, 8], [64, 32]],
}


def loss_of(rate: float, dropout: float, epoch: int) -> float:
    """The objective: something to be better at."""
    return abs(rate - 0.01) * 10 + dropout / epoch


class Nothing:
    """Trains in no time."""

    killed = False

    def check(self, spec: TrainingSpec) -> None:
        """Everything can be trained."""

    def close(self) -> None:
        """Nothing is running."""

    def kill(self) -> None:
        """Nothing is running."""

    def run(self, job: TrialJob, *, on_progress: Callable[[Progress], bool]) -> TrialOutcome | None:
        """Report five epochs."""
        rate, dropout = job.spec.learning_rate, float(str(job.spec.module_arguments["dropout"]))
        for epoch in range(1, EPOCHS + 1):
            progress = Progress(
                epoch=epoch,
                max_epochs=EPOCHS,
                step=epoch,
                loss=None,
                validation_loss=loss_of(rate, dropout, epoch),
                rows_per_second=1.0,
                eta_seconds=0.0,
            )
            if not on_progress(progress):
                return None
        return TrialOutcome(metrics={"auc": 1 - rate}, epochs=EPOCHS, seconds=0.0, resumed=False)


def ours(dsn: str, name: str, trials: int, folder: Path) -> tuple[float, float]:
    """Run a whole tuning task's loop; seconds of wall clock and of this process's CPU."""
    spec = TuningSpec.from_mapping({"training": TRAINING, "space": SPACE, "trials": trials, "prune": True})
    info = conninfo_to_dict(dsn)
    uri = mlflow_uri(host=str(info["host"]), login=str(info["user"]), database=str(info["dbname"]))
    registry = MlflowRegistry(tracking_uri=uri, artifact_location=str(folder / "artifacts"))
    registry.ensure_schema()
    studies = OptunaStudies(dsn)
    studies.check()
    tracked = registry.ensure_run(experiment="bench", key=name, name=name, params={}, tags={})
    bench = TuningBench(Nothing(), studies, registry, OnnxScorer.load, folder, "bench")
    wall, cpu = time.perf_counter(), time.process_time()
    with studies.open(name, spec=spec, shard=0, shards=1) as study:
        Shard(study, spec, bench, tracked.run_id, folder, 0, 1).work()
    registry.finish_run(run_id=tracked.run_id, status="FINISHED")
    return time.perf_counter() - wall, time.process_time() - cpu


def plain(dsn: str, name: str, trials: int) -> tuple[float, float]:
    """Run the same with Optuna alone; seconds of wall clock and of this process's CPU."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-4, 0.1, log=True)
        trial.suggest_int("batch_size", 32, 1024)
        dropout = trial.suggest_float("dropout", 0.0, 0.5)
        trial.suggest_categorical("hidden", ["a", "b", "c"])
        for epoch in range(1, EPOCHS + 1):
            trial.report(-loss_of(rate, dropout, epoch), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 1 - rate

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS plain")
    options = {"creator": lambda: psycopg.connect(dsn, options="-csearch_path=plain")}
    storage = optuna.storages.RDBStorage("postgresql+psycopg://", engine_kwargs=options)
    wall, cpu = time.perf_counter(), time.process_time()
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=2),
    )
    study.optimize(objective, n_trials=trials)
    took = time.perf_counter() - wall, time.process_time() - cpu
    storage.remove_session()
    storage.engine.dispose()
    return took


def ray_tune(trials: int, folder: Path) -> float:
    """Run as many with Ray Tune on a local cluster that is up already; seconds of wall clock."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray import tune

    def objective(config: dict[str, float]) -> None:
        for epoch in range(1, EPOCHS + 1):
            tune.report({"loss": loss_of(config["rate"], config["dropout"], epoch)})

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        space = {"rate": tune.loguniform(1e-4, 0.1), "dropout": tune.uniform(0.0, 0.5)}
        started = time.perf_counter()
        tune.Tuner(
            objective,
            param_space=space,
            tune_config=tune.TuneConfig(num_samples=trials, metric="loss", mode="min"),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        ).fit()
        return time.perf_counter() - started
    finally:
        ray.shutdown()


def main() -> None:
    """Read the arguments, start a server, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ray", type=int, default=8, metavar="TRIALS", help="0 leaves Ray Tune out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dataml-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with embedded_postgres(folder / "data") as server:
            dsn = ensure_database(server, "bench")
            ours(dsn, "warm", 12, folder / "warm")
            plain(dsn, "warm", 12)
            both: dict[str, list[tuple[float, float]]] = {"ours": [], "plain Optuna": []}
            for turn in range(given.repeat):
                both["ours"].append(ours(dsn, f"run-{turn}", given.trials, folder / str(turn)))
                both["plain Optuna"].append(plain(dsn, f"run-{turn}", given.trials))
        print(f"ms per trial beside the objective; load {os.getloadavg()[0]:.1f}, medians of {given.repeat}")
        for side, took in both.items():
            wall, cpu = (statistics.median(one[at] for one in took) / given.trials * 1000 for at in (0, 1))
            print(f"{side:14}{wall:8.1f} wall{cpu:8.1f} CPU   ({given.trials} trials)")
        if given.ray:
            wall = ray_tune(given.ray, folder / "ray") / given.ray * 1000
            print(f"{'Ray Tune':14}{wall:8.1f} wall                ({given.ray} trials, without ray.init)")


if __name__ == "__main__":
    main()

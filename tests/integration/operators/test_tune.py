"""Tuning for real: Lightning trials, Optuna on PostgreSQL, MLflow, as tasks do it."""

from __future__ import annotations

import os
import random
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.lightning import LightningTrials
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.adapters.optuna import OptunaStudies
from airflow_dataml.core.errors import SpecError, TrainingSpecError
from airflow_dataml.core.training import Progress
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.tuning_trials import Trial, TrialOutcome, TuningResult
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from airflow_dataml.operators.tune import ModelTuneChoiceOperator, ModelTuneOperator
from airflow_dataml.steps.trials import TuningBench
from airflow_dataml.steps.tune import tune_model
from tests.integration.operators.harness import DEMAND, FEATURES, SPEC, context, run
from tests.integration.operators.telling import tell
from tests.integration.operators.world import WINDOW
from tests.openlineage_schemas import problems
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.tuning_trials import TrialJob
    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration
SPACE = """
space:
  learning_rate: {low: 0.0001, high: 0.1, log: true}
  batch_size: {low: 64, high: 512}
  module_arguments.hidden: [[8], [32, 16], [64, 32]]
"""


def planned(world: World, **budget: Any) -> dict[str, Any]:
    """Bring two months in and plan; returns the arguments of a tuning."""
    for steps in (world.ingest(1), world.ingest(2)):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    (world.folder / "spec.yml").write_text(SPEC)
    path = world.folder / "tune.yml"
    path.write_text("training: spec.yml\n" + SPACE + "".join(f"{k}: {v}\n" for k, v in budget.items()))
    plan = run(
        TrainingPlanOperator(task_id="plan", model=DEMAND, dataset=FEATURES, target="late", window=WINDOW)
    )
    return {"model": DEMAND, "plan": plan, "spec": str(path)}


@pytest.mark.slow
def test_the_chosen_spec_of_a_tuning_is_trained(make_world: Callable[[], World]) -> None:
    world = make_world()
    arguments = planned(world, trials=5, prune="true", seed=3)
    told = tell(ModelTuneOperator(task_id="tune", **arguments))
    assert (told.error, problems(told.start), problems(told.end)) == (None, [], [])
    result = told.result
    with world.ledger() as ledger:
        body = ledger.reports.get(result["report"]).body
    trials = TuningResult.from_dict(body).trials
    # The spec's own settings came first, as far as the space has them.
    assert (trials[0].params["learning_rate"], trials[0].params["batch_size"]) == (0.01, 256)
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert body["best"] == result["best"] == max(
        (t for t in trials if t.state == "complete"), key=lambda t: t.metric or 0
    ).number  # fmt: skip
    assert result["metric"] > 0.8
    assert result["spec"]["module_arguments"]["hidden"] in ([8], [32, 16], [64, 32])
    again = run(ModelTuneOperator(task_id="tune", **arguments), try_number=2)
    assert again == result
    points = MlflowHook().registry()
    with points._answers() as client:
        history = client.get_metric_history(body["run_id"], "auc")
        assert client.get_run(body["run_id"]).info.status == "FINISHED"
    assert [point.step for point in history] == [t.number for t in trials if t.state == "complete"]
    trained = run(ModelTrainOperator(task_id="train", **(arguments | {"spec": result["spec"]})))
    with world.ledger() as ledger:
        spec = ledger.versions.find(trained["version"]).facts["spec"]
    assert spec["learning_rate"] == trials[result["best"]].params["learning_rate"]


@pytest.mark.slow
def test_shards_share_a_study_and_a_choice_ends_it(make_world: Callable[[], World]) -> None:
    arguments = planned(make_world(), trials=3, objective="both")
    tuned = [
        run_mapped(ModelTuneOperator(task_id="tune", shard=shard, shards=2, **arguments), shard)
        for shard in (0, 1)
    ]
    assert [one["trials"] for one in tuned] == [2, 1]
    assert len({one["study"] for one in tuned}) == len({one["run_id"] for one in tuned}) == 1
    told = tell(ModelTuneChoiceOperator(task_id="choose", tuned=tuned, **arguments))
    assert (told.error, problems(told.start), problems(told.end)) == (None, [], [])
    assert told.result["trials"] == 3
    assert told.result["latency_ms"] > 0
    assert told.result["best"] in told.result["front"]


def run_mapped(operator: ModelTuneOperator, shard: int) -> Any:
    said = context(operator.task_id)
    said["ti"].map_index = shard
    return operator.execute(said)


def test_what_cannot_be_tuned_is_refused(make_world: Callable[[], World]) -> None:
    arguments = planned(make_world(), trials=3)
    with pytest.raises(SpecError, match=r"shard 2 of 2 does not exist: write \.expand\(shard=range\(2\)\)"):
        run(ModelTuneOperator(task_id="t", shard=2, shards=2, **arguments))
    written = TuningSpec.from_yaml(arguments["spec"]).model_dump(mode="json")
    spec, space = written["training"], written["space"]
    with pytest.raises(TrainingSpecError, match="there is no budget"):
        run(ModelTuneOperator(task_id="t", **(arguments | {"spec": {"training": spec, "space": space}})))
    tuned = [{"study": name, "run_id": "r"} for name in "ab"]
    with pytest.raises(SpecError, match="the shards worked on 2 studies"):
        run(ModelTuneChoiceOperator(task_id="c", tuned=tuned, **arguments))
    for operator in (
        ModelTuneOperator(task_id="t", **arguments),
        ModelTuneChoiceOperator(task_id="t", tuned=[], **arguments),
    ):
        said = context("t")
        said["dag_run"].conf = {"dataml_branch": "dev"}
        with pytest.raises(SpecError, match="a tuning of 'ride_late' would be everybody's"):
            operator.execute(said)


class Points:
    """Moments at which the process may be killed; the n-th of them kills it."""

    def __init__(self, deadly: int) -> None:
        self.left = deadly

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Fragile:
    """Anything, with a point before and after every call of it, or of one method."""

    def __init__(self, inner: Any, point: Points, only: str | None = None) -> None:
        self._inner, self._point, self._only = inner, point, only

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or self._only not in (None, name):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._point()
            answer = found(*args, **kwargs)
            self._point()
            return answer

        return call


class FragileStudies:
    """Studies whose every study is fragile."""

    def __init__(self, inner: OptunaStudies, point: Points, only: str | None = None) -> None:
        self.check, self.read, self._inner = inner.check, inner.read, inner
        self._point, self._only = point, only

    @contextmanager
    def open(self, name: str, **said: Any) -> Iterator[Any]:
        with self._inner.open(name, **said) as study:
            yield Fragile(study, self._point, self._only)


class QuickRunner:
    """Knows the outcome of a trial from its settings."""

    killed = False

    def check(self, spec: TrainingSpec) -> None:
        """Everything can be trained."""

    def close(self) -> None:
        """Nothing is running."""

    def run(self, job: TrialJob, *, on_progress: Callable[[Progress], bool]) -> TrialOutcome | None:
        """Tell one epoch, leave a file."""
        job.work_dir.mkdir(parents=True, exist_ok=True)
        with (job.work_dir.parent.parent / "runs.txt").open("a") as file:
            file.write(f"{job.work_dir.name}\n")
        loss = job.spec.learning_rate
        progress = {"epoch": 1, "max_epochs": 1, "step": 1, "loss": loss, "validation_loss": loss}
        if not on_progress(Progress(**progress, rows_per_second=1.0, eta_seconds=0.0)):  # type: ignore[arg-type]
            return None
        return TrialOutcome(metrics={"auc": 1 - loss}, epochs=1, seconds=0.01, resumed=False)


def tune_quickly(world: World, arguments: dict[str, Any], run_id: str, deadly: int) -> None:
    """What a task does, with a point around everything that writes."""
    point = Points(deadly)
    tune(
        world,
        arguments,
        run_id,
        runner=Fragile(QuickRunner(), point),
        studies=FragileStudies(OptunaStudies(world.dsn), point),
        registry=Fragile(MlflowHook().registry(), point),
    )


def tune_really(world: World, arguments: dict[str, Any], run_id: str, deadly: int) -> None:
    """The same with Lightning, and points in the middle of the trials alone."""
    studies = FragileStudies(OptunaStudies(world.dsn), Points(deadly), "report")
    registry = MlflowHook().registry()
    tune(world, arguments, run_id, runner=LightningTrials(), studies=studies, registry=registry)


def tune(world: World, arguments: dict[str, Any], run_id: str, **parts: Any) -> None:
    """What a task does."""
    bench = TuningBench(
        **parts, scorers=OnnxScorer.load, work_dir=world.folder / "work" / run_id, experiment="kills"
    )
    with world.ledger() as ledger:
        tune_model(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=identity("tune", run_id),
            plan=TrainingPlan.from_dict(arguments["plan"]),
            spec=TuningSpec.from_yaml(arguments["spec"]),
            bench=bench,
        )


def forked(work: Callable[[], None]) -> int:
    """Run work in a forked child; returns how it ended, as the shell has it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the parent only asks how the child ended
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_killed_anywhere_a_tuning_goes_on_with_one_study_and_one_run(make_world: Callable[[], World]) -> None:
    world = make_world()
    arguments = planned(world, trials=4, seed=1)
    with world.ledger() as ledger:
        declare(ledger, "ride_late", kind="model")
    assert forked(lambda: tune_quickly(world, arguments, "calm", 10_000)) == 0
    dice = random.Random(11)  # noqa: S311 - test data
    deadly = sorted(dice.sample(range(45), 9))
    killed = 0
    for number in deadly:
        name = f"killed-{number}"
        ended = forked(lambda name=name, number=number: tune_quickly(world, arguments, name, number))  # type: ignore[misc]
        killed += ended == -signal.SIGKILL
        assert forked(lambda name=name: tune_quickly(world, arguments, name, 10_000)) == 0  # type: ignore[misc]
    assert killed >= 6
    runs = {"calm", *(f"killed-{number}" for number in deadly)}
    with world.ledger() as ledger, psycopg.connect(world.dsn) as connection:
        reports = [r for r in ledger.reports.list(asset="ride_late", limit=100) if r.kind == "tuning"]
        found = {r.body["study"]: [Trial.from_dict(t) for t in r.body["trials"]] for r in reports}
        assert len(found) == len(reports) == len(runs)
        kept = connection.execute("SELECT study_name FROM optuna.studies").fetchall()
        assert {row[0] for row in kept} == set(found)
        tracked = connection.execute("SELECT run_uuid, status FROM mlflow.runs").fetchall()
        assert {r.body["run_id"] for r in reports} == {row[0] for row in tracked}
        assert (len(tracked), {row[1] for row in tracked}) == (len(runs), {"FINISHED"})
        points = connection.execute("SELECT run_uuid, key, count(*) FROM mlflow.metrics GROUP BY 1, 2")
        assert {row[2] for row in points.fetchall() if row[1] == "auc"} == {4}
    calm = found[next(name for name in found if "/calm/" in name)]
    for trials in found.values():
        assert [(t.number, t.state) for t in trials] == [(n, "complete") for n in range(4)]
        # Nor did the kill change what was tried after it.
        assert [t.params for t in trials] == [t.params for t in calm]


@pytest.mark.slow
def test_killed_within_a_trial_it_resumes_that_trial(make_world: Callable[[], World]) -> None:
    world = make_world()
    arguments = planned(world, trials=3, seed=2, objective="both")
    with world.ledger() as ledger:
        declare(ledger, "ride_late", kind="model")
    assert forked(lambda: tune_really(world, arguments, "calm", 10_000)) == 0
    # After the first epoch of the first trial, then of the second one taken up: two reports each, two points per report.
    for deadly in (2, 5):
        assert (
            forked(lambda deadly=deadly: tune_really(world, arguments, "killed", deadly)) == -signal.SIGKILL
        )  # type: ignore[misc]
    assert forked(lambda: tune_really(world, arguments, "killed", 10_000)) == 0
    with world.ledger() as ledger:
        reports = [r for r in ledger.reports.list(asset="ride_late", limit=100) if r.kind == "tuning"]
    found = {r.body["study"].split("/")[1]: [Trial.from_dict(t) for t in r.body["trials"]] for r in reports}
    assert [trial.tries for trial in found["calm"]] == [1, 1, 1]
    assert sum(trial.tries for trial in found["killed"]) == 5
    for one, other in zip(found["calm"], found["killed"], strict=True):
        assert (one.number, one.state, one.metric, one.epochs) == (
            other.number,
            other.state,
            other.metric,
            other.epochs,
        )
    assert [t.params for t in found["calm"]] == [t.params for t in found["killed"]]

"""The loop of a shard: what it begins, when it ends, and what becomes of each trial."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import Progress
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.tuning_trials import Trial, TrialOutcome
from airflow_dataml.steps.trials import Shard, TuningBench
from airflow_dataml.testing import InMemoryRegistry
from tests.fakes import LineScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.tuning_trials import TrialJob


class ListedStudy:
    """Proposes rates .01, .02, ..; remembers in a list."""

    def __init__(self, *known: Trial, patient: int = 100) -> None:
        self.known = list(known)
        self.asked: list[Mapping[str, Any] | None] = []
        self._patient = patient

    def trials(self) -> tuple[Trial, ...]:
        return tuple(self.known)

    def take_up(self) -> Trial | None:
        running = [trial for trial in self.known if trial.state == "running"]
        self.known = [trial for trial in self.known if trial.state != "running"]
        return replace(running[0], tries=running[0].tries + 1) if running else None

    def ask(self, first: Mapping[str, Any] | None = None) -> Trial:
        self.asked.append(first)
        number = len(self.known)
        return Trial(number=number, shard=0, params={"learning_rate": (number + 1) / 100} | dict(first or {}))

    def report(self, epoch: int, loss: float) -> bool:
        del loss
        return epoch < self._patient

    def tell(self, trial: Trial) -> None:
        self.known.append(trial)


class Told:
    """A runner that does what it is told, trial by trial; after that every trial is good."""

    def __init__(self, *answers: float | Exception) -> None:
        self.answers = list(answers)
        self.killed = False
        self.specs: list[TrainingSpec] = []

    def check(self, spec: TrainingSpec) -> None:
        """Everything can be trained."""

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        """Nothing is running."""

    def run(self, job: TrialJob, *, on_progress: Callable[[Progress], bool]) -> TrialOutcome | None:
        self.specs.append(job.spec)
        answer = self.answers.pop(0) if self.answers else 0.7
        if isinstance(answer, Exception):
            raise answer
        for epoch in (1, 2):
            told = {"step": 1, "loss": None, "rows_per_second": 1.0, "eta_seconds": 0.0}
            if not on_progress(Progress(epoch=epoch, max_epochs=2, validation_loss=0.5, **told)):  # type: ignore[arg-type]
                return None
        model = None
        if job.export:
            model = job.work_dir / "model"
            model.mkdir(parents=True)
            (model / "model.onnx").write_text(json.dumps([0.0, 0.1]))
        return TrialOutcome(
            metrics={"auc": answer, "log_loss": 0.4},
            epochs=2,
            seconds=0.1,
            resumed=False,
            model_dir=str(model) if model else None,
        )


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Callable[..., ListedStudy]]:
    """Run a shard on a study and return the study."""
    registry = InMemoryRegistry()
    tracked = registry.ensure_run(experiment="e", key="k", name="n", params={}, tags={})
    (tmp_path / "train.csv").write_text("km,late\n" + "1,t\n" * 40)

    def work(study: ListedStudy, runner: Told, *, number: int = 0, of: int = 1, **said: Any) -> ListedStudy:
        training = {"model": "m", "task": "binary", "target": "late", "features": [{"name": "km"}]}
        training |= {"engine": "torchrun", "processes": 2}
        values = {"training": training, "space": {"learning_rate": {"low": 1e-4, "high": 1.0}}, "trials": 3}
        spec = TuningSpec.from_mapping(values | said)
        bench = TuningBench(runner, None, registry, LineScorer, tmp_path, "e")  # type: ignore[arg-type]
        Shard(study, spec, bench, tracked.run_id, tmp_path, number, of).work()
        return study

    yield work
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]


def test_the_spec_s_own_settings_come_first_and_each_trial_once(shard: Any) -> None:
    runner = Told(0.7, 0.8)
    study = shard(ListedStudy(), runner)
    assert study.asked == [{"learning_rate": 1e-3}, None, None]
    assert [(t.state, t.metric, t.epochs) for t in study.known] == [
        ("complete", 0.7, 2), ("complete", 0.8, 2), ("complete", 0.7, 2),
    ]  # fmt: skip
    # Wherever the chosen setting will train: trials are processes beside this one.
    assert {(spec.engine, spec.processes) for spec in runner.specs} == {("local", 1)}
    assert shard(study, Told(AssertionError())).asked == [{"learning_rate": 1e-3}, None, None]


def test_another_shard_does_its_part_and_does_not_repeat_the_first(shard: Any) -> None:
    study = shard(ListedStudy(), Told(), number=1, of=2)
    assert study.asked == [None]


def test_the_trial_that_ran_is_gone_on_with_before_others_begin(shard: Any) -> None:
    running = Trial(number=0, shard=0, params={"learning_rate": 0.5})
    runner = Told()
    study = shard(ListedStudy(running), runner)
    assert (len(study.known), study.asked) == (3, [None, None])
    assert runner.specs[0].learning_rate == 0.5


def test_a_trial_whose_process_always_ends_is_given_up(shard: Any) -> None:
    running = Trial(number=0, shard=0, params={"learning_rate": 0.5}, tries=3)
    study = shard(ListedStudy(running), Told())
    assert (study.known[0].state, study.known[0].why) == ("failed", "its process ended 3 times before it did")
    assert len(study.known) == 3


def test_seconds_end_it_and_count_what_earlier_tries_took(shard: Any) -> None:
    done = Trial(number=0, shard=0, params={}, state="complete", metric=0.5, seconds=9.0)
    assert len(shard(ListedStudy(done), Told(), trials=None, seconds=8).known) == 1
    assert len(shard(ListedStudy(done), Told(), trials=None, seconds=9.0000001).known) > 1


def test_a_setting_that_fails_ends_no_tuning_but_three_of_three_do(shard: Any) -> None:
    diverged, crashed = TrainingSpecError("diverged"), TrainingCrashedError("out of memory")
    study = shard(ListedStudy(), Told(diverged, crashed))
    assert [(t.state, t.why) for t in study.known] == [
        ("failed", "diverged"), ("failed", "out of memory"), ("complete", None),
    ]  # fmt: skip
    with pytest.raises(TrainingSpecError, match="the first 3 trials of 'm' all failed; the last: diverged"):
        shard(ListedStudy(), Told(diverged, crashed, diverged), trials=9)


def test_a_kill_on_request_tells_nothing(shard: Any) -> None:
    runner, study = Told(TrainingCrashedError("killed")), ListedStudy()
    runner.kill()
    with pytest.raises(TrainingCrashedError, match="killed"):
        shard(study, runner)
    assert study.known == []


def test_what_the_study_has_seen_enough_of_is_pruned(shard: Any) -> None:
    study = shard(ListedStudy(patient=2), Told())
    assert {t.state for t in study.known} == {"pruned"}


def test_a_bound_keeps_bad_models_from_being_fast(shard: Any) -> None:
    study = shard(ListedStudy(), Told(0.6, 0.8), objective="latency", bound=0.7)
    assert [t.state for t in study.known] == ["pruned", "complete", "complete"]
    assert study.known[0].why == "auc 0.6 is beyond the bound 0.7"
    assert all((t.latency_ms or 0) > 0 and t.rows == 40 for t in study.known)


def test_a_metric_the_rows_cannot_say_is_a_failure(shard: Any) -> None:
    study = shard(ListedStudy(), Told(float("nan")), trials=2)
    assert study.known[0].why == "the validation rows do not say 'auc', only auc, log_loss"

"""Several trials in one child process, for real: outcomes, stops, refusals, crashes, kills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.lightning import LightningTrials
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.tuning_trials import TrialJob
from tests.integration.adapters.test_lightning import MODULES, spec, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.training import Progress
    from airflow_dataml.core.tuning_trials import TrialOutcome

pytestmark = pytest.mark.slow


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[LightningTrials]:
    """A runner, with the modules beside the DAG on the import path."""
    monkeypatch.syspath_prepend(str(MODULES.parent))
    found = LightningTrials()
    yield found
    found.close()


@pytest.fixture
def job(tmp_path: Path) -> TrialJob:
    """A trial whose rows are written."""
    data = write_rows(tmp_path / "rows.csv")
    return TrialJob(spec=spec(), data=data, work_dir=tmp_path / "trial-0", export=False)


def run(runner: LightningTrials, job: TrialJob, stop_at: int = 1000) -> TrialOutcome | None:
    def on_progress(progress: Progress) -> bool:
        return progress.epoch < stop_at

    return runner.run(job, on_progress=on_progress)


def other(job: TrialJob, number: int, **changes: Any) -> TrialJob:
    return replace(job, spec=spec(**changes), work_dir=job.work_dir.parent / f"trial-{number}")


def test_one_process_trains_refuses_stops_and_goes_on(runner: LightningTrials, job: TrialJob) -> None:
    first = run(runner, job)
    assert first is not None
    assert (first.metrics["auc"] > 0.6, first.epochs, first.model_dir) == (True, 4, None)
    process = runner._process
    assert run(runner, other(job, 1), stop_at=2) is None
    with pytest.raises(TrainingSpecError, match="lower learning_rate"):
        run(runner, other(job, 2, learning_rate=10.0, module_arguments={"weight_decay": 1e30}))
    # What others left in the process is in nobody's weights.
    again = run(runner, other(job, 3))
    assert again is not None
    assert again.metrics == first.metrics
    exported = run(runner, replace(other(job, 4), export=True))
    assert exported is not None
    assert exported.metrics == first.metrics
    scores = OnnxScorer.load(Path(exported.model_dir or "")).score_csv(job.data)
    assert len(next(iter(scores))[1]) == 600
    assert runner._process is process


def test_a_finished_trial_is_adopted_and_a_stopped_one_resumed(
    runner: LightningTrials, job: TrialJob
) -> None:
    whole = run(runner, other(job, 1))
    assert run(runner, job, stop_at=3) is None
    runner.close()
    resumed = run(runner, job)
    assert whole is not None
    assert resumed is not None
    assert (resumed.resumed, resumed.metrics["auc"]) == (True, whole.metrics["auc"])
    runner.close()
    assert run(runner, job) == resumed
    assert runner._process is None


def test_a_crash_ends_one_trial_and_not_the_next(runner: LightningTrials, job: TrialJob) -> None:
    with pytest.raises(TrainingCrashedError, match=r"trials of 'flight_delay' died\.(?s:.)*boom"):
        run(runner, replace(job, spec=spec(module="Crashing")))
    assert run(runner, other(job, 1)) is not None
    assert not runner.killed


def test_kill_ends_the_process(runner: LightningTrials, job: TrialJob) -> None:
    def kill(progress: Progress) -> bool:
        del progress
        runner.kill()
        return True

    with pytest.raises(TrainingCrashedError, match="was killed on request"):
        runner.run(job, on_progress=kill)
    assert runner.killed
    runner.kill()  # nothing is running, nothing happens


def test_an_error_of_ours_ends_the_process_too(runner: LightningTrials, job: TrialJob) -> None:
    def fail(progress: Progress) -> bool:
        raise ArithmeticError(progress.epoch)

    with pytest.raises(ArithmeticError):
        runner.run(job, on_progress=fail)
    assert runner._process is None

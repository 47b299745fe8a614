"""The trials of one shard of a study: begun, followed, measured, and each told once."""

from __future__ import annotations

import logging
import math
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.registry import MetricPoint
from airflow_dataml.core.tuning import share_of
from airflow_dataml.core.tuning_trials import TrialJob
from airflow_dataml.steps.models import tidy

if TYPE_CHECKING:
    from airflow_dataml.core.ports import ScorerLoader
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.training import Progress
    from airflow_dataml.core.tuning import TuningSpec
    from airflow_dataml.core.tuning_trials import Studies, Study, Trial, TrialRunner

log = logging.getLogger(__name__)
LATENCY_ROWS = 1024
_LINE_EVERY_S = 2.0
_TRACK_EVERY_S = 10.0
_MOST_TRIES = 3
# Settings are compared by what they learn from labels alone; the chosen one trains with what the spec takes.
_UNGUIDED = dict.fromkeys(("warm_start", "distill", "hard_examples"))
_WARM, _TIMED = 3, 30
_HOPELESS = 3


@dataclass(frozen=True, slots=True)
class TuningBench:
    """What tuning needs besides the ledger.

    :param work_dir: folder kept between tries; exports and checkpoints live there.
    :param experiment: name of the experiment in the tracking store.
    """

    runner: TrialRunner
    studies: Studies
    registry: ModelRegistry
    scorers: ScorerLoader
    work_dir: Path
    experiment: str


class Shard:
    """One shard of a study at work.

    :param run_id: in the tracking store.
    :param folder: kept between tries; holds ``train.csv``.
    """

    def __init__(
        self,
        study: Study,
        spec: TuningSpec,
        bench: TuningBench,
        run_id: str,
        folder: Path,
        shard: int,
        shards: int,
    ) -> None:
        self._study, self._spec, self._bench = study, spec, bench
        self._run_id, self._folder, self._shard = run_id, folder, shard
        self._mine = [trial for trial in study.trials() if trial.shard == shard and trial.state != "running"]
        self._wanted = share_of(spec.trials, shard=shard, shards=shards)
        self._told = self._tracked = 0.0

    def work(self) -> None:
        """Run trials until the budget is used up."""
        trial = self._study.take_up()
        while trial is not None or self._may_begin():
            if trial is None:
                # The spec's own settings come first: whatever is found is no worse than what was known.
                own = self._spec.space.own_values(self._spec.training)
                trial = self._study.ask(own if self._shard == 0 and not self._mine else None)
            ended = self._run(trial)
            self._study.tell(ended)
            self._mine.append(ended)
            log.info("Trial %d %s: %s", ended.number, ended.state, ended.why or shown(ended, self._spec))
            tidy(self._place(trial))
            self._track(everything=False)
            self._refuse_hopeless()
            trial = None
        self._track(everything=True)

    def _may_begin(self) -> bool:
        spent = sum(trial.seconds for trial in self._mine)
        if self._spec.seconds is not None and spent >= self._spec.seconds:
            return False
        return self._wanted is None or len(self._mine) < self._wanted

    def _run(self, trial: Trial) -> Trial:
        if trial.tries > _MOST_TRIES:
            return trial.ended("failed", why=f"its process ended {_MOST_TRIES} times before it did")
        started = time.monotonic()
        try:
            spec = self._spec.space.apply(self._spec.training, trial.params)
            outcome = self._bench.runner.run(
                TrialJob(
                    # In one process beside this one, also where the chosen setting will train in several.
                    spec=spec.model_copy(update={"engine": "local", "processes": 1} | _UNGUIDED),
                    data=self._folder / "train.csv",
                    work_dir=self._place(trial),
                    export=self._spec.exports,
                ),
                on_progress=lambda progress: self._goes_on(trial, progress),
            )
            seconds = time.monotonic() - started
            if outcome is None:
                return trial.ended("pruned", seconds=seconds, why="worse than the median at this epoch")
            found: dict[str, Any] = {"metrics": outcome.metrics, "epochs": outcome.epochs}
            if outcome.model_dir is not None:
                found |= self._latency(Path(outcome.model_dir))
            return self._judged(trial.ended("complete", **found, seconds=seconds))
        except TrainingSpecError as err:
            return trial.ended("failed", seconds=time.monotonic() - started, why=str(err))
        except TrainingCrashedError as err:
            if self._bench.runner.killed:
                raise
            return trial.ended("failed", seconds=time.monotonic() - started, why=str(err)[:2000])

    def _judged(self, trial: Trial) -> Trial:
        metric = trial.metrics.get(self._spec.metric, math.nan)
        if not math.isfinite(metric):
            why = f"the validation rows do not say {self._spec.metric!r}, only {', '.join(trial.metrics)}"
            return replace(trial, state="failed", why=why)
        trial = replace(trial, metric=metric)
        if self._spec.within_bound(metric):
            return trial
        why = f"{self._spec.metric} {metric:.4g} is beyond the bound {self._spec.bound}"
        return replace(trial, state="pruned", why=why)

    def _latency(self, model_dir: Path) -> dict[str, Any]:
        """Median time of scoring one block of the rows it is trained on, columns to scores."""
        scorer = self._bench.scorers(model_dir)
        columns, scores = next(iter(scorer.score_csv(self._folder / "train.csv", block_rows=LATENCY_ROWS)))
        times = []
        for _ in range(_WARM + _TIMED):
            started = time.perf_counter()
            scorer.score(columns)
            times.append((time.perf_counter() - started) * 1000)
        return {"latency_ms": statistics.median(times[_WARM:]), "rows": len(scores)}

    def _goes_on(self, trial: Trial, progress: Progress) -> bool:
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            log.info(
                "Trial %d (%d of %s), epoch %d of %d, %d rows/s",
                trial.number, len(self._mine) + 1, self._wanted or "as many as fit", progress.epoch,
                progress.max_epochs, progress.rows_per_second,
            )  # fmt: skip
        loss = progress.validation_loss
        return loss is None or not math.isfinite(loss) or self._study.report(progress.epoch, loss)

    def _track(self, *, everything: bool) -> None:
        """Tell the tracking store at a bounded rate; a point told twice is one."""
        now = time.monotonic()
        if not everything and now - self._tracked < _TRACK_EVERY_S:
            return
        self._tracked = now
        points = [
            MetricPoint(key, value, trial.number, 0)
            for trial in self._mine
            for key, value in (
                (self._spec.metric, trial.metric),
                ("latency_ms", trial.latency_ms),
                ("seconds", trial.seconds),
            )
            if value is not None
        ]
        if points:
            self._bench.registry.log_metrics(run_id=self._run_id, points=points)

    def _refuse_hopeless(self) -> None:
        if len(self._mine) >= _HOPELESS and all(trial.state == "failed" for trial in self._mine):
            msg = f"the first {len(self._mine)} trials of {self._spec.training.model!r} all failed; the last: {self._mine[-1].why}"
            raise TrainingSpecError(msg)

    def _place(self, trial: Trial) -> Path:
        return self._folder / f"trial-{trial.number}"


def shown(trial: Trial, spec: TuningSpec) -> str:
    """Return what a trial found, for a line of the log."""
    latency = "" if trial.latency_ms is None else f", {trial.latency_ms:.3g} ms"
    metric = "" if trial.metric is None else f"{spec.metric} {trial.metric:.4g}"
    return f"{metric}{latency} with {trial.params}"

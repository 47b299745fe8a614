"""Trials: what was tried and found, which ones no other beats, and the ports tuning needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_dataml.core.training import Progress, TrainingSpec
    from airflow_dataml.core.tuning import TuningSpec

TrialState = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One try of one setting.

    :param number: from 0, unique in the study.
    :param shard: which part of a divided study began it.
    :param tries: how many times it was begun; above 1 its process was killed before.
    :param metric: what it is judged by, on the validation rows.
    :param latency_ms: median time of the exported model for ``rows`` real rows; ``None`` where not asked for.
    :param losses: validation loss by epoch, as far as this try has seen it.
    :param seconds: wall clock of the try that ended it.
    :param why: why it was pruned or failed.
    """

    number: int
    shard: int
    params: dict[str, Any]
    state: TrialState = "running"
    tries: int = 1
    metric: float | None = None
    latency_ms: float | None = None
    rows: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    why: str | None = None

    def ended(self, state: TrialState, **found: Any) -> Trial:
        """Return the same trial with how it ended."""
        return replace(self, state=state, **found)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"losses": {str(step): loss for step, loss in self.losses.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        losses = {int(step): float(loss) for step, loss in values["losses"].items()}
        return cls(**{**values, "losses": losses})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What a finished trial's training left.

    :param model_dir: folder of the exported model; ``None`` if none was asked for.
    """

    metrics: dict[str, float]
    epochs: int
    seconds: float
    resumed: bool
    model_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """One trial, ready to run.

    :param data: CSV as for ``TrainingJob``; trials of equal columns share one reading of it.
    :param work_dir: equal over the retries of the trial, so that it resumes.
    :param export: whether the model is wanted, and not only how good it is.
    """

    spec: TrainingSpec
    data: Path
    work_dir: Path
    export: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningResult:
    """All trials of a study, and what they say.

    :param front: numbers of the complete trials that no other beats, best metric first.
    :param best: number of the chosen one.
    """

    trials: tuple[Trial, ...]
    front: tuple[int, ...]
    best: int

    @classmethod
    def of(cls, trials: Iterable[Trial], spec: TuningSpec) -> Self:
        """Judge the trials of a study.

        :raises SpecError: none is complete.
        """
        found = tuple(sorted(trials, key=lambda trial: trial.number))
        front = pareto_front(found, spec)
        if not front:
            states = ", ".join(f"{t.number}: {t.state} ({t.why or 'no reason known'})" for t in found[-3:])
            msg = f"none of {len(found)} trials of {spec.training.model!r} can be chosen; the last: {states or 'none'}."
            raise SpecError(msg)
        return cls(trials=found, front=tuple(t.number for t in front), best=_chosen(front, spec).number)

    @property
    def chosen(self) -> Trial:
        """The trial that was chosen."""
        return next(trial for trial in self.trials if trial.number == self.best)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "trials": [trial.to_dict() for trial in self.trials],
            "front": list(self.front),
            "best": self.best,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        trials = tuple(Trial.from_dict(one) for one in values["trials"])
        return cls(trials=trials, front=tuple(values["front"]), best=values["best"])


def costs_of(trial: Trial, spec: TuningSpec) -> tuple[float, ...]:
    """Return what a complete trial is judged by, each number better when smaller."""
    metric = trial.metric or 0.0
    loss = -metric if spec.direction == "maximize" else metric
    latency = trial.latency_ms or 0.0
    return {"accuracy": (loss,), "latency": (latency,), "both": (loss, latency)}[spec.objective]


def pareto_front(trials: Iterable[Trial], spec: TuningSpec) -> tuple[Trial, ...]:
    """Return the complete trials that no other one beats; of equal ones the first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    front: list[Trial] = []
    least: float | None = None
    for trial in sorted(complete, key=lambda one: (costs_of(one, spec), one.number)):
        last = costs_of(trial, spec)[-1]
        # Sorted by the first cost, only a smaller last one says something new.
        if least is None or (spec.objective == "both" and last < least):
            front.append(trial)
            least = last
    return tuple(front)


def _chosen(front: tuple[Trial, ...], spec: TuningSpec) -> Trial:
    """Return the trial nearest to the best of everything, each cost scaled to the width of the front."""
    costs = [costs_of(trial, spec) for trial in front]
    lows = [min(column) for column in zip(*costs, strict=True)]
    widths = [max(column) - low or 1.0 for column, low in zip(zip(*costs, strict=True), lows, strict=True)]
    far = [
        sum(((cost - low) / width) ** 2 for cost, low, width in zip(one, lows, widths, strict=True))
        for one in costs
    ]
    return front[far.index(min(far))]


class TrialRunner(Protocol):
    """Trains trials, several in one process of its own."""

    @property
    def killed(self) -> bool:
        """Whether ``kill`` was called."""

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec that cannot work, before any data is read."""

    def run(self, job: TrialJob, *, on_progress: Callable[[Progress], bool]) -> TrialOutcome | None:
        """Train, resume, or return what an earlier try of this trial finished.

        :param on_progress: returns whether to go on; ``None`` comes back if not.
        :raises TrainingSpecError: this setting cannot be trained; others may.
        :raises TrainingCrashedError: the process died; the next trial has a new one.
        """

    def kill(self) -> None:
        """End the process at once; safe in a signal handler."""

    def close(self) -> None:
        """End the process."""


class Study(Protocol):
    """One shard's view of a study; what it writes is kept when it returns."""

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials of all shards."""

    def take_up(self) -> Trial | None:
        """Return the trial this shard had begun when its process was killed, begun once more."""

    def ask(self, first: Mapping[str, Any] | None = None) -> Trial:
        """Begin the next trial.

        :param first: settings it must have; the others are drawn.
        """

    def report(self, epoch: int, loss: float) -> bool:
        """Tell the validation loss of the running trial; return whether to go on."""

    def tell(self, trial: Trial) -> None:
        """Record how the running trial ended."""


class Studies(Protocol):
    """Where studies are kept.

    :raises BackendError: it does not answer.
    :raises ConnectionSpecError: it is there and must not be used so.
    """

    def check(self) -> None:
        """Return when the store answers and can be used; makes its tables where there are none."""

    def open(self, name: str, *, spec: TuningSpec, shard: int, shards: int) -> AbstractContextManager[Study]:
        """Open or create a study; one process at a time per shard, an earlier one is waited for."""

    def read(self, name: str) -> tuple[Trial, ...]:
        """Return the trials of a study; empty if there is none."""

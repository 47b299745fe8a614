"""One study: Optuna proposes in memory, Postgres remembers.

Plain Optuna writes every parameter and every report in a transaction of its own, and reads the study
back for each. Here a copy of the study in memory proposes and prunes, and the tables are written
twice per trial: when it begins, with all its parameters, and when it ends, with all its reports.
"""

from __future__ import annotations

import json
import math
import random
import warnings
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.tuning import Choice
from airflow_dataml.core.tuning_trials import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.tuning import Parameter, TuningSpec
    from airflow_dataml.core.tuning_trials import TrialState

_SHARD, _TRIES, _FOUND = "dataml.shard", "dataml.tries", "dataml.found"
_STATES: dict[str, TrialState] = {
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}
_NAMES = {state: name for name, state in _STATES.items()}
# Epochs, counted from 1, in which nothing is pruned.
_WARMUP_EPOCHS = 1


class OptunaStudy:
    """A shard's view of a study.

    :param study: on Postgres, created.
    :param engine: of its storage.
    """

    def __init__(self, study: Any, engine: Any, *, spec: TuningSpec, shard: int, shards: int) -> None:
        self._study, self._engine = study, engine
        self._spec, self._shard, self._shards = spec, shard, shards
        self._space = {name: distribution(one) for name, one in spec.space.parameters.items()}
        # Reports are validation losses; the pruner compares them in the direction of the study.
        self._sign = -1.0 if spec.objective != "latency" and spec.direction == "maximize" else 1.0
        self._known = {one.number: one for one in self._read()}
        self._copy: Any = None
        self._copied: set[int] = set()
        self._asked: Any = None
        self._row = -1
        self._losses: dict[int, float] = {}

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials of all shards."""
        return tuple(trial_of(one) for one in self._read())

    def take_up(self) -> Trial | None:
        """Return the trial this shard had begun when its process was killed, begun once more."""
        for frozen in self._known.values():
            trial = trial_of(frozen)
            if trial.state == "running" and trial.shard == self._shard:
                self._draw(trial.params)
                self._row = frozen._trial_id
                tries = trial.tries + 1
                self._study._storage.set_trial_user_attr(self._row, _TRIES, tries)
                return Trial(number=trial.number, shard=trial.shard, params=trial.params, tries=tries)
        return None

    def ask(self, first: Mapping[str, Any] | None = None) -> Trial:
        """Begin the next trial; what is drawn depends on the seed, the shard and the trials it knows of."""
        from optuna.trial import TrialState as OptunaState
        from optuna.trial import create_trial

        asked = self._draw(first)
        begun = create_trial(
            state=OptunaState.RUNNING,
            params=asked.params,
            distributions=asked.distributions,
            user_attrs={_SHARD: self._shard, _TRIES: 1},
        )
        self._row = self._study._storage.create_new_trial(self._study._study_id, template_trial=begun)
        params = {name: _plain(self._spec.space.parameters[name], v) for name, v in asked.params.items()}
        return Trial(number=self._number(), shard=self._shard, params=params)

    def report(self, epoch: int, loss: float) -> bool:
        """Keep a validation loss; return whether to go on."""
        self._losses[epoch] = loss
        if self._spec.objective != "accuracy":
            return True
        self._asked.report(self._sign * loss, epoch)
        return not (self._spec.prune and self._asked.should_prune())

    def tell(self, trial: Trial) -> None:
        """Write how the running trial ended: reports and findings in one transaction, then its state."""
        import sqlalchemy as sa
        from optuna.trial import TrialState as OptunaState

        found = trial.to_dict()
        for key in ("number", "shard", "params", "state", "tries", "losses"):
            del found[key]
        with self._engine.begin() as connection:
            if self._losses:
                connection.execute(
                    sa.text(
                        "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
                        " VALUES (:trial, :step, :loss, 'FINITE') ON CONFLICT (trial_id, step) DO NOTHING"
                    ),
                    [{"trial": self._row, "step": step, "loss": one} for step, one in self._losses.items()],
                )
            connection.execute(
                sa.text(
                    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, :key, :found)"
                    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
                ),
                {"trial": self._row, "key": _FOUND, "found": json.dumps(found)},
            )
        state, values = OptunaState[_NAMES[trial.state]], _values(trial, self._spec)
        self._study._storage.set_trial_state_values(self._row, state, values)
        self._copy.tell(self._asked, values, state=state)
        self._copied.add(trial.number)
        self._asked = None

    def _draw(self, first: Mapping[str, Any] | None) -> Any:
        """Begin a trial in the copy."""
        self._catch_up()
        if first:
            written = {name: _written(self._spec.space.parameters[name], v) for name, v in first.items()}
            self._copy.enqueue_trial(written)
        self._losses = {}
        self._asked = self._copy.ask(fixed_distributions=self._space)
        return self._asked

    def _catch_up(self) -> None:
        """Bring the copy up to date, with a sampler whose draws a killed process would repeat."""
        import optuna

        if self._copy is not None and self._shards > 1:
            self._known = {one.number: one for one in self._read()}
            # What runs elsewhere cannot be corrected in the copy once it has ended: begin a fresh one.
            if any(number not in self._copied for number in self._known):
                self._copy = None
        ended = [one for one in self._known.values() if one.state.name in ("COMPLETE", "PRUNED")]
        seen = len(self._copied) if self._copy is not None else len(self._known)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            dice = random.Random(f"{self._spec.seed}/{self._shard}/{seen}")  # noqa: S311 - no secret
            sampler = optuna.samplers.TPESampler(seed=dice.getrandbits(31), constant_liar=True)
            if self._copy is not None:
                self._copy.sampler = sampler
                return
            self._copy = optuna.create_study(
                directions=self._study.directions,
                sampler=sampler,
                pruner=optuna.pruners.MedianPruner(n_warmup_steps=_WARMUP_EPOCHS + 1),
            )
        elsewhere = [
            one
            for one in self._known.values()
            if one.state.name == "RUNNING" and one.user_attrs.get(_SHARD) != self._shard
        ]
        self._copy.add_trials([self._mirrored(one) for one in (*ended, *elsewhere)])
        self._copied = {one.number for one in self._known.values() if one.state.is_finished()}

    def _mirrored(self, frozen: Any) -> Any:
        from optuna.trial import create_trial

        return create_trial(
            state=frozen.state,
            values=frozen.values,
            params=frozen.params,
            distributions=frozen.distributions,
            intermediate_values={s: self._sign * v for s, v in frozen.intermediate_values.items()}
            if self._spec.objective == "accuracy"
            else {},
        )

    def _read(self) -> list[Any]:
        found: list[Any] = self._study.get_trials(deepcopy=False)
        return found

    def _number(self) -> int:
        import sqlalchemy as sa

        with self._engine.connect() as connection:
            query = sa.text("SELECT number FROM trials WHERE trial_id = :trial")
            return int(connection.execute(query, {"trial": self._row}).scalar_one())


def distribution(parameter: Parameter) -> Any:
    """Return Optuna's word for a range or choice; what is chosen from is JSON, for Optuna knows no lists."""
    from optuna import distributions

    if isinstance(parameter, Choice):
        return distributions.CategoricalDistribution([json.dumps(one) for one in parameter.choices])
    low, high, log = parameter.low, parameter.high, parameter.log
    if parameter.whole:
        return distributions.IntDistribution(int(low), int(high), log=log, step=int(parameter.step or 1))
    return distributions.FloatDistribution(low, high, log=log, step=parameter.step)


def trial_of(frozen: Any) -> Trial:
    """Return a trial as we speak of it."""
    found = json.loads(json.dumps(frozen.user_attrs.get(_FOUND) or {}))
    params = {
        name: json.loads(value) if hasattr(frozen.distributions[name], "choices") else value
        for name, value in frozen.params.items()
    }
    return Trial(
        number=frozen.number,
        shard=int(frozen.user_attrs.get(_SHARD, 0)),
        params=params,
        state=_STATES.get(frozen.state.name, "failed"),
        tries=int(frozen.user_attrs.get(_TRIES, 1)),
        losses=dict(frozen.intermediate_values),
        **found,
    )


def _values(trial: Trial, spec: TuningSpec) -> list[float] | None:
    if trial.state != "complete":
        return None
    metric = trial.metric if trial.metric is not None else math.nan
    latency = trial.latency_ms if trial.latency_ms is not None else math.nan
    return {"accuracy": [metric], "latency": [latency], "both": [metric, latency]}[spec.objective]


def _plain(parameter: Parameter, value: Any) -> Any:
    return json.loads(value) if isinstance(parameter, Choice) else value


def _written(parameter: Parameter, value: Any) -> Any:
    return json.dumps(value) if isinstance(parameter, Choice) else value

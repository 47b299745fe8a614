"""What may be searched, what is better, and how a study is divided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import SpecError, TrainingSpecError
from airflow_dataml.core.tuning import TuningSpec, share_of
from airflow_dataml.core.tuning_trials import Trial, TuningResult, pareto_front

if TYPE_CHECKING:
    from pathlib import Path

TRAINING: dict[str, Any] = {
    "model": "ride_late",
    "task": "binary",
    "target": "late",
    "features": [{"name": "km"}],
    "module_arguments": {"hidden": [8]},
}
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    "module_arguments.hidden": [[8], [16, 8]],
}


def spec(**said: Any) -> TuningSpec:
    """A spec with a budget."""
    return TuningSpec.from_mapping({"training": TRAINING, "space": SPACE, "trials": 3} | said)


def trial(number: int, metric: float, latency: float = 1.0, state: Any = "complete") -> Trial:
    """A trial as it ended."""
    return Trial(number=number, shard=0, params={}, state=state, metric=metric, latency_ms=latency)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"trials": None}, "there is no budget: give trials, seconds, or both"),
        ({"trials": 0}, "trials: Input should be greater than or equal to 1"),
        ({"space": {}}, "space.parameters: Dictionary should have at least 1 item"),
        ({"space": {"seed": [1, 2]}}, "'seed' cannot be searched: an argument of the module is written"),
        ({"space": {"module_arguments.a-b": [1, 2]}}, "'module_arguments.a-b' cannot be searched: write one"),
        ({"space": {"patience": {"low": 4, "high": 2}}}, "low 4 is not below high 2"),
        ({"space": {"patience": [3]}}, "at least 2 items"),
        (
            {"space": {"patience": {"low": 1, "high": 9, "log": True, "step": 2}}},
            "log wants low above 0 and no",
        ),
        ({"space": {"batch_size": {"low": 0, "high": 9}}}, r"key 'batch_size'.*greater than or equal to 1"),
        ({"space": {"batch_size": {"low": 1.5, "high": 9}}}, r"key 'batch_size'.*valid integer"),
        ({"space": {"learning_rate": [0.1, 11]}}, r"key 'learning_rate'.*less than or equal to 10"),
        ({"objective": "latency"}, "would choose the emptiest model: give bound, the worst auc"),
        ({"bound": 0.7}, "bound is for objective latency, and objective is accuracy"),
        ({"objective": "both", "prune": True}, "prune compares validation losses, which say nothing of both"),
        ({"metric": "f7"}, "metric 'f7' is not known: write one of auc"),
        ({"budget": 3}, "budget: Extra inputs are not permitted"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_tuned_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        spec(**said)


def test_the_metric_is_the_usual_one_of_the_task() -> None:
    assert (spec().metric, spec().direction) == ("auc", "maximize")
    regression = spec(training=TRAINING | {"task": "regression"})
    assert (regression.metric, regression.direction) == ("rmse", "minimize")
    assert TuningSpec.from_mapping(spec().model_dump(mode="json")) == spec()


def test_values_of_a_trial_go_where_they_belong() -> None:
    wanted = spec()
    tuned = wanted.space.apply(wanted.training, {"learning_rate": 0.01, "module_arguments.hidden": [16, 8]})
    assert (tuned.learning_rate, tuned.module_arguments) == (0.01, {"hidden": [16, 8]})
    assert tuned.features == wanted.training.features


def test_a_spec_s_own_values_are_tried_as_far_as_the_space_has_them() -> None:
    wanted = spec(
        space=SPACE | {"batch_size": {"low": 16, "high": 64}, "module_arguments.dropout": [0.1, 0.2]}
    )
    assert wanted.space.own_values(wanted.training) == {"learning_rate": 1e-3, "module_arguments.hidden": [8]}


def test_a_file_names_the_file_of_its_training(tmp_path: Path) -> None:
    (tmp_path / "t.yml").write_text(
        "model: ride_late\ntask: binary\ntarget: late\nfeatures: [{name: km}]\nmodule_arguments: {hidden: [8]}"
    )
    path = tmp_path / "tune.yml"
    path.write_text("training: t.yml\ntrials: 3\nspace: {learning_rate: {low: 1e-4, high: 0.1}}")
    assert TuningSpec.from_yaml(path).training == spec().training
    path.write_text("- a\n- b: [")
    with pytest.raises(TrainingSpecError, match="is not YAML"):
        TuningSpec.from_yaml(path)
    path.write_text("[1, 2]")
    with pytest.raises(TrainingSpecError, match="valid dictionary or instance of TuningSpec"):
        TuningSpec.from_yaml(path)
    with pytest.raises(TrainingSpecError, match="cannot be read"):
        TuningSpec.from_yaml(tmp_path / "absent.yml")


@pytest.mark.parametrize("trials", [1, 4, 7, 9], ids=str)
@pytest.mark.parametrize("shards", [1, 2, 5], ids=str)
def test_shards_have_all_trials_together(trials: int, shards: int) -> None:
    shares = [share_of(trials, shard=shard, shards=shards) or 0 for shard in range(shards)]
    assert sum(shares) == trials
    assert max(shares) - min(shares) <= 1
    assert share_of(None, shard=0, shards=shards) is None


def test_the_front_has_what_no_other_beats() -> None:
    both = spec(objective="both")
    trials = [
        trial(0, 0.9, 5.0),
        trial(1, 0.8, 1.0),
        trial(2, 0.85, 6.0),
        trial(3, 0.88, 2.0),
        trial(4, 0.95, 9.0, "pruned"),
        trial(5, 0.9, 5.0),
    ]
    assert [one.number for one in pareto_front(trials, both)] == [0, 3, 1]
    # Neither the best nor the fastest: what is nearest to both.
    assert TuningResult.of(trials, both).best == 3
    result = TuningResult.of(trials, spec())
    assert (result.front, result.best) == ((0,), 0)
    assert TuningResult.from_dict(result.to_dict()) == result


@pytest.mark.parametrize("seed", range(5), ids=str)
def test_the_front_is_what_comparing_all_with_all_finds(seed: int) -> None:
    import random

    dice = random.Random(seed)  # noqa: S311 - test data
    trials = [trial(n, dice.randrange(9) / 9, dice.randrange(9)) for n in range(40)]

    def beats(one: Trial, other: Trial) -> bool:
        a, b = (one.metric or 0, -(one.latency_ms or 0)), (other.metric or 0, -(other.latency_ms or 0))
        return all(x >= y for x, y in zip(a, b, strict=True)) and (a != b or one.number < other.number)

    kept = {t.number for t in trials if not any(beats(o, t) for o in trials if o is not t)}
    assert {t.number for t in pareto_front(trials, spec(objective="both"))} == kept


def test_a_regression_is_better_with_less() -> None:
    wanted = spec(training=TRAINING | {"task": "regression"}, objective="latency", bound=2.0)
    assert wanted.within_bound(1.9)
    assert not wanted.within_bound(2.1)
    assert TuningResult.of([trial(0, 1.0, 3.0), trial(1, 1.9, 2.0)], wanted).best == 1


def test_nothing_to_choose_from_is_said_with_the_reasons() -> None:
    failed = Trial(number=4, shard=0, params={}, state="failed", why="diverged")
    with pytest.raises(
        SpecError, match=r"none of 1 trials of 'ride_late' can be chosen; .*4: failed \(diverged\)"
    ):
        TuningResult.of([failed], spec())

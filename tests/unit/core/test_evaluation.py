from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.evaluation import (
    Comparison,
    PromotionPolicy,
    compare,
    decide_promotion,
    verdict_of,
)
from airflow_dataml.core.looks import Look


def scores(n: int, *, edge: float, seed: int) -> tuple[Any, Any, Any]:
    """Labels and two models' scores; the first is better by ``edge`` on the logit scale."""
    import numpy as np

    draw = np.random.default_rng(seed)
    signal = draw.normal(0, 1, n)
    labels = (draw.random(n) < 1 / (1 + np.exp(-2 * signal))).astype(int)
    sides = [1 / (1 + np.exp(-(slope * signal + draw.normal(0, 0.2, n)))) for slope in (1.4 + edge, 1.4)]
    return labels, *sides


def verdict(n: int, *, edge: float, seed: int, **policy: Any) -> str:
    labels, new, old = scores(n, edge=edge, seed=seed)
    rules = PromotionPolicy(**policy)
    comparison = compare(
        metric="log_loss", labels=labels, challenger=("m@2", new), opponent=("m@1", old), policy=rules
    )
    return verdict_of(comparison.to_dict(), rules)[0]


def test_a_clearly_better_model_passes() -> None:
    assert verdict(8000, edge=0.6, seed=1) == "pass"


def test_an_equal_model_is_almost_never_promoted() -> None:
    promoted = [verdict(1000, edge=0.0, seed=seed) == "pass" for seed in range(60)]
    # One side of a 95 % interval: 2.5 % expected; 6 of 60 would be a broken gate.
    assert sum(promoted) <= 5


def test_better_by_less_than_the_margin_is_kept() -> None:
    assert verdict(8000, edge=0.6, seed=1, margin=0.2) == "fail"


def test_a_margin_below_zero_bears_so_much_and_no_more() -> None:
    assert verdict(8000, edge=0.0, seed=1, margin=-0.05) == "pass"
    assert verdict(8000, edge=-0.6, seed=1, margin=-0.01) == "fail"


def test_too_few_rows_are_unknown_and_unknown_does_not_promote() -> None:
    assert verdict(100, edge=2.0, seed=1) == "unknown"
    assert decide_promotion(verdict="unknown", reason="few", first=False).action == "keep"


@pytest.mark.parametrize(
    ("found", "action"), [("pass", "promote"), ("fail", "keep"), ("error", "keep")], ids=lambda x: x
)
def test_only_a_pass_promotes(found: str, action: str) -> None:
    assert decide_promotion(verdict=found, reason="why", first=False).action == action


def compared(
    policy: PromotionPolicy, n: int = 3000, *, edge: float = 0.6, seed: int = 1, before: Look | None = None
) -> Comparison:
    labels, new, old = scores(n, edge=edge, seed=seed)
    return compare(
        metric="log_loss",
        labels=labels,
        challenger=("m@2", new),
        opponent=("m@1", old),
        policy=policy,
        columns={"kind": ["a", "b", "c"] * (n // 3)},
        before=before,
    )


def judged(n: int = 3000, *, edge: float = 0.6, **policy: Any) -> tuple[str, str]:
    rules = PromotionPolicy(**policy)
    return verdict_of(compared(rules, n, edge=edge).to_dict(), rules)


def test_what_is_not_asked_for_leaves_no_trace_in_a_policy() -> None:
    assert PromotionPolicy().model_dump(mode="json") == {"margin": 0.0, "confidence": 0.95, "min_rows": 500}
    asked = PromotionPolicy(slices=["kind"], looks=30)
    assert asked.model_dump(mode="json")["looks"] == 30
    assert PromotionPolicy.model_validate(asked.model_dump(mode="json")) == asked


def test_both_sides_have_metrics_with_intervals() -> None:
    found = compared(PromotionPolicy()).to_dict()
    assert {"roc_auc", "brier_score_loss", "expected_calibration_error"} <= set(
        found["challenger"]["metrics"]
    )
    one = found["opponent"]["metrics"]["expected_calibration_error"]
    assert one["low"] <= one["estimate"] <= one["high"]
    assert "gates" not in found
    assert "look" not in found


@pytest.mark.parametrize(
    ("rules", "verdict", "said"),
    [
        ({"gates": [{"metric": "roc_auc", "threshold": 0.6}]}, "pass", "1 of 1 conditions"),
        ({"gates": [{"metric": "roc_auc", "threshold": 0.99}]}, "fail", "surely not so"),
        ({"slices": ["kind"]}, "pass", "3 of 3 conditions"),
        ({"slices": [{"column": "kind", "min_rows": 1500}]}, "unknown", "too few to say"),
        ({"slices": [{"column": "kind", "min_rows": 1500, "small": "say"}]}, "pass", "(only said)"),
        ({"fairness": ["kind"]}, "pass", "3 of 3 conditions"),
        ({"fairness": [{"column": "kind", "max_difference": 0.001}]}, "unknown", "cannot be told"),
    ],
    ids=["gate", "gate fails", "slices", "small slices", "small slices said", "fairness", "fairness unknown"],
)
def test_every_rule_must_pass(rules: dict[str, Any], verdict: str, said: str) -> None:
    found, reason = judged(**rules)
    assert (found, said in reason) == (verdict, True), reason


def test_a_loss_that_is_not_better_fails_whatever_else_cannot_be_told() -> None:
    assert judged(edge=0.0, slices=[{"column": "kind", "min_rows": 1500}])[0] == "fail"


def test_looks_add_up() -> None:
    policy = PromotionPolicy(looks=30, slices=["kind"], fairness=["kind"])
    first = compared(policy, 900, edge=0.2, seed=1)
    assert first.look is not None
    second = compared(policy, 900, edge=0.2, seed=2, before=Look.from_dict(first.look.to_dict()))
    assert second.look is not None
    assert (second.look.number, second.look.total.n, second.difference.n) == (2, 1800, 1800)
    assert second.look.total == first.evidence + second.evidence
    assert second.look.horizon == first.look.horizon == 900 * 30 / 2
    assert [one.rows for one in second.slices] == [600, 600, 600]
    assert "on 1800 rows in 2 looks" in verdict_of(second.to_dict(), policy)[1]


def test_a_repeated_look_is_more_careful_than_a_single_one() -> None:
    once, often = compared(PromotionPolicy()), compared(PromotionPolicy(looks=30))
    width = [one.difference.high - one.difference.low for one in (once, often)]
    assert width[1] > 1.2 * width[0]


def test_groups_of_other_rules_begin_anew_and_the_loss_goes_on() -> None:
    first = compared(PromotionPolicy(looks=30, slices=["kind"]), 900)
    other = PromotionPolicy(looks=30, slices=[{"column": "kind", "top": 1}])
    second = compared(other, 900, seed=2, before=first.look)
    assert second.look is not None
    assert (second.look.total.n, [one.rows for one in second.slices]) == (1800, [300, 600])


def test_few_rows_so_far_are_unknown() -> None:
    policy = PromotionPolicy(looks=30, min_rows=2000)
    first = compared(policy, 1200)
    assert verdict_of(first.to_dict(), policy)[0] == "unknown"
    second = compared(policy, 1200, seed=2, before=first.look)
    assert "on 2400 rows in 2 looks: not surely better" in verdict_of(second.to_dict(), policy)[1]


@pytest.mark.parametrize(
    ("rules", "match"),
    [
        ({"looks": 1}, "greater than or equal to 2"),
        ({"gates": [{"metric": "auc", "threshold": 1}]}, "there is no metric 'auc'"),
        ({"slices": [{"colunm": "kind"}]}, "colunm"),
    ],
    ids=["one look", "no metric", "typo"],
)
def test_a_policy_that_means_nothing_is_refused(rules: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        PromotionPolicy(**rules)

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.evaluation import PromotionPolicy, compare, decide_promotion, verdict_of


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


def test_too_few_rows_are_unknown_and_unknown_does_not_promote() -> None:
    assert verdict(100, edge=2.0, seed=1) == "unknown"
    assert decide_promotion(verdict="unknown", reason="few", first=False).action == "keep"


@pytest.mark.parametrize(
    ("found", "action"), [("pass", "promote"), ("fail", "keep"), ("error", "keep")], ids=lambda x: x
)
def test_only_a_pass_promotes(found: str, action: str) -> None:
    assert decide_promotion(verdict=found, reason="why", first=False).action == action

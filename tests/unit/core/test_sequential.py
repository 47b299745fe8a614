from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.sequential import Evidence, confidence_sequence, error_at_look

LOOKS, ROWS = 30, 500


def promoted(*, better_by: float, seed: int, worlds: int = 1500) -> dict[str, float]:
    """How often a challenger is ever promoted in daily looks: by an interval for one look, and by the sequence.

    The loss differences are skewed with heavy tails, as those of log losses are.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    rows = draw.laplace(0, 1, (worlds, LOOKS, 50)) * draw.gamma(1, 1, (worlds, LOOKS, 50)) - better_by
    # Fifty draws a day, each weighing as ten: only the sums of a day are ever looked at.
    totals, squares = rows.sum(axis=2).cumsum(axis=1), (rows**2).sum(axis=2).cumsum(axis=1)
    naive = sequence = 0
    for world in range(worlds):
        seen = [
            Evidence(50 * (look + 1), float(totals[world, look]), float(squares[world, look]))
            for look in range(LOOKS)
        ]
        naive += any(one.mean + 1.96 * one.deviation / one.n**0.5 < 0 for one in seen)
        sequence += any(
            confidence_sequence(one, error=0.05, horizon=50 * LOOKS / 2).high < 0 for one in seen[1:]
        )
    return {"naive": naive / worlds, "sequence": sequence / worlds}


def test_thirty_looks_promote_an_equal_model_no_more_often_than_promised() -> None:
    found = promoted(better_by=0.0, seed=1)
    # The bound is .05; one look's interval breaks it, so this simulation can tell.
    assert found["sequence"] <= 0.05
    assert found["naive"] > 0.08


def test_thirty_looks_find_a_better_model() -> None:
    assert promoted(better_by=0.15, seed=2, worlds=300)["sequence"] > 0.6


def test_evidence_of_two_days_is_that_of_both_together() -> None:
    one, other = [0.5, -0.25, 3.0], [1.0, 2.0]
    merged = Evidence.of(one) + Evidence.of(other)
    assert merged == Evidence.of([*one, *other])
    assert Evidence.from_dict(merged.to_dict()) == merged


def test_mean_and_deviation_are_those_of_the_rows() -> None:
    import statistics

    rows = [0.5, -0.25, 3.0, 1.0]
    found = Evidence.of(rows)
    assert found.mean == pytest.approx(statistics.mean(rows))
    assert found.deviation == pytest.approx(statistics.stdev(rows))


@pytest.mark.parametrize("rows", [0, 1], ids=["none", "one"])
def test_hardly_any_row_bounds_nothing(rows: int) -> None:
    found = confidence_sequence(Evidence.of([2.0] * rows), error=0.05, horizon=100)
    assert (found.low, found.high) == (float("-inf"), float("inf"))


def test_the_sequence_is_wider_than_one_look_and_shrinks_with_rows() -> None:
    def half(n: int, **said: Any) -> float:
        found = confidence_sequence(Evidence(n, 0.0, float(n)), **({"error": 0.05, "horizon": 1000} | said))
        return found.high - found.estimate

    assert half(1000) > 1.645 / 1000**0.5
    assert half(500) > half(1000) > half(5000)
    assert half(1000, error=0.01) > half(1000)


def test_the_sequence_is_narrowest_near_its_horizon() -> None:
    widths = {
        horizon: confidence_sequence(Evidence(3000, 0.0, 3000.0), error=0.05, horizon=horizon).high
        for horizon in (30, 300, 3000, 30_000, 300_000)
    }
    assert min(widths, key=lambda horizon: widths[horizon]) == 3000


def test_what_looks_may_spend_is_never_more_than_all() -> None:
    spent = [error_at_look(0.05, look) for look in range(1, 200)]
    assert spent[0] == 0.025
    assert sum(spent) < 0.05

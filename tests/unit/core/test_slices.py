from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - every test here makes rows with it
import pytest
from pydantic import ValidationError

from airflow_dataml.core.sequential import Evidence
from airflow_dataml.core.slices import (
    Group,
    Slice,
    gather,
    groups_of,
    judge_slices,
    read_groups,
    slice_evidence,
)

if TYPE_CHECKING:
    from airflow_dataml.core.metric_gates import Finding


def sliced(worse: dict[str, float], rows: int = 2000, seed: int = 0, **rule: Any) -> list[Finding]:
    """Findings on slices on which the challenger's loss is higher by so much."""
    draw, kinds = np.random.default_rng(seed), np.repeat(list(worse), rows)
    opponent = draw.exponential(0.5, len(kinds))
    challenger = opponent + draw.normal(0, 0.2, len(kinds)) + np.repeat(list(worse.values()), rows)
    rules = [Slice(column="kind", **rule)]
    groups = gather(
        rules, {"kind": kinds.astype(object)}, slice_evidence(challenger, opponent), before=None, looks=1
    )
    return judge_slices(rules, groups, error=0.025, sequence=False)


def test_a_slice_that_loses_fails_though_the_others_gain() -> None:
    found = {one.name: one.verdict for one in sliced({"a": -0.2, "b": 0.2, "c": 0.0})}
    assert found == {"kind=a": "pass", "kind=b": "fail", "kind=c": "pass"}


def test_few_rows_are_unknown_and_said() -> None:
    [found] = sliced({"a": -0.5}, rows=50)
    assert (found.verdict, found.holds) == ("unknown", True)
    assert found.reason == "kind=a: 50 rows, fewer than 100, too few to say"
    assert not sliced({"a": -0.5}, rows=50, small="say")[0].holds


def test_many_equal_slices_seldom_accuse_anybody() -> None:
    worse = {f"k{number}": 0.0 for number in range(10)}
    accused = sum(
        any(one.verdict == "fail" for one in sliced(worse, rows=200, seed=seed, margin=0.0))
        for seed in range(100)
    )
    # Ten uncorrected tests would accuse somebody in one world of five.
    assert accused <= 9


def test_rare_values_are_one_group_and_missing_ones_another() -> None:
    column = ["a"] * 5 + ["b"] * 3 + ["c", "d", None]
    made = groups_of(Slice(column="kind", top=2), column)
    assert {name: int(rows.sum()) for name, rows in made.items()} == {
        "a": 5,
        "b": 3,
        "(others)": 2,
        "(missing)": 1,
    }


def test_the_groups_of_the_first_look_stay() -> None:
    made = groups_of(Slice(column="kind"), ["a", "z"], known=["a", "b", "(others)"])
    assert {name: int(rows.sum()) for name, rows in made.items()} == {"a": 1, "b": 0, "(others)": 1}


def test_evidence_adds_up_over_looks() -> None:
    rules = [Slice(column="kind", margin=0.0)]
    first, second = (np.array(["a", "a", "b"], dtype=object), np.array(["a", "b", "b"], dtype=object))
    losses = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    before = gather(rules, {"kind": first}, slice_evidence(*losses), before=None, looks=30)
    assert read_groups([one.to_dict() for one in before]) == before
    after = gather(rules, {"kind": second}, slice_evidence(*losses), before=before, looks=30)
    assert [(one.value, one.evidence, one.reach) for one in after] == [
        ("a", Evidence(3, 4.0, 6.0), 30.0),
        ("b", Evidence(3, 8.0, 22.0), 15.0),
    ]


def test_edges_ascend() -> None:
    with pytest.raises(ValidationError, match="ascending order"):
        Slice(column="km", edges=(5, 1))


def test_a_group_written_and_read_is_the_same() -> None:
    group = Group(1, "a", Evidence(2, 1.0, 1.0), 30.0)
    assert read_groups([group.to_dict()]) == [group]

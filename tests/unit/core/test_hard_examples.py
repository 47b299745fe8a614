"""Which rows are hard: the policy, and the SQL where it decides."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_dataml.core.hard_examples import TASKS, HardExamplePolicy, HardRowsQuery


def query(task: str = "binary", **policy: object) -> str:
    asked = HardRowsQuery(("id",), task, "late", HardExamplePolicy(**policy))  # type: ignore[arg-type]
    return asked.of_batches([("2026-01", "scored_0", "labels_0"), ("it's", "scored_1", "labels_1")])


@pytest.mark.parametrize(
    "wrong",
    [{"loss_quantile": 1}, {"loss_quantile": 0}, {"most": 0}, {"batches": 0}, {"disagreement": 0}, {"n": 1}],
    ids=str,
)
def test_a_policy_that_finds_nothing_or_everything_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HardExamplePolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_with_a_loss_has_a_query(task: str) -> None:
    asked = query(task)
    assert asked.count("UNION ALL") == 1
    assert "LIMIT 100000" in asked


def test_only_a_binary_model_has_a_wrong_side_of_one_half() -> None:
    assert "(label >= 0.5) <> (score >= 0.5)" in query()
    assert "(label >= 0.5) <> (score >= 0.5)" not in query("regression")
    assert "stddev_pop" in query("regression")


def test_the_champion_alone_where_no_disagreement_is_asked_for() -> None:
    assert "coalesce(abs(other_score - score) >= 0.3, false) AS disagreed" in query()
    assert "false AS disagreed" in query(disagreement=None)


def test_the_key_of_a_batch_is_text() -> None:
    assert "'it''s'::text AS batch" in query()


def test_the_score_a_model_gave_is_judged_and_not_the_one_a_rule_put_in_its_place() -> None:
    plain = HardRowsQuery(("id",), "binary", "late", HardExamplePolicy())
    humble = HardRowsQuery(("id",), "binary", "late", HardExamplePolicy(), humble=True)
    assert "model_score" not in plain.counts("s", "l")
    assert "coalesce(model_score, score) AS score" in humble.counts("s", "l")
    assert humble.columns == (*plain.columns, "model_score")


def test_classes_are_judged_by_the_class_that_was_predicted() -> None:
    asked = HardRowsQuery(("id",), "multiclass", "late", HardExamplePolicy())
    humble = HardRowsQuery(("id",), "multiclass", "late", HardExamplePolicy(), humble=True)
    assert asked.columns == ("id", "model_role", "model_version", "score", "label", "probabilities")
    assert humble.columns == (*asked.columns, "action")
    assert asked.made[-2:] == ("predicted", "other_predicted")
    assert "label <> predicted AS wrong" in query("multiclass")
    assert "coalesce(apart >= 0.3, false) AS disagreed" in query("multiclass")
    # Where a rule let another answer, the class that the model predicted was not kept.
    assert "action IS NULL OR action = 'note'" in humble.counts("s", "l")
    assert "action" not in asked.counts("s", "l")

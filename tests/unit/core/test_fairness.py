"""Fairness groups: rates and losses of two classes and of many, compared between groups."""

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: TID253 - every test here makes rows with it
import pytest
from pydantic import ValidationError

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.fairness import Fairness, judge_fairness, rate_evidence
from airflow_dataml.core.metric_gates import Finding, Scored
from airflow_dataml.core.sequential import Evidence
from airflow_dataml.core.slices import Group, gather, read_groups


def fair(scores: Any, labels: Any, groups: Any, **rule: Any) -> list[Finding]:
    rules = [Fairness(column="sex", **rule)]
    rows = Scored("binary", np.asarray(labels, dtype=float), np.asarray(scores, dtype=float), None, {})
    made = gather(rules, {"sex": groups}, rate_evidence(rows), before=None, looks=1)
    return judge_fairness(rules, made, error=0.05)


def people(shares: dict[str, float], rows: int = 1000) -> tuple[Any, Any]:
    groups = np.repeat(list(shares), rows).astype(object)
    scores = np.concatenate([np.arange(rows) / rows < share for share in shares.values()])
    return scores.astype(float), groups


@pytest.mark.parametrize(
    ("other", "verdict"), [(0.42, "pass"), (0.5, "unknown"), (0.7, "fail")], ids=["near", "edge", "far"]
)
def test_the_difference_of_two_groups_is_judged_on_its_interval(other: float, verdict: str) -> None:
    scores, groups = people({"f": 0.4, "m": other})
    [found] = fair(scores, scores, groups)
    assert found.verdict == verdict, found.reason
    assert found.name == "selection_rate by sex, f/m"


def test_every_pair_is_compared() -> None:
    scores, groups = people({"a": 0.4, "b": 0.4, "c": 0.9})
    assert sorted(one.verdict for one in fair(scores, scores, groups)) == ["fail", "fail", "pass"]


def test_rates_look_at_the_truth() -> None:
    scores, groups = people({"f": 0.5, "m": 0.5})
    labels = np.where(groups == "f", 1.0, scores)
    found = {
        rate: fair(scores, labels, groups, rate=rate)[0].interval
        for rate in ("selection_rate", "true_positive_rate", "accuracy")
    }
    assert {rate: one.estimate for rate, one in found.items() if one} == {
        "selection_rate": 0.0,
        "true_positive_rate": -0.5,
        "accuracy": -0.5,
    }


def test_a_group_alone_and_a_small_group_are_said() -> None:
    scores, groups = people({"f": 0.5})
    [found] = fair(scores, scores, groups)
    assert found.reason.endswith("1 group with 100 rows, a difference needs two")
    both = np.append(groups, np.array(["m"] * 5, dtype=object))
    few = fair(np.append(scores, np.ones(5)), np.ones(1005), both)
    assert "selection_rate by sex, m: 5 rows, fewer than 100" in few[0].reason


def test_a_regression_has_no_rates() -> None:
    rows = Scored("regression", np.ones(3), np.ones(3), np.ones(3), {})
    with pytest.raises(PolicyError, match="this is a regression model: use slices"):
        rate_evidence(rows)


CLASSES = ("a", "b", "c")


def outcomes(recalls: dict[str, tuple[float, ...]], rows: int = 600) -> tuple[Any, Any, Any]:
    """Labels, probabilities and groups in which each class is found so often; what is missed goes to the next class."""
    labels, said, groups = [], [], []
    for group, shares in recalls.items():
        for place, share in enumerate(shares):
            for row in range(rows):
                labels.append(place)
                said.append(place if row < share * rows else (place + 1) % len(shares))
                groups.append(group)
    return np.array(labels, dtype=float), np.eye(3)[said] * 0.7 + 0.1, np.array(groups, dtype=object)


def fair_of_classes(rows: tuple[Any, Any, Any], **rule: Any) -> list[Finding]:
    labels, scores, groups = rows
    rules = [Fairness(column="sex", **rule)]
    scored = Scored("multiclass", labels, scores, scores, {}, classes=CLASSES)
    made = gather(rules, {"sex": groups}, rate_evidence(scored), before=None, looks=1)
    assert read_groups([one.to_dict() for one in made]) == made
    return judge_fairness(rules, made, error=0.05)


def test_the_recall_of_every_class_is_compared_on_its_own() -> None:
    rows = outcomes({"f": (0.9, 0.8, 0.7), "m": (0.9, 0.5, 0.7)})
    found = {one.name: one for one in fair_of_classes(rows, rate="true_positive_rate", max_difference=0.15)}
    assert {name: one.verdict for name, one in found.items()} == {
        "true_positive_rate of 'a' by sex, f/m": "pass",
        "true_positive_rate of 'b' by sex, f/m": "fail",
        "true_positive_rate of 'c' by sex, f/m": "pass",
    }
    gap = found["true_positive_rate of 'b' by sex, f/m"]
    assert gap.rows == 1200
    assert gap.interval
    assert gap.interval.estimate == pytest.approx(0.3)
    assert gap.interval.low < 0.3 < gap.interval.high
    assert gap.interval.level == pytest.approx(1 - 0.05 / 3)
    [alone] = fair_of_classes(rows, rate="true_positive_rate", classes=("a",), max_difference=0.15)
    assert (alone.verdict, alone.name) == ("pass", "true_positive_rate of 'a' by sex, f/m")


def test_rates_of_one_class_are_those_of_a_binary_model_of_it() -> None:
    labels, scores, groups = rows = outcomes({"f": (0.9, 0.8, 0.7), "m": (0.6, 0.5, 0.7)})
    for rate in ("selection_rate", "true_positive_rate", "false_positive_rate"):
        [many] = fair_of_classes(rows, rate=rate, classes=("b",))
        [two] = fair((scores.argmax(axis=1) == 1).astype(float), labels == 1, groups, rate=rate)
        assert many.interval == two.interval


def test_accuracy_and_the_loss_are_of_all_classes() -> None:
    labels, scores, groups = rows = outcomes({"f": (0.9, 0.9, 0.9), "m": (0.5, 0.5, 0.5)})
    [accuracy] = fair_of_classes(rows, rate="accuracy")
    assert accuracy.interval
    assert accuracy.interval.estimate == pytest.approx(0.4)
    [loss] = fair_of_classes(rows, rate="log_loss", max_difference=2)
    own = -np.log(scores[np.arange(len(labels)), labels.astype(int)])
    assert loss.interval
    assert loss.interval.estimate == pytest.approx(own[groups == "f"].mean() - own[groups == "m"].mean())
    assert loss.verdict == "pass"
    assert fair_of_classes(rows, rate="log_loss", max_difference=0.1)[0].verdict == "fail"


def test_the_loss_of_two_classes_is_compared_too() -> None:
    scores, groups = people({"f": 0.5, "m": 0.5})
    labels = np.where(groups == "f", scores, 1 - scores)
    [found] = fair(scores * 0.8 + 0.1, labels, groups, rate="log_loss", max_difference=5)
    assert found.interval
    assert found.interval.estimate == pytest.approx(np.log(0.1) - np.log(0.9))


def test_a_class_that_a_group_hardly_has_is_said() -> None:
    labels, scores, groups = outcomes({"f": (1, 1, 1), "m": (1, 1, 1)})
    kept = (groups == "f") | (labels != 2)
    found = fair_of_classes((labels[kept], scores[kept], groups[kept]), rate="true_positive_rate")
    assert [one.reason for one in found if one.verdict == "unknown"] == [
        "true_positive_rate of 'c' by sex, m: 0 rows, fewer than 100, too few to say",
        "true_positive_rate of 'c' by sex: 1 group with 100 rows, a difference needs two",
    ]


def test_looks_add_up_class_by_class() -> None:
    labels, scores, groups = outcomes({"f": (0.9, 0.8, 0.7), "m": (0.9, 0.5, 0.7)})
    rules = [Fairness(column="sex", rate="true_positive_rate")]
    made: list[Group] | None = None
    for _ in range(2):
        evidence = rate_evidence(Scored("multiclass", labels, scores, scores, {}, classes=CLASSES))
        made = gather(rules, {"sex": groups}, evidence, before=made, looks=2)
    assert made
    assert {(one.value, one.of, one.evidence) for one in made if one.of == "b"} == {
        ("f", "b", Evidence(1200, 960.0, 960.0)),
        ("m", "b", Evidence(1200, 600.0, 600.0)),
    }


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rate": "accuracy", "classes": ["a"]}, "accuracy is of all classes together"),
        ({"max_difference": 1}, "no two shares differ by more than 1"),
        ({"rate": "log_loss", "max_difference": 0}, "greater than 0"),
    ],
    ids=["classes of accuracy", "never too much", "nothing"],
)
def test_a_rule_that_says_nothing_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Fairness(column="sex", **rule)


def test_classes_that_are_not_the_models_are_refused() -> None:
    rows = outcomes({"f": (1, 1, 1)}, rows=5)
    with pytest.raises(PolicyError, match="names 'z', and the model's classes are 'a', 'b', 'c'"):
        fair_of_classes(rows, classes=("z",))
    scores, groups = people({"f": 0.5})
    with pytest.raises(PolicyError, match="names classes, and a binary model has a threshold"):
        fair(scores, scores, groups, classes=("a",))


def test_a_policy_without_classes_is_written_as_ever() -> None:
    [rule] = PromotionPolicy(fairness=["sex"]).model_dump(mode="json")["fairness"]
    assert "classes" not in rule
    [rule] = PromotionPolicy(fairness=[{"column": "sex", "classes": ["a"]}]).model_dump(mode="json")[
        "fairness"
    ]
    assert rule["classes"] == ["a"]

"""Classes: their order, what is written of them, and comparisons of models that know different ones."""

from __future__ import annotations

import json

import numpy as np  # noqa: TID253 - every test here makes rows with it
import pytest

from airflow_dataml.core.classes import Answers, as_json, class_log_losses, ordered_classes
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.evaluation import PromotionPolicy, compare, verdict_of
from airflow_dataml.core.guidance import taught_classes, taught_column
from airflow_dataml.core.prediction_log import CLASS_LOG_COLUMNS, LoggedPrediction
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.warm_start import read_start, write_start

SPEC = {
    "model": "m",
    "task": "multiclass",
    "target": "kind",
    "features": [{"name": "x"}],
}


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["3", "-1", "10"], ("-1", "3", "10")),
        (["b", "B", "a"], ("B", "a", "b")),
        (["1", "1.5", "a"], ("1", "1.5", "a")),
    ],
    ids=["integers", "texts", "both"],
)
def test_the_order_of_classes_is_fixed(values: list[str], classes: tuple[str, ...]) -> None:
    assert ordered_classes(values) == ordered_classes(values[::-1]) == classes


def test_what_is_written_is_json_whatever_the_class_is_called() -> None:
    names = ('"quoted"', "50 %s", "two\nlines", "é", "")
    said = np.full((2, 5), 0.25, dtype=np.float32)
    rows = [json.loads(row) for row in as_json(said, names)]
    assert rows == [dict.fromkeys(names, 0.25)] * 2


def test_no_number_is_no_answer() -> None:
    found = Answers.of([[np.nan, np.nan], [0.0, 1.0]], ("a", "b"))
    assert found.labels.to_objects().tolist() == [None, "b"]
    assert found.probabilities.to_objects().tolist()[0] is None


def test_answers_of_another_model_take_their_place() -> None:
    found = Answers.of([[1.0, 0.0]] * 3, ("a", "b"))
    found = found.answered(np.array([0]), None).answered(np.array([2]), Answers.of([[1.0]], ("c",)))
    assert found.labels.to_objects().tolist() == [None, "a", "c"]
    assert found.probabilities.to_objects().tolist() == [None, '{"a": 1, "b": 0}', '{"c": 1}']


def test_a_class_nobody_knows_has_a_bounded_loss() -> None:
    assert class_log_losses([-1], [[0.5, 0.5]])[0] == pytest.approx(-np.log(1e-7))


def test_two_models_of_classes_are_compared_by_log_loss() -> None:
    draw = np.random.default_rng(0)
    good = np.exp(draw.normal(0, 2, (2000, 3)))
    good /= good.sum(axis=1, keepdims=True)
    labels = (good.cumsum(axis=1) < draw.random((2000, 1))).sum(axis=1)
    policy = PromotionPolicy(gates=({"metric": "accuracy", "threshold": 0.5},))
    found = compare(
        metric="multiclass_log_loss",
        labels=labels,
        challenger=("m@2", good),
        opponent=("m@1", np.full((2000, 3), 1 / 3)),
        policy=policy,
    )
    body = found.to_dict()
    verdict, reason = verdict_of(body | {"unseen_classes": {"rows": 2, "classes": ["x"]}}, policy)
    assert verdict == "pass"
    assert "2 rows have classes it never learnt: 'x'" in reason
    assert body["challenger"]["auc"] == pytest.approx(
        body["challenger"]["metrics"]["roc_auc_ovr"]["estimate"]
    )
    assert "calibration" not in body


def test_a_teacher_of_classes_needs_its_own_columns_in_the_training_file() -> None:
    assert TrainingSpec.from_mapping(SPEC | {"distill": {}}).distill
    with pytest.raises(
        TrainingSpecError, match=r"columns \['dataml_teacher=a'\] are names that training itself"
    ):
        TrainingSpec.from_mapping(SPEC | {"target": "dataml_teacher=a"})
    assert taught_classes(["x", taught_column('a "b", c'), "dataml_weight"]) == ('a "b", c',)


def test_tuning_knows_the_usual_metric_and_others() -> None:
    asked = {"training": SPEC, "space": {"learning_rate": [0.001, 0.01]}, "trials": 2}
    assert TuningSpec.from_mapping(asked).metric == "log_loss"
    assert TuningSpec.from_mapping(asked | {"metric": "f1_macro"}).direction == "maximize"


def test_weights_begin_only_with_the_same_classes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "start.npz"
    write_start(
        path, version="m@1", weights={}, encoding={"numeric": [], "categorical": []}, classes=("a", "b")
    )
    start = read_start(path)
    assert start.fit({}, encoding=start.encoding, classes=("a", "b"), model="m") == {}  # type: ignore[arg-type]
    with pytest.raises(
        TrainingSpecError, match="it tells the classes 'a', 'b' apart, and the rows have 'b', 'c'"
    ):
        start.fit({}, encoding=start.encoding, classes=("b", "c"), model="m")  # type: ignore[arg-type]


def test_a_logged_class_is_a_row() -> None:
    one = LoggedPrediction(
        prediction_id="a",
        predicted_at="2026-01-01T00:00:00Z",
        model_version=1,
        score=0.9,
        label="x",
        probabilities={"x": 0.9, "y": 0.1},
    )
    assert dict(zip([c.name for c in CLASS_LOG_COLUMNS], one.class_row(), strict=True))["label"] == "x"
    assert one.wrong_class(("x", "y")) is None
    assert one.wrong_class(()) == "label and probabilities are given, and the model has no classes"

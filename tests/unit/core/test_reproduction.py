"""Bit-equal is bit-equal, and whatever differs is measured."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from airflow_dataml.core.reproduction import (
    SHOWN,
    Difference,
    Reproduction,
    compare_scores,
    compare_weights,
    differences,
    metadata_differences,
)

np: Any = importlib.import_module("numpy")


def array(*values: float, dtype: str = "float32") -> Any:
    return np.array(values, dtype=dtype)


def weights(then: dict[str, Any], now: dict[str, Any], digests: tuple[str | None, str] = ("a", "a")) -> Any:
    return compare_weights(then, now, digest_then=digests[0], digest_now=digests[1])


def reproduction(**said: Any) -> Reproduction:
    one = {"w": array(1, 2)}
    scores = compare_scores([(array(0.5), array(0.5))], rows_of="holdout")
    common = {"version": "m@1", "environment": (), "weights": weights(one, one), "scores": scores}
    return Reproduction(**(common | said))


def test_equal_tensors_are_equal_whatever_they_hold() -> None:
    odd = {"nan": array(np.nan, np.inf), "none": np.zeros((0, 3), dtype="float32"), "one": np.array(7)}
    found = weights(odd, {name: value.copy() for name, value in odd.items()})
    assert (found.equal, found.tensors, found.values, found.different) == (True, 3, 3, ())


def test_a_different_tensor_says_how_many_values_and_how_far() -> None:
    found = weights({"w": array(1, 2, 3), "b": array(0)}, {"w": array(1, 2.5, 3.25), "b": array(0)})
    [one] = found.different
    assert (one.name, one.values, one.different, one.max_abs) == ("w", 3, 2, 0.5)
    assert found.max_abs == 0.5


def test_minus_zero_is_not_zero() -> None:
    [one] = weights({"w": array(0.0)}, {"w": array(-0.0)}).different
    assert (one.different, one.max_abs) == (1, 0.0)


def test_a_diverged_tensor_has_no_distance_and_stays_json() -> None:
    found = weights({"w": array(1, 2), "v": array(0)}, {"w": array(np.nan, 2), "v": array(3)})
    shown = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [(one["name"], one["max_abs"]) for one in shown["different"]] == [("w", None), ("v", 3.0)]


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        ({"w": array(1)}, {}, "only then"),
        ({}, {"w": array(1)}, "only now"),
        ({"w": array(1)}, {"w": array(1, 2)}, "float32[1] then, float32[2] now"),
        ({"w": array(1)}, {"w": array(1, dtype="float64")}, "float32[1] then, float64[1] now"),
    ],
    ids=["lost", "new", "shape", "type"],
)
def test_what_cannot_be_compared_says_why(then: dict[str, Any], now: dict[str, Any], why: str) -> None:
    assert [one.why for one in weights(then, now).different] == [why]


def test_weights_that_the_export_left_out_count_too() -> None:
    found = reproduction(weights=weights({"w": array(1)}, {"w": array(1)}, ("a", "b")))
    assert (found.verdict, found.weights.equal) == ("fail", False)
    assert found.summary == "different: the weights before export"


def test_an_unknown_digest_is_no_difference() -> None:
    assert weights({"w": array(1)}, {"w": array(1)}, (None, "b")).equal


def test_scores_are_compared_over_all_blocks() -> None:
    blocks = [(array(0.1, 0.2), array(0.1, 0.2)), (array(0.5), array(0.75)), (array(), array())]
    assert compare_scores(blocks, rows_of="train").to_dict() == {
        "rows_of": "train", "rows": 3, "different": 1, "max_abs_difference": 0.25,
    }  # fmt: skip


def test_a_score_that_is_no_number_has_no_distance() -> None:
    blocks = [(array(0.5), array(np.nan)), (array(0.5), array(0.6))]
    found = compare_scores(blocks, rows_of="holdout")
    assert (found.different, found.max_abs) == (2, None)


def test_facts_are_told_by_their_path() -> None:
    then = {
        "a": {"b": 1, "gone": 2},
        "columns": [{"name": "km", "mean": 1.0}, {"name": "h", "mean": 2.0}],
        "same": [1],
    }
    now = {"a": {"b": 2}, "columns": [{"name": "km", "mean": 1.5}, {"name": "h", "mean": 2.0}], "same": [1]}
    assert differences(then, now) == (
        Difference("a.b", 1, 2), Difference("a.gone", 2, None), Difference("columns.km.mean", 1.0, 1.5),
    )  # fmt: skip


def test_a_long_fact_is_cut() -> None:
    [one] = differences({"words": "x" * 1000}, {"words": "y"})
    assert len(one.then) == SHOWN + len(" ...")


def test_the_release_that_wrote_the_file_is_no_preprocessing() -> None:
    then = {"encoding": 1, "versions": {"torch": "1"}, "onnx_sha256": "a", "weights_digest": "a"}
    now = {"encoding": 2, "versions": {"torch": "2"}, "onnx_sha256": "b", "weights_digest": "b"}
    assert [one.what for one in metadata_differences(then, now)] == ["encoding"]


def test_bit_equal_passes_in_one_sentence() -> None:
    found = reproduction()
    assert (found.verdict, found.to_dict()["bit_equal"]) == ("pass", True)
    assert found.summary == (
        "bit-equal: 1 tensors of 2 values, preprocessing and the scores of 1 holdout rows"
    )


def test_different_says_what_and_what_changed_around_it() -> None:
    found = reproduction(
        weights=weights({"w": array(1, 2)}, {"w": array(1, 3)}),
        scores=compare_scores([(array(0.5), array(0.75))], rows_of="holdout"),
        metadata=(Difference("encoding.km.mean", 1, 2),),
        environment=(Difference("packages.torch", "2.9", "2.10"),),
    )
    assert found.verdict == "fail"
    assert found.summary == (
        "different: 1 of 1 tensors (1 of 2 values, at most 1 apart), preprocessing (encoding.km.mean), "
        "1 of 1 scores of holdout rows, at most 0.25 apart; changed since: packages.torch"
    )


def test_an_environment_that_was_not_recorded_is_said() -> None:
    found = reproduction(environment=None)
    assert (found.verdict, found.to_dict()["environment_recorded"]) == ("pass", False)
    assert found.summary.endswith("; what it was trained with was not recorded")


def test_what_could_not_be_trained_again_is_unknown() -> None:
    found = Reproduction(version="m@1", environment=(), refused="hidden is no argument")
    assert (found.verdict, found.to_dict()["bit_equal"]) == ("unknown", None)
    assert found.summary == "could not be trained again: hidden is no argument"

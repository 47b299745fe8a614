"""Encoding of named columns: what is learnt, what unseen and missing values become."""

from __future__ import annotations

import time
from math import inf, nan
from typing import Any

import pytest

from airflow_dataml.core.errors import NotFoundError, TrainingSpecError
from airflow_dataml.core.features import (
    VOCABULARY_LIMIT,
    CodedColumn,
    Feature,
    FeatureEncoding,
    as_coded,
    as_numbers,
)

DELAY = Feature(name="delay")
CARRIER = Feature(name="carrier", kind="categorical")


def test_numeric_values_pass_unscaled_and_missing_stays_nan() -> None:
    columns = {"delay": [1.0, None, 3.0]}
    encoding = FeatureEncoding.fit([DELAY], columns)
    numeric, categorical = encoding.encode(columns)
    assert numeric[:, 0].tolist() == pytest.approx([1.0, nan, 3.0], nan_ok=True)
    assert categorical.shape == (3, 0)


def test_mean_and_deviation_ignore_missing_values() -> None:
    (delay,) = FeatureEncoding.fit([DELAY], {"delay": [1.0, None, 3.0, inf]}).numeric
    assert (delay.mean, delay.std, delay.missing_fraction) == (2.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("values", "mean"),
    [([None, None], 0.0), ([5.0, 5.0], 5.0), ([], 0.0), ([1e9, 1e9 + 1], 1e9 + 0.5)],
    ids=["all missing", "constant", "no rows", "varies below float32"],
)
def test_a_column_without_spread_has_deviation_one(values: list[float | None], mean: float) -> None:
    (delay,) = FeatureEncoding.fit([DELAY], {"delay": values}).numeric
    assert (delay.mean, delay.std) == (mean, 1.0)


@pytest.mark.parametrize("value", [inf, -inf, 1e300, nan], ids=str)
def test_what_float32_cannot_carry_counts_as_missing(value: float) -> None:
    encoding = FeatureEncoding.fit([DELAY], {"delay": [1.0, 2.0]})
    assert encoding.encode({"delay": [value]})[0].item() == pytest.approx(nan, nan_ok=True)


def test_unseen_and_missing_categories_share_index_zero() -> None:
    encoding = FeatureEncoding.fit([CARRIER], {"carrier": ["UA", "AA", "AA", None]})
    _, categorical = encoding.encode({"carrier": ["AA", "UA", "??", None]})
    assert categorical[:, 0].tolist() == [1, 2, 0, 0]


def test_vocabulary_keeps_the_most_frequent_and_breaks_ties_by_name() -> None:
    values = [f"v{i:04}" for i in range(VOCABULARY_LIMIT + 100)] + ["v0600"]
    (carrier,) = FeatureEncoding.fit([CARRIER], {"carrier": values[::-1]}).categorical
    assert carrier.vocabulary[:2] == ("v0600", "v0000")
    assert len(carrier.vocabulary) == VOCABULARY_LIMIT


def test_validation_rows_teach_nothing() -> None:
    columns = {"delay": [1.0, 3.0, 100.0], "carrier": ["AA", "AA", "UA"]}
    encoding = FeatureEncoding.fit([DELAY, CARRIER], columns, rows=2)
    assert encoding.numeric[0].mean == 2.0
    assert encoding.categorical[0].vocabulary == ("AA",)


def test_encoding_survives_json() -> None:
    encoding = FeatureEncoding.fit([DELAY, CARRIER], {"delay": [1.0, None], "carrier": ["AA", "UA"]})
    assert FeatureEncoding.model_validate_json(encoding.model_dump_json()) == encoding


def column_as(form: str) -> Any:
    """The values 2, missing, 10 in one of the forms a column may have."""
    import numpy as np

    return {
        "text": ["2", None, "10"],
        "integers": [2, None, 10],
        "floats": np.array([2.0, np.nan, 10.0]),
        "objects": np.array([2, None, 10], dtype=object),
        "coded": CodedColumn(codes=np.array([1, -1, 0]), values=("10", "2")),
    }[form]


@pytest.mark.parametrize("form", ["text", "integers", "floats", "objects", "coded"])
def test_every_form_of_a_column_encodes_equally(form: str) -> None:
    features = [Feature(name="n"), Feature(name="c", kind="categorical")]
    encoding = FeatureEncoding.fit(features, {"n": [2.0, 10.0, 3.0], "c": ["10", "10", "2"]})
    numeric, categorical = encoding.encode({"n": column_as(form), "c": column_as(form)})
    assert numeric[:, 0].tolist() == pytest.approx([2.0, nan, 10.0], nan_ok=True)
    assert categorical[:, 0].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "column", [[True, False, None], ["t", "f", None], ["true", "false", None]], ids=["bool", "short", "long"]
)
def test_flags_are_one_and_zero(column: list[object]) -> None:
    assert as_numbers("flag", column).tolist() == pytest.approx([1.0, 0.0, nan], nan_ok=True)


def test_booleans_are_spelled_as_postgres_does() -> None:
    assert as_coded([True, False]).values == ("t", "f")


def test_a_word_in_a_numeric_column_is_named() -> None:
    with pytest.raises(
        TrainingSpecError, match=r"column 'delay' holds 'late', which is no number; declare it"
    ):
        FeatureEncoding.fit([DELAY], {"delay": ["1", "late"]})


def test_an_absent_column_is_named_with_its_neighbour() -> None:
    with pytest.raises(NotFoundError, match=r"feature column 'delay' does not exist\. Did you mean 'delays'"):
        FeatureEncoding.fit([DELAY], {"delays": [1.0]})


def test_columns_of_different_lengths_are_refused() -> None:
    encoding = FeatureEncoding.fit([DELAY, CARRIER], {"delay": [1.0], "carrier": ["AA"]})
    with pytest.raises(TrainingSpecError, match="different lengths"):
        encoding.encode({"delay": [1.0], "carrier": ["AA", "UA"]})


def test_a_million_coded_values_encode_without_a_python_loop() -> None:
    import numpy as np

    codes = np.arange(1_000_000) % 1000
    coded = CodedColumn(codes=codes, values=tuple(map(str, range(1000))))
    started = time.process_time()
    encoding = FeatureEncoding.fit([CARRIER], {"carrier": coded})
    encoding.encode({"carrier": coded})
    assert time.process_time() - started < 0.5


def test_coded_column_spells_itself_out() -> None:
    import numpy as np

    coded = CodedColumn(codes=np.array([0, -1, 1]), values=("a", "b"))
    assert coded.to_objects().tolist() == ["a", None, "b"]
    assert len(coded) == 3

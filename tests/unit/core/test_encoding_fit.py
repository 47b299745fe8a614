"""Fitting an encoding to blocks of rows, beside fitting it to all of them."""

from __future__ import annotations

import random

import pytest

from airflow_dataml.core.encoding_fit import EncodingFit
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.features import VOCABULARY_LIMIT, Feature, FeatureEncoding
from airflow_dataml.core.moments import Moments

FEATURES = (
    Feature(name="delay"),
    Feature(name="constant"),
    Feature(name="empty"),
    Feature(name="carrier", kind="categorical"),
)


def rows(count: int) -> dict[str, list[object]]:
    """Columns with missing, huge and rare values."""
    draw = random.Random(5)  # noqa: S311 - test data
    return {
        "delay": [draw.choice([None, 1e300, draw.gauss(1e6, 1)]) for _ in range(count)],
        "constant": [0.1] * count,
        "empty": [None] * count,
        "carrier": [draw.choice([None, "", f"c{int(draw.expovariate(0.004))}"]) for _ in range(count)],
    }


def fit_blocks(columns: dict[str, list[object]], *, block: int, train_rows: int) -> FeatureEncoding:
    """Fit to blocks, the last of which has rows for validation."""
    fitting = EncodingFit(FEATURES)
    for start in range(0, train_rows, block):
        part = {name: values[start : start + block] for name, values in columns.items()}
        fitting.add(part, rows=min(block, train_rows - start))
    return fitting.encoding()


def test_one_block_gives_the_encoding_of_all_rows_to_the_bit() -> None:
    columns = rows(5000)
    whole = FeatureEncoding.fit(FEATURES, columns, rows=4000)
    assert fit_blocks(columns, block=5000, train_rows=4000) == whole


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_differ_by_the_rounding_of_sums_alone(block: int) -> None:
    columns = rows(5000)
    whole = FeatureEncoding.fit(FEATURES, columns, rows=4000)
    merged = fit_blocks(columns, block=block, train_rows=4000)
    assert merged.categorical == whole.categorical
    assert len(whole.categorical[0].vocabulary) == VOCABULARY_LIMIT
    for one, other in zip(merged.numeric, whole.numeric, strict=True):
        assert one.missing_fraction == other.missing_fraction
        assert one.mean == pytest.approx(other.mean, rel=1e-14)
        assert one.std == pytest.approx(other.std, rel=1e-9)


def test_no_rows_give_the_encoding_of_no_rows() -> None:
    nothing: dict[str, list[object]] = {feature.name: [] for feature in FEATURES}
    assert EncodingFit(FEATURES).encoding() == FeatureEncoding.fit(FEATURES, nothing)


def test_a_block_without_a_column_is_refused() -> None:
    with pytest.raises(NotFoundError, match="delay"):
        EncodingFit(FEATURES).add({"dela": [1.0]})


def test_the_moments_of_one_block_are_those_of_numpy() -> None:
    import numpy as np

    for size in (1, 3, 1000, 100_003):
        values = np.random.default_rng(size).normal(5e6, 3, size)
        moments = Moments()
        moments.add(values)
        assert (moments.count, moments.mean, moments.std) == (size, float(values.mean()), float(values.std()))

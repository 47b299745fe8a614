"""Weights of an earlier version fit by name and shape, embedding rows by category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import CategoricalEncoding, FeatureEncoding, NumericEncoding
from airflow_dataml.core.warm_start import Start, read_start, write_start

if TYPE_CHECKING:
    from pathlib import Path


def encoding(*vocabulary: str, numeric: tuple[str, ...] = ("km",)) -> FeatureEncoding:
    return FeatureEncoding(
        numeric=tuple(NumericEncoding(name=name, mean=0, std=1, missing_fraction=0) for name in numeric),
        categorical=(CategoricalEncoding(name="kind", vocabulary=vocabulary),),
    )


def weights(rows: int, *, width: int = 2, units: int = 3, first: float = 0.0) -> dict[str, Any]:
    import numpy as np

    table = first + np.arange(rows, dtype=np.float32)[:, None].repeat(width, axis=1)
    return {"embeddings.0.weight": table, "layers.0.weight": np.full((units, 2 + width), first, np.float32)}


def start(*vocabulary: str, **how: Any) -> Start:
    return Start("late@3", encoding(*vocabulary), weights(len(vocabulary) + 1, **how))


def test_rows_follow_their_category_and_new_ones_stay_fresh() -> None:
    fresh = weights(4, first=100)
    fitted = start("bus", "tram").fit(fresh, encoding=encoding("tram", "ferry", "bus"), model="late")
    assert fitted["embeddings.0.weight"][:, 0].tolist() == [0, 2, 102, 1]
    assert (fitted["layers.0.weight"] == 0).all()
    assert fresh["embeddings.0.weight"][0, 0] == 100


@pytest.mark.parametrize(
    ("fresh", "now", "message"),
    [
        (
            weights(4, width=5),
            encoding("a", "b", "c"),
            r"late@3: tensor 'embeddings\.0\.weight' has shape \(3, 2\) there and \(4, 5\) here; .*embedding_width: \[2\]",
        ),
        (
            weights(3, units=9),
            encoding("a", "b"),
            r"tensor 'layers\.0\.weight' has shape \(3, 4\) there and \(9, 4\) here; give module_arguments .* or leave warm_start out",
        ),
        (
            {**weights(3), "layers.9.bias": weights(1)["embeddings.0.weight"]},
            encoding("a", "b"),
            r"tensor 'layers\.9\.bias' is not among",
        ),
        (
            weights(3),
            encoding("a", "b", numeric=("miles",)),
            r"numeric features are \['km'\] and the spec has \['miles'\], so tensor 'embeddings\.0\.weight'",
        ),
    ],
    ids=["embedding_width", "layer", "absent", "features"],
)
def test_the_first_tensor_that_does_not_fit_is_named(
    fresh: dict[str, Any], now: FeatureEncoding, message: str
) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        start("a", "b").fit(fresh, encoding=now, model="late")


def test_a_file_survives_and_holds_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "start.npz"
    stored = {f"module.{name}": array for name, array in weights(3).items()}
    write_start(path, version="late@3", weights=stored, encoding=encoding("a", "b").model_dump(mode="json"))
    read = read_start(path)
    assert (read.version, read.encoding) == ("late@3", encoding("a", "b"))
    assert read.weights["layers.0.weight"].shape == (3, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["start.npz"]


def test_weights_of_unknown_inputs_are_refused() -> None:
    with pytest.raises(
        TrainingSpecError, match="was not stored with it; use a version that was trained here"
    ):
        Start("late@3", None, weights(3)).fit(weights(3), encoding=encoding("a", "b"), model="late")

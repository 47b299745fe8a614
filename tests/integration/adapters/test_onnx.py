"""Scoring with ONNX Runtime: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.onnx import OnnxScorer, iterate_columns
from airflow_dataml.core.errors import NotFoundError, SpecError, TrainingSpecError
from airflow_dataml.core.features import CategoricalEncoding, FeatureEncoding, NumericEncoding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENCODING = FeatureEncoding(
    numeric=(NumericEncoding(name="km", mean=0.0, std=1.0, missing_fraction=0.0),),
    categorical=(CategoricalEncoding(name="kind", vocabulary=("bus", "tram")),),
)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose score is km plus the index of the kind, missing km counting as -1."""
    from onnx import TensorProto, helper, numpy_helper

    def put(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["rows", 1])

    constants = {"minus_one": ("float32", -1.0), "axis": ("int64", [1])}
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["numeric"], ["missing"]),
            helper.make_node("Where", ["missing", "minus_one", "numeric"], ["known"]),
            helper.make_node("Cast", ["categorical"], ["index"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["known", "index"], ["sum"]),
            helper.make_node("Squeeze", ["sum", "axis"], ["score"]),
        ],
        "sum",
        [put("numeric", TensorProto.FLOAT), put("categorical", TensorProto.INT64)],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(_array(*value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, model.SerializeToString())
    return folder


def _array(dtype: str, value: Any) -> Any:
    import numpy as np

    return np.array(value, dtype=dtype)


def write_model(folder: Path, graph: bytes, **changes: Any) -> None:
    """Write the files a training leaves, as far as scoring reads them."""
    metadata = {
        "format": 1,
        "encoding": ENCODING.model_dump(mode="json"),
        "onnx_sha256": hashlib.sha256(graph).hexdigest(),
    }
    (folder / "model.onnx").write_bytes(graph)
    (folder / "metadata.json").write_text(json.dumps(metadata | changes))


def write_csv(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(("id,km,kind", *lines)) + "\n")
    return path


def test_columns_become_scores(model_dir: Path) -> None:
    scores = OnnxScorer.load(model_dir).score(
        {"kind": ["bus", "tram", "ship", None], "km": [10, 10.0, 10, None], "spare": [0] * 4}
    )
    assert scores.dtype == "float64"
    assert scores.tolist() == [11.0, 12.0, 10.0, -1.0]


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 5000])
def test_blocks_do_not_show_in_the_scores(model_dir: Path, rows: int) -> None:
    scores = OnnxScorer.load(model_dir).score({"km": [*range(rows)], "kind": [None] * rows})
    assert scores.tolist() == [*range(rows)]


def test_a_file_streams_in_its_order_with_its_keys_unchanged(model_dir: Path, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "rows.csv", [f"{row:06},{row},{'bus' if row % 2 else ''}" for row in range(2500)]
    )
    blocks = list(OnnxScorer.load(model_dir).score_csv(path, block_rows=1000))
    assert [len(scores) for _, scores in blocks] == [1000, 1000, 500]
    keys = [key for columns, _ in blocks for key in columns["id"]]
    scores = [score for _, scores in blocks for score in scores.tolist()]
    assert keys == [f"{row:06}" for row in range(2500)]
    assert scores == [row + row % 2 for row in range(2500)]


def test_a_large_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    import pyarrow as pa

    path = write_csv(tmp_path / "rows.csv", [f"{'x' * 2000},2,bus"] * 60_000)
    before, most = pa.total_allocated_bytes(), 0
    for _ in iterate_columns(path, numeric={"km"}, coded={"kind"}, block_rows=1000):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < path.stat().st_size / 2


@pytest.mark.parametrize(
    ("line", "score"),
    [("1,,", -1.0), ('1,3,"tram"', 5.0), ('1,3,""', 3.0), ("1,t,bus", 2.0), ('1,3,"tr\nam"', 3.0)],
    ids=["missing", "quoted", "empty text", "flag", "line break"],
)
def test_fields_are_read_as_copy_writes_them(
    model_dir: Path, tmp_path: Path, line: str, score: float
) -> None:
    path = write_csv(tmp_path / "rows.csv", [line])
    assert [scores.tolist() for _, scores in OnnxScorer.load(model_dir).score_csv(path)] == [[score]]


def test_a_file_without_rows_gives_no_scores(model_dir: Path, tmp_path: Path) -> None:
    assert (
        sum(len(s) for _, s in OnnxScorer.load(model_dir).score_csv(write_csv(tmp_path / "rows.csv", [])))
        == 0
    )


def test_an_absent_feature_is_named_with_its_neighbour(model_dir: Path, tmp_path: Path) -> None:
    scorer = OnnxScorer.load(model_dir)
    with pytest.raises(NotFoundError, match=r"feature column 'kind' does not exist\. Did you mean 'kinds'"):
        scorer.score({"km": [1], "kinds": ["bus"]})
    path = tmp_path / "rows.csv"
    path.write_text("id,km,kinds\n1,2,bus\n")
    with pytest.raises(NotFoundError, match=r"feature column 'kind' does not exist\. Did you mean 'kinds'"):
        next(scorer.score_csv(path))


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("1,far,bus", TrainingSpecError, r"column 'km' holds 'far', which is no number"),
        ("1,2", SpecError, r"is no CSV with one header"),
    ],
    ids=["a word", "ragged"],
)
def test_what_cannot_be_read_is_refused(
    model_dir: Path, tmp_path: Path, line: str, error: type[Exception], message: str
) -> None:
    path = write_csv(tmp_path / "rows.csv", [line])
    with pytest.raises(error, match=message):
        list(OnnxScorer.load(model_dir).score_csv(path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot be read .*: it needs model\.onnx and metadata\.json"):
        OnnxScorer.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onnx_sha256": "0" * 64}, r"are not of one model; copy the folder again"),
        ({}, r"model\.onnx' is not an ONNX model"),
    ],
    ids=["mixed up", "garbage"],
)
def test_a_graph_that_is_not_the_stored_one_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_model(tmp_path, b"not a graph", **changes)
    with pytest.raises(SpecError, match=message):
        OnnxScorer.load(tmp_path)


def test_scoring_imports_no_torch_and_no_pickle_of_a_model(model_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from airflow_dataml.adapters.onnx import OnnxScorer;"
        f"OnnxScorer.load(Path({str(model_dir)!r})).score({{'km': [1], 'kind': ['bus']}});"
        "print([name for name in ('torch', 'pytorch_lightning', 'mlflow', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

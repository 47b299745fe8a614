"""Scoring with an exported model; nothing that is stored is executed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.adapters.onnx.columns import iterate_columns
from airflow_dataml.core.errors import MissingExtraError, SpecError
from airflow_dataml.core.features import CodedColumn, FeatureEncoding, column_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

MODEL_FILE = "model.onnx"
METADATA_FILE = "metadata.json"
# Blocks that stay in the cache; larger ones score three times slower.
BLOCK_ROWS = 1024


class OnnxScorer:
    """A model as a graph of numbers: named columns in, one score per row out, or a probability of each class.

    :param session: the ONNX Runtime session.
    :param encoding: how columns become the graph's inputs.
    :param classes: whose probabilities the graph gives, in this order; none where it gives one score.
    """

    def __init__(self, *, session: Any, encoding: FeatureEncoding, classes: tuple[str, ...] = ()) -> None:
        self._session = session
        self._inputs = [put.name for put in session.get_inputs()]
        self.encoding = encoding
        self.classes = classes

    @classmethod
    def load(cls, model_dir: Path) -> Self:
        """Load ``model.onnx`` and ``metadata.json``; about 40 ms besides the import.

        :raises SpecError: a file is missing or not what it should be.
        """
        folder = Path(model_dir)
        try:
            metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
            graph = (folder / MODEL_FILE).read_bytes()
            encoding = FeatureEncoding.model_validate(metadata["encoding"])
            promised = metadata["onnx_sha256"]
            classes = tuple(metadata.get("classes", ()))
        except (OSError, ValueError, KeyError) as err:
            msg = f"model folder {str(folder)!r} cannot be read ({err}): it needs {MODEL_FILE} and {METADATA_FILE}."
            raise SpecError(msg) from err
        if hashlib.sha256(graph).hexdigest() != promised:
            msg = f"{MODEL_FILE} and {METADATA_FILE} in {str(folder)!r} are not of one model; copy the folder again."
            raise SpecError(msg)
        return cls(session=_session(graph, folder), encoding=encoding, classes=classes)

    def score(self, columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
        """Return one score per row, or the probabilities of the classes, ``[n, classes]``.

        :param columns: at least the model's features; sequences or arrays of one length.
        :raises NotFoundError: a feature is not among them.
        """
        import numpy as np

        rows = len(column_of(columns, self.encoding.columns[0])) if self.encoding.columns else 0
        if not all(isinstance(columns.get(name), np.ndarray | CodedColumn) for name in self.encoding.columns):
            return self.score_encoded(*self.encoding.encode(columns))
        scores = np.empty(self._shape(rows), dtype=np.float64)
        # Encoded block by block as well, so that a row is still in the cache when the model reads it.
        for start in range(0, rows, BLOCK_ROWS):
            here = slice(start, start + BLOCK_ROWS)
            block = {name: _rows_of(columns[name], here) for name in self.encoding.columns}
            scores[here] = self.score_encoded(*self.encoding.encode(block))
        return scores

    def score_encoded(
        self, numeric: npt.NDArray[np.float32], categorical: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Return what :meth:`score` does of arrays as :meth:`FeatureEncoding.encode` makes them; six million a second."""
        import numpy as np

        feed: dict[str, npt.NDArray[Any]] = {"numeric": numeric, "categorical": categorical}
        scores = np.empty(self._shape(len(numeric)), dtype=np.float64)
        for start in range(0, len(numeric), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            block = {name: feed[name][rows] for name in self._inputs}
            scores[rows] = self._session.run(["score"], block)[0].reshape(scores[rows].shape)
        return scores

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows, len(self.classes)) if self.classes else (rows,)

    def score_csv(
        self, path: Path, *, block_rows: int = 65536
    ) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float64]]]:
        """Yield blocks of a file's columns with their scores, in file order and bounded memory.

        Columns that are no features come as text, as they stand in the file.
        """
        numeric = {column.name for column in self.encoding.numeric}
        coded = {column.name for column in self.encoding.categorical}
        for columns in iterate_columns(path, numeric=numeric, coded=coded, block_rows=block_rows):
            yield columns, self.score(columns)


def _rows_of(column: Any, rows: slice) -> Any:
    if isinstance(column, CodedColumn):
        return CodedColumn(codes=column.codes[rows], values=column.values)
    return column[rows]


def _session(graph: bytes, folder: Path) -> Any:
    # Read when the library is first imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort
    except ModuleNotFoundError as err:
        extra, package = "mlflow", "onnxruntime"
        raise MissingExtraError(extra, package) from err
    options = ort.SessionOptions()
    # One thread: bit-equal on every worker, and the blocks are too small to share.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (
        ort.capi.onnxruntime_pybind11_state.Fail,
        ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ) as err:
        msg = f"{str(folder / MODEL_FILE)!r} is not an ONNX model: {err}"
        raise SpecError(msg) from err

"""The numbers inside an exported model, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.adapters.onnx.scorer import MODEL_FILE
from airflow_dataml.core.errors import MissingExtraError, SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def read_weights(model_dir: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Return every initialiser of ``model.onnx``; all of them are then in memory, and nothing is run.

    :param model_dir: files that were verified or just exported.
    :raises SpecError: there is no such file.
    """
    try:
        import onnx
    except ModuleNotFoundError as err:
        extra, package = "mlflow", "onnx"
        raise MissingExtraError(extra, package) from err
    path = Path(model_dir) / MODEL_FILE
    try:
        model = onnx.load(path)
    except OSError as err:
        msg = f"{str(path)!r} cannot be read ({err.strerror}): give the folder of an exported model."
        raise SpecError(msg) from err
    return {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}

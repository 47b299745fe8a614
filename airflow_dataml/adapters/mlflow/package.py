"""The files that make an ONNX model directory an MLflow model, written without loading MLflow's flavors.

``mlflow.onnx.save_model`` would parse and write the model anew and infer its requirements; the loader
needs only these few text files beside an untouched ``model.onnx``.
"""

from __future__ import annotations

import json
import platform
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import MissingExtraError, SpecError
from airflow_dataml.core.registry import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow import MlflowClient

    from airflow_dataml.core.registry import ModelFiles

_EXTRA = "mlflow"
METADATA_FILE = "metadata.json"
_NUMPY_TYPES = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
_REQUIRED = {
    "mlflow": "mlflow>=3.15,<4",
    "onnx": "onnx>=1.20",
    "onnxruntime": "onnxruntime>=1.22",
    "numpy": "numpy>=2",
}


@dataclass(frozen=True, slots=True)
class Interface:
    """What a model takes and gives.

    :param columns: feature columns per ONNX input.
    :param signature: MLflow's, from the tensors in the file.
    :param classes: whose probabilities the model gives, in order; none where it gives one score.
    """

    columns: Mapping[str, Sequence[str]]
    signature: Any
    classes: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """What the MLmodel says of it beside the signature."""
        columns = {name: list(listed) for name, listed in self.columns.items()}
        return {"columns": columns} | ({"classes": list(self.classes)} if self.classes else {})


def read_interface(model_path: Path, columns: Mapping[str, Sequence[str]]) -> Interface:
    """Read from an ONNX file what it takes and gives; costs a third of a second for importing onnx.

    The names of classes are taken from ``metadata.json`` beside it, if it names any.

    :param columns: feature columns per ONNX input.
    :raises SpecError: they do not fit the shapes in the file.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    graph = _graph(model_path)
    inputs = {value.name: _tensor(value) for value in graph.input}
    for name, listed in columns.items():
        width = inputs[name].shape[-1] if name in inputs else 0
        if width not in {len(listed), -1}:
            msg = (
                f"ONNX input {name!r} of {model_path.name} takes {width} columns, {len(listed)} are named "
                f"({', '.join(listed) or 'none'}): name the columns the model was exported with."
            )
            raise SpecError(msg)
    outputs = Schema([_tensor(value) for value in graph.output])
    signature = ModelSignature(inputs=Schema(list(inputs.values())), outputs=outputs)
    return Interface(columns, signature, _classes(model_path.with_name(METADATA_FILE)))


def _classes(path: Path) -> tuple[str, ...]:
    return tuple(json.loads(path.read_text(encoding="utf-8")).get("classes", ())) if path.exists() else ()


def upload(
    client: MlflowClient, files: ModelFiles, *, model_id: str, run_id: str, interface: Interface
) -> None:
    """Send a model's files and the package around them, and mark the model ready; twice does no harm."""
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory(prefix="dataml-mlflow-") as folder:
        write_package(Path(folder), interface=interface, run_id=run_id, model_id=model_id)
        client.log_model_artifacts(model_id, folder)
    for path in files.paths:
        client.log_model_artifact(model_id, str(path))
    client.log_outputs(run_id, models=[LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, "READY")


def write_package(target: Path, *, interface: Interface, run_id: str, model_id: str) -> None:
    """Write MLmodel, requirements and environments for a model into a folder."""
    from mlflow.models import Model

    model = Model(
        run_id=run_id,
        model_id=model_id,
        model_uuid=model_id,
        signature=interface.signature,
        metadata={"dataml": interface.told},
    )
    model.add_flavor(
        "python_function",
        loader_module="mlflow.onnx",
        python_version=platform.python_version(),
        data=MODEL_FILE,
        env={"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
    )
    model.add_flavor(
        "onnx",
        onnx_version=metadata.version("onnx"),
        data=MODEL_FILE,
        providers=["CPUExecutionProvider"],
        code=None,
    )
    model.save(str(target / "MLmodel"))
    for name, text in _environment().items():
        (target / name).write_text(text, encoding="utf-8")


def requirements() -> list[str]:
    """Return what the pyfunc loader needs: as installed here, or the least version where it is not."""
    return [_pinned(package, fallback) for package, fallback in _REQUIRED.items()]


def _pinned(package: str, fallback: str) -> str:
    try:
        return f"{package}=={metadata.version(package).partition('+')[0]}"
    except metadata.PackageNotFoundError:
        return fallback


def _environment() -> dict[str, str]:
    python, needed = platform.python_version(), requirements()
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": needed}],
    }
    virtualenv = {
        "python": python,
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    # JSON is YAML.
    return {
        "requirements.txt": "\n".join(needed) + "\n",
        "conda.yaml": json.dumps(conda, indent=1) + "\n",
        "python_env.yaml": json.dumps(virtualenv, indent=1) + "\n",
    }


def _graph(model_path: Path) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as err:
        raise MissingExtraError(_EXTRA, "onnx") from err
    from google.protobuf.message import (  # type: ignore[import-untyped]  # stubs are a package of their own
        DecodeError,
    )

    try:
        return onnx.load(str(model_path), load_external_data=False).graph
    except DecodeError as err:
        msg = f"{str(model_path)!r} is not an ONNX model: {err}. Export the model again."
        raise SpecError(msg) from err


def _tensor(value: Any) -> Any:
    import numpy as np
    from mlflow.types import TensorSpec

    tensor = value.type.tensor_type
    kind = _NUMPY_TYPES.get(tensor.elem_type)
    if kind is None:
        msg = f"ONNX tensor {value.name!r} has element type {tensor.elem_type}: export features and scores as numbers."
        raise SpecError(msg)
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
    return TensorSpec(np.dtype(kind), shape, value.name)

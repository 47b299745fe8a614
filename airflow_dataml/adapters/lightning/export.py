"""Export: a trained model as files that say what it computes and contain no code to run."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import TrainingSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import TrainingSpec

METADATA_FORMAT = 1
VERIFIED_ROWS = 1024
BLOCK_ROWS = 1024
BLOCKS_KEPT = 64
RELATIVE_TOLERANCE = 1e-3
_RECORDED = ("torch", "pytorch-lightning", "numpy", "onnx", "onnxruntime")


def export(model: nn.Module, data: TrainingData, spec: TrainingSpec, *, folder: Path) -> float:
    """Write ``model.onnx`` and ``model.pt2``; return the largest difference of their scores on a sample.

    :param model: gives scores; must be in evaluation mode.
    :param folder: emptied first. The two files are about twice the weights.
    :raises TrainingSpecError: the module cannot be exported, or the export scores otherwise.
    """
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = torch.export.Dim("rows")
    try:
        with torch.no_grad():
            program = torch.export.export(
                model, _example(data), dynamic_shapes={"numeric": {0: rows}, "categorical": {0: rows}}
            )
        # Stack traces would carry this machine's paths and the module's source into the artifact.
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        program.example_inputs = None  # would be stored as a pickle
        torch.export.save(program, folder / "model.pt2")
        _write_onnx(program, folder / "model.onnx")
    except (RuntimeError, ValueError, TypeError, torch.onnx.OnnxExporterError) as err:
        msg = (
            f"module {spec.module!r} of model {spec.model!r} cannot be exported: {type(err).__name__}: {err}; its forward "
            "must be plain tensor operations for any number of rows."
        )
        raise TrainingSpecError(msg) from err
    return _verify(model, _sample(data), spec, folder / "model.onnx")


def _example(data: TrainingData) -> tuple[Tensor, Tensor]:
    """Return made-up rows to trace with: an artifact must not carry rows of the dataset."""
    import torch

    numeric, categorical, _ = data.tensors
    return numeric.new_full((4, numeric.shape[1]), torch.nan), categorical.new_zeros(
        (4, categorical.shape[1])
    )


def _sample(data: TrainingData) -> tuple[Tensor, Tensor]:
    """Return real rows, and one in which everything is missing."""
    import torch

    numeric, categorical, _ = data.tensors
    return (
        torch.cat([numeric[:VERIFIED_ROWS], torch.full((1, numeric.shape[1]), torch.nan)]),
        torch.cat(
            [categorical[:VERIFIED_ROWS], torch.zeros((1, categorical.shape[1]), dtype=categorical.dtype)]
        ),
    )


def _write_onnx(program: Any, path: Path) -> None:
    import torch

    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=["numeric", "categorical"],
        output_names=["score"],
        verbose=False,
    )
    if exported is None:  # torch's signature allows it, for its older exporter
        msg = "the ONNX exporter returned nothing"
        raise ValueError(msg)
    for node in exported.model.graph.all_nodes():
        node.metadata_props.clear()
    exported.save(path, external_data=False)


def _verify(model: nn.Module, sample: tuple[Tensor, Tensor], spec: TrainingSpec, path: Path) -> float:
    import numpy as np
    import onnxruntime as ort
    import torch

    with torch.inference_mode():
        expected = model(*sample).numpy()
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feed = {"numeric": sample[0].numpy(), "categorical": sample[1].numpy()}
    actual = session.run(["score"], {put.name: feed[put.name] for put in session.get_inputs()})[0]
    difference = float(np.max(np.abs(actual - expected))) if actual.shape == expected.shape else np.inf
    if not difference <= RELATIVE_TOLERANCE * (1 + float(np.max(np.abs(expected)))):
        msg = (
            f"module {spec.module!r} of model {spec.model!r} scores up to {difference:g} otherwise once exported to ONNX; "
            "its forward must not depend on anything but its two inputs and the weights."
        )
        raise TrainingSpecError(msg)
    return difference


def score(
    model: nn.Module, tensors: tuple[Tensor, ...], *, release: Callable[[], None]
) -> npt.NDArray[np.float64]:
    """Scores of rows, ``[n]`` or ``[n, classes]``, in blocks that stay in the cache.

    :param release: called now and then, to give back the memory of rows that were read.
    """
    import numpy as np
    import torch

    numeric, categorical, *_ = tensors
    scores = []
    with torch.inference_mode():
        for number, start in enumerate(range(0, len(numeric), BLOCK_ROWS), start=1):
            rows = slice(start, start + BLOCK_ROWS)
            scores.append(model(numeric[rows], categorical[rows]).numpy())
            if number % BLOCKS_KEPT == 0:
                release()
    return np.concatenate(scores).astype(np.float64)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name}:{array.dtype.str}:{array.shape}:".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_metadata(folder: Path, *, spec: TrainingSpec, data: TrainingData, digest: str) -> None:
    """Write ``metadata.json``: all that scoring needs beside the graph, and where the model comes from."""
    metadata = {
        "format": METADATA_FORMAT,
        "model": spec.model,
        "task": spec.task,
        "spec": spec.model_dump(mode="json"),
        "encoding": data.encoding.model_dump(mode="json"),
        "target": {"column": spec.target, "mean": data.target.mean, "std": data.target.std},
        "rows": {"training": data.train_rows, "validation": len(data.labels) - data.train_rows},
        "weights_digest": digest,
        "onnx_sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _RECORDED}},
    }
    if data.target.classes:
        metadata["classes"] = list(data.target.classes)
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2), encoding="utf-8")

"""What a training tells while it runs, and what it leaves behind."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished training left behind.

    :param artifact_dir: folder with ``model.onnx``, ``model.pt2`` and ``metadata.json``.
    :param epochs: whole passes done, over all tries.
    :param steps: optimiser steps done, over all tries.
    :param rows: rows read, training and validation together.
    :param metrics: measured on the validation rows with the kept weights.
    :param seconds: wall clock of the try that finished.
    :param resumed: whether that try began from a checkpoint of an earlier one.
    :param weights_digest: SHA-256 over names, shapes and bytes of the kept weights.
    :param device: what it ran on, as Lightning names it: ``cpu`` or ``cuda``.
    """

    artifact_dir: str
    epochs: int
    steps: int
    rows: int
    metrics: dict[str, float]
    seconds: float
    resumed: bool
    weights_digest: str
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training is.

    :param epoch: the epoch now running, from 1.
    :param loss: mean training loss of this epoch so far; ``None`` if the module reports none.
    :param validation_loss: of the latest finished epoch; ``None`` during the first.
    :param rows_per_second: training rows per wall-clock second in this try.
    :param eta_seconds: time left if all ``max_epochs`` are needed.
    """

    epoch: int
    max_epochs: int
    step: int
    loss: float | None
    validation_loss: float | None
    rows_per_second: float
    eta_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**values)

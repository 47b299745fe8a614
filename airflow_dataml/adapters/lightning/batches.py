"""What a fit is fed with: our loaders, or the data module a spec names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.data import SlicingLoader
from airflow_dataml.adapters.lightning.datamodules import build_datamodule, load_datamodule
from airflow_dataml.adapters.lightning.stream import WindowLoader

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.adapters.lightning.ranks import Ranks
    from airflow_dataml.core.training import TrainingSpec

VALIDATION_BATCH = 8192


def batches_of(
    data: TrainingData, spec: TrainingSpec, *, epoch: Callable[[], int], ranks: Ranks
) -> dict[str, Any]:
    """Return the loaders, or the data module, as keywords of Lightning's ``Trainer.fit``.

    :param epoch: tells the running epoch.
    """
    training, validation = _loaders(data, spec, epoch=epoch, ranks=ranks)
    cls = load_datamodule(spec)
    if cls is None:
        return {"train_dataloaders": training, "val_dataloaders": validation}
    return {"datamodule": build_datamodule(cls, data, spec, validation=lambda: validation)}


def _loaders(
    data: TrainingData, spec: TrainingSpec, *, epoch: Callable[[], int], ranks: Ranks
) -> tuple[SlicingLoader, SlicingLoader]:
    cls: Callable[..., SlicingLoader] = SlicingLoader
    if data.window is not None:
        cls = partial(WindowLoader, window=data.window, release=data.release)
    return (
        cls(
            data.training,
            batch_size=spec.batch_size,
            seed=spec.seed,
            epoch=epoch,
            beside={key: tensor[: data.train_rows] for key, tensor in data.beside.items()},
            rank=ranks.rank,
            size=ranks.size,
        ),
        # Whole in every process: a module that logs its own loss needs to know of no other.
        cls(data.validation, batch_size=max(spec.batch_size, VALIDATION_BATCH)),
    )

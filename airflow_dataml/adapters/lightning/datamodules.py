"""Data modules of users, and what one must accept and give.

``datamodule: package.module:Class`` in a spec names a ``LightningDataModule`` that makes the batches to train on, in
place of our loader. It runs in the training process alone, and is one with

- the constructor ``Class(*, encoding, training, validation, spec, **datamodule_arguments)``: the fitted
  ``FeatureEncoding``; the rows of either side, each ``(numeric, categorical, target)`` as tensors, oldest row first
  and as ``tabular`` describes them (mapped files where the data are larger than memory: do not copy them whole);
  and the spec as plain values;
- ``train_dataloader()`` giving what the module's ``training_step`` takes; a tuple whose third element is the target
  has its rows counted;
- ``val_dataloader()`` if it wants another than ours, which gives the validation rows in their order. The metrics of
  the version are measured on those rows either way.

Before an epoch begins, the generators of ``random``, numpy and torch are seeded with the spec's seed and the epoch's
number, but a loader may have drawn from them earlier: let whatever shuffles depend on ``self.trainer.current_epoch``
and ``spec["seed"]`` alone, as a sampler with ``set_epoch`` does, which Lightning calls. Then a resumed training sees
the batches an undisturbed one would. Of several processes each has all rows; ``self.trainer.global_rank`` and
``world_size`` say which of them are its own.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.imports import import_named
from airflow_dataml.core.errors import TrainingSpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytorch_lightning import LightningDataModule

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import TrainingSpec


def load_datamodule(spec: TrainingSpec) -> type[LightningDataModule] | None:
    """Import the class of a spec's data module, if it names one; this runs the user's file.

    :raises TrainingSpecError: it cannot be imported, is no LightningDataModule, has no ``train_dataloader``, or
        refuses the arguments' names.
    """
    from pytorch_lightning import LightningDataModule

    if spec.datamodule is None:
        return None
    said = f"datamodule {spec.datamodule!r} of model {spec.model!r}"
    found = import_named(spec.datamodule, said=said)
    if not (isinstance(found, type) and issubclass(found, LightningDataModule)):
        msg = f"{said} is {found!r}, which is no LightningDataModule class."
        raise TrainingSpecError(msg)
    if _inherits(found, "train_dataloader"):
        msg = f"{said} has no train_dataloader; write one that gives what training_step takes."
        raise TrainingSpecError(msg)
    try:
        inspect.signature(found).bind(
            encoding=None, training=None, validation=None, spec=None, **spec.datamodule_arguments
        )
    except TypeError as err:
        raise TrainingSpecError(_arguments_refused(spec, err)) from err
    return found


def build_datamodule(
    cls: type[LightningDataModule],
    data: TrainingData,
    spec: TrainingSpec,
    *,
    validation: Callable[[], Any],
) -> LightningDataModule:
    """Make a data module; one without validation batches of its own gives ours.

    :param validation: our validation loader.
    """
    if _inherits(cls, "val_dataloader"):
        cls = type(cls.__name__, (cls,), {"val_dataloader": lambda _: validation()})
    make: Callable[..., LightningDataModule] = cls
    try:
        return make(
            encoding=data.encoding,
            training=data.training,
            validation=data.validation,
            spec=spec.model_dump(mode="json"),
            **spec.datamodule_arguments,
        )
    except (TypeError, ValueError) as err:
        raise TrainingSpecError(_arguments_refused(spec, err)) from err


def _inherits(cls: type[LightningDataModule], method: str) -> bool:
    from pytorch_lightning import LightningDataModule

    return getattr(cls, method) is getattr(LightningDataModule, method)


def _arguments_refused(spec: TrainingSpec, err: Exception) -> str:
    return (
        f"datamodule {spec.datamodule!r} of model {spec.model!r} does not accept datamodule_arguments "
        f"{spec.datamodule_arguments!r}: {err}; it is called with encoding, training, validation, spec and these."
    )

"""Fitting: one deterministic run of Lightning's Trainer that a killed process can take up again."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.lightning.batches import batches_of
from airflow_dataml.adapters.lightning.data import EPOCHS_PER_SEED
from airflow_dataml.adapters.lightning.ranks import Ranks, trainer_arguments
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytorch_lightning import Callback, LightningModule, Trainer
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
    from pytorch_lightning.plugins.io import TorchCheckpointIO
    from torch import Tensor

    from airflow_dataml.adapters.lightning.data import TrainingData
    from airflow_dataml.core.training import TrainingSpec

VALIDATION_LOSS = "validation_loss"
SECONDS_BETWEEN_REPORTS = 1.0
_SEEDS_PER_RANK = 7919


@dataclass(frozen=True, slots=True)
class Fitted:
    """The weights of the best epoch and how they were reached.

    :param train_loss: of the last epoch; ``None`` if a resumed run had no epoch left to train, or
        the module reports none.
    :param device: what it ran on, as torch names it.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    validation_loss: float
    train_loss: float | None
    epochs: int
    steps: int
    resumed: bool
    device: str

    def metrics(self) -> dict[str, float]:
        """What the loop knows beside the measured metrics."""
        found = {"best_epoch": float(self.best_epoch), "validation_loss": self.validation_loss}
        return found if self.train_loss is None else {**found, "train_loss": self.train_loss}


class Watch:
    """What is done around Lightning's loop: seeding, reporting, and stopping what cannot end well."""

    def __init__(
        self,
        spec: TrainingSpec,
        *,
        stopper: EarlyStopping | None,
        on_progress: Callable[[Progress], None],
        ranks: Ranks,
    ) -> None:
        self._spec = spec
        self._ranks = ranks
        self._stopper = stopper
        self._on_progress = on_progress
        self._started = self._reported = time.monotonic()
        self._steps = self._rows = 0
        self._loss_sum: Tensor | float = 0.0
        self._loss_count = 0
        self.train_loss: float | None = None

    def train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at once if the checkpoint was written by an epoch that had already used up the patience."""
        del module
        if self._stopper is not None and self._stopper.wait_count >= self._stopper.patience:
            trainer.should_stop = True

    def epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed dropout and the like by epoch, so that a resumed run draws what an undisturbed one would."""
        del module
        self._seed(trainer)
        self._loss_sum, self._loss_count = 0.0, 0

    def batch_start(self, trainer: Trainer, module: LightningModule, batch: object, batch_index: int) -> None:
        """Seed again where a user's loader has begun: it draws before the first epoch of a run, and in later ones."""
        del module, batch
        if batch_index == 0 and self._spec.datamodule is not None:
            self._seed(trainer)

    def _seed(self, trainer: Trainer) -> None:
        from pytorch_lightning import seed_everything

        # Another dropout in every process; that of the first is that of a training of one process.
        seed = (self._spec.seed + self._ranks.rank * _SEEDS_PER_RANK) * EPOCHS_PER_SEED
        seed_everything((seed + trainer.current_epoch) % 2**32, verbose=False)

    def batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: object, batch: Any, batch_index: int
    ) -> None:
        """Add up the loss and report at most once per second."""
        del module
        if isinstance(outputs, dict) and "loss" in outputs:
            self._loss_sum = self._loss_sum + outputs["loss"]
            self._loss_count += 1
        self._steps += 1
        self._rows += self._rows_of(batch) * self._ranks.size
        if time.monotonic() - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._report(trainer, batches_done=batch_index + 1)

    def _rows_of(self, batch: Any) -> int:
        # A data module's batch may be anything; ours is a tuple with the target at the third place.
        whole = isinstance(batch, (tuple, list)) and len(batch) > 2
        return len(batch[2]) if whole else self._spec.batch_size

    def validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Refuse a module that does not say how good it is, or has diverged."""
        del module
        if VALIDATION_LOSS not in trainer.callback_metrics:
            msg = (
                f"module {self._spec.module!r} logs no {VALIDATION_LOSS!r}, by which the best epoch is chosen; "
                f"call self.log({VALIDATION_LOSS!r}, loss) in validation_step."
            )
            raise TrainingSpecError(msg)
        self._refuse_divergence(trainer, VALIDATION_LOSS, float(trainer.callback_metrics[VALIDATION_LOSS]))

    def epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Report the epoch and end the training when its budget is used up."""
        del module
        if self._loss_count:
            self.train_loss = self._mean_loss(trainer)
            self._refuse_divergence(trainer, "training loss", self.train_loss)
        self._report(trainer, batches_done=int(trainer.num_training_batches))
        budget = self._spec.max_seconds
        if budget is not None:
            over = time.monotonic() - self._started >= budget
            # Clocks differ, and processes that disagree would wait for each other for good.
            trainer.should_stop |= trainer.strategy.reduce_boolean_decision(over, all=False)

    def _mean_loss(self, trainer: Trainer) -> float:
        import torch

        own = torch.as_tensor(self._loss_sum, dtype=torch.float32, device=trainer.strategy.root_device)
        return float(trainer.strategy.reduce(own, reduce_op="mean")) / self._loss_count

    def _refuse_divergence(self, trainer: Trainer, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            msg = (
                f"{what} of model {self._spec.model!r} became {loss} in epoch {trainer.current_epoch + 1}; lower "
                f"learning_rate (now {self._spec.learning_rate:g}) or look for extreme values in the numeric features."
            )
            raise TrainingSpecError(msg)

    def _report(self, trainer: Trainer, *, batches_done: int) -> None:
        self._reported = time.monotonic()
        elapsed = max(self._reported - self._started, 1e-9)
        per_epoch = int(trainer.num_training_batches)
        done = trainer.current_epoch * per_epoch + batches_done
        latest = trainer.callback_metrics.get(VALIDATION_LOSS)
        self._on_progress(
            Progress(
                epoch=trainer.current_epoch + 1,
                max_epochs=self._spec.max_epochs,
                step=done,
                loss=float(self._loss_sum) / self._loss_count if self._loss_count else None,
                validation_loss=None if latest is None else float(latest),
                rows_per_second=self._rows / elapsed,
                eta_seconds=(self._spec.max_epochs * per_epoch - done) * elapsed / max(self._steps, 1),
            )
        )


def fit(
    module: LightningModule,
    data: TrainingData,
    spec: TrainingSpec,
    *,
    folder: Path,
    on_progress: Callable[[Progress], None],
    ranks: Ranks | None = None,
) -> Fitted:
    """Train a module from the last checkpoint in ``folder``, or from its fresh weights.

    :param folder: checkpoints of exactly this spec, data and module; about six times the weights.
    :param ranks: all of them run this at the same time, and get the same weights; one process unless given.
    """
    import torch
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import EarlyStopping

    ranks = ranks or Ranks()
    stopper = None
    if spec.patience is not None:
        # Watch refuses what is not finite with a reason; the stopper would end in silence.
        stopper = EarlyStopping(VALIDATION_LOSS, patience=spec.patience, check_finite=False)
    best, last = _checkpoints(folder)
    watch = Watch(spec, stopper=stopper, on_progress=on_progress, ranks=ranks)
    trainer = Trainer(
        **trainer_arguments(spec, ranks),
        max_epochs=spec.max_epochs,
        callbacks=[_hooks(watch), *([stopper] if stopper is not None else []), best, last],
        plugins=[_checkpoint_io()],
        default_root_dir=str(folder),
        deterministic=True,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    checkpoint = folder / "last.ckpt"
    resumed = checkpoint.exists()
    trainer.fit(
        module,
        **batches_of(data, spec, epoch=lambda: trainer.current_epoch, ranks=ranks),
        ckpt_path=str(checkpoint) if resumed else None,
        weights_only=True,
    )
    kept = torch.load(folder / "best.ckpt", weights_only=True, map_location="cpu")
    return Fitted(
        weights=kept["state_dict"],
        best_epoch=int(kept["epoch"]) + 1,
        validation_loss=float(best.best_model_score or 0.0),
        train_loss=watch.train_loss,
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        resumed=resumed,
        device=str(trainer.strategy.root_device.type),
    )


def _hooks(watch: Watch) -> Callback:
    from pytorch_lightning.callbacks import LambdaCallback

    return LambdaCallback(
        on_train_start=watch.train_start,
        on_train_epoch_start=watch.epoch_start,
        on_train_batch_start=watch.batch_start,
        on_train_batch_end=watch.batch_end,
        on_validation_end=watch.validation_end,
        on_train_epoch_end=watch.epoch_end,
    )


def _checkpoints(folder: Path) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """Return the keepers of the best weights and of the latest state."""
    from pytorch_lightning.callbacks import ModelCheckpoint

    best = ModelCheckpoint(
        folder,
        "best",
        VALIDATION_LOSS,
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    # ModelCheckpoint(save_last=True) writes only when the monitored value improved, so a kill after a
    # plateau would lose the plateau. It comes after `best`, whose state it stores.
    return best, ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)


def _checkpoint_io() -> TorchCheckpointIO:
    import torch
    from pytorch_lightning.plugins.io import TorchCheckpointIO

    class PlainCheckpointIO(TorchCheckpointIO):
        """Checkpoints that are whole or absent, and hold nothing that loading would have to execute."""

        def save_checkpoint(
            self, checkpoint: Mapping[str, Any], path: str | os.PathLike[str], storage_options: object = None
        ) -> None:
            """Write beside the target and rename; a kill at any moment leaves the earlier checkpoint."""
            del storage_options
            # Saved constructor arguments hold our encoding object; the spec already says them.
            plain = {key: value for key, value in checkpoint.items() if "hyper_parameters" not in key}
            os.makedirs(os.path.dirname(path), exist_ok=True)
            beside = f"{path}.tmp"
            torch.save(plain, beside)
            os.replace(beside, path)

    return PlainCheckpointIO()

"""Modules a person might write beside a DAG, and some they should not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch  # noqa: TID253 - imported in the training process alone
from pytorch_lightning import LightningDataModule  # noqa: TID253 - imported in the training process alone
from torch.utils.data import DataLoader, Sampler, TensorDataset  # noqa: TID253 - imported in the training process alone

from airflow_dataml.adapters.lightning.tabular import TabularModule


class Fragile(TabularModule):
    """Kills its process once at each of two moments."""

    def __init__(self, *, markers, **arguments):
        super().__init__(**arguments)
        self.save_hyperparameters()
        self.markers = Path(markers)

    def strike(self, moment):
        marker = self.markers / moment
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, batch, batch_index):
        if self.current_epoch == 1 and batch_index == 3:
            self.strike("batch")

    def on_fit_end(self):
        self.strike("end")


class Endless(TabularModule):
    def on_train_batch_start(self, batch, batch_index):
        print("pid", os.getpid(), flush=True)
        if self.current_epoch == 1:
            signal.pause()


class Crashing(TabularModule):
    def on_train_start(self):
        print("variables:", *sorted(os.environ.values()))
        message = "boom"
        raise RuntimeError(message)


class Silent(TabularModule):
    def validation_step(self, batch, batch_index):
        pass


class Wide(TabularModule):
    def forward(self, numeric, categorical):
        return super().forward(numeric, categorical).unsqueeze(1)


class Unexportable(TabularModule):
    def forward(self, numeric, categorical):
        output = super().forward(numeric, categorical)
        return output if output.sum().item() > 0 else output * 2


class NotAModule:
    def __init__(self, **arguments):
        pass


class Unteachable(TabularModule):
    takes = ()


class Rows(LightningDataModule):
    """Shuffles as a person would: a DataLoader whose generator knows seed and epoch."""

    def __init__(self, *, encoding, training, validation, spec, share=1.0):
        super().__init__()
        self.rows = TensorDataset(*(tensor[: int(len(tensor) * share)] for tensor in training))
        self.spec = spec

    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=self.spec["batch_size"], sampler=ByEpoch(self))


class ByEpoch(Sampler):
    def __init__(self, module):
        self.module = module

    def __len__(self):
        return len(self.module.rows)

    def __iter__(self):
        seed = self.module.spec["seed"] * 1000 + self.module.trainer.current_epoch
        return iter(torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).tolist())


class OwnValidation(Rows):
    """Validates on its training rows, which is easy to tell from ours."""

    def val_dataloader(self):
        return DataLoader(self.rows, batch_size=4096)


class NoLoader(LightningDataModule):
    def __init__(self, *, encoding, training, validation, spec):
        super().__init__()

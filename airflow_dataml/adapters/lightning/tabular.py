"""The default model, and by example the contract of every module a spec may name.

Only the training child imports this file. A module of your own is a ``LightningModule`` with

- the constructor ``Class(*, encoding, task, learning_rate, **module_arguments)``; for ``multiclass`` also
  ``classes``, their number;
- ``forward(numeric, categorical)``: float32 ``[n, d]`` with NaN where missing and int64 ``[n, c]`` where
  0 is missing or unseen, in the order of ``encoding``; gives ``[n]``: a logit for ``binary``, for
  ``regression`` the standardised target (the exporter scales it back); for ``multiclass`` ``[n, classes]``
  logits. It must be exportable by ``torch.export`` with a dynamic first dimension;
- ``training_step(batch, batch_index)`` giving the loss of a batch ``(numeric, categorical, target)``,
  the target float32, or int64 places of classes;
  a class that says ``takes = ("teacher", "weight")``, or one of them, gets what the spec's ``distill`` and
  ``hard_examples`` give in a fourth element, ``{"teacher": [n], "weight": [n]}``, and the share of the
  teacher as ``self.teacher_weight``. A class that does not is refused with such a spec. A teacher of classes
  gives probabilities ``[n, classes]`` in the order of the logits, and 0 for a class that it never learnt;
- ``validation_step`` logging ``validation_loss``, which chooses the weights that are kept;
- ``configure_optimizers``.

The easiest way is a subclass of :class:`TabularModule` with another ``forward``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.core.features import FeatureEncoding
    from airflow_dataml.core.training import Task

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "binary": nn.functional.binary_cross_entropy_with_logits,
    "regression": nn.functional.mse_loss,
    "multiclass": nn.functional.cross_entropy,
}
Batch = tuple[Tensor, Tensor, Tensor] | tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]


class TabularModule(LightningModule):
    """A multilayer perceptron over standardised numbers, missing indicators and embeddings.

    :param encoding: the fitted features; means and deviations become buffers of the module.
    :param task: chooses the loss: cross entropy of a logit or of one per class, or squared error.
    :param learning_rate: step size of AdamW.
    :param hidden: widths of the hidden layers; empty is a linear model.
    :param dropout: share of hidden units silenced in each training step.
    :param weight_decay: AdamW's decay.
    :param embedding_width: numbers per categorical value, or a list with that of each column; by default it
        grows slowly with the vocabulary.
    :param classes: how many ``multiclass`` tells apart.
    """

    takes: ClassVar[tuple[str, ...]] = ("teacher", "weight")
    teacher_weight: float = 0.0

    mean: Tensor
    std: Tensor
    has_missing: Tensor

    def __init__(
        self,
        *,
        encoding: FeatureEncoding,
        task: Task,
        learning_rate: float,
        hidden: Sequence[int] = (64, 32),
        dropout: float = 0.0,
        weight_decay: float = 1e-4,
        embedding_width: int | Sequence[int] | None = None,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        numeric = encoding.numeric
        self.register_buffer("mean", torch.tensor([column.mean for column in numeric]))
        self.register_buffer("std", torch.tensor([column.std for column in numeric]))
        # An indicator that was 0 in every training row has an untrained weight: keep it silent.
        seen = [float(column.missing_fraction > 0) for column in numeric]
        self.register_buffer("has_missing", torch.tensor(seen))
        sizes = [len(column.vocabulary) + 1 for column in encoding.categorical]
        widths = _widths(sizes, embedding_width)
        self.embeddings = nn.ModuleList(map(_embedding, sizes, widths))
        self.width = 2 * len(numeric) + sum(widths)
        layers: list[nn.Module] = []
        width = self.width
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes or 1))

    def prepare(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Everything the model knows about a row, as ``[n, self.width]`` numbers without NaN."""
        missing = torch.isnan(numeric)
        standard = torch.where(missing, torch.zeros_like(numeric), (numeric - self.mean) / self.std)
        embedded = [table(categorical[:, place]) for place, table in enumerate(self.embeddings)]
        return torch.cat([standard, missing * self.has_missing, *embedded], dim=1)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Logits or standardised values, ``[n]``; of classes ``[n, classes]``."""
        output: Tensor = self.layers(self.prepare(numeric, categorical))
        return output if self.task == "multiclass" else output.squeeze(1)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Mean loss of one batch."""
        del batch_index
        return self._loss(batch)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log ``validation_loss``, weighted by rows over the batches."""
        del batch_index
        self.log("validation_loss", self._loss(batch), on_epoch=True, batch_size=len(batch[2]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over all weights."""
        # A small network's step is hardly more than its calls: one for all weights, not several for each.
        return torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def _loss(self, batch: Batch) -> Tensor:
        numeric, categorical, target, *more = batch
        output = self(numeric, categorical)
        compare = _LOSSES[self.task]
        if not more:
            return compare(output, target)
        loss = compare(output, target, reduction="none")
        if "teacher" in more[0]:
            taught = compare(output, more[0]["teacher"], reduction="none")
            loss = (1 - self.teacher_weight) * loss + self.teacher_weight * taught
        if "weight" not in more[0]:
            return loss.mean()
        weight = more[0]["weight"]
        return (loss * weight).sum() / weight.sum()


class ScoringModule(nn.Module):
    """What is exported: a trained module and the last step from its output to a score.

    :param target_mean: added to a regression's output after scaling; ignored for ``binary``.
    :param target_std: scale of a regression's output; ignored for ``binary``.
    """

    def __init__(self, module: nn.Module, *, task: Task, target_mean: float, target_std: float) -> None:
        super().__init__()
        self.module = module
        self.task = task
        self.target_mean = target_mean
        self.target_std = target_std

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Probabilities or values, ``[n]``; of classes ``[n, classes]``."""
        output: Tensor = self.module(numeric, categorical)
        if self.task == "multiclass":
            return torch.softmax(output, dim=1)
        return torch.sigmoid(output) if self.task == "binary" else output * self.target_std + self.target_mean


def _widths(sizes: Sequence[int], asked: int | Sequence[int] | None) -> list[int]:
    if isinstance(asked, int):
        return [asked] * len(sizes)
    if asked is None:
        return [min(32, round(1.6 * size**0.56)) for size in sizes]
    if len(asked) != len(sizes):
        msg = f"embedding_width {list(asked)} is for {len(asked)} columns and there are {len(sizes)} categorical ones"
        raise ValueError(msg)
    return list(asked)


def _embedding(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    # Values never seen in training begin, and without missing rows stay, neutral.
    nn.init.zeros_(table.weight[0])
    return table

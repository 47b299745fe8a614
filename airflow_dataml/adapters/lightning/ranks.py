"""Several training processes: which one this is, and what Lightning is told about them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.errors import TrainingSpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.training import TrainingSpec

LAUNCHER = "DATAML_TRAINING_LAUNCHER"


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where this process stands among those of one training.

    :param rank: its number, from 0; the first one alone writes and reports.
    :param size: how many there are.
    :param launcher: id of the process that started it; ``None`` for a training of one process.
    """

    rank: int = 0
    size: int = 1
    launcher: int | None = None

    @classmethod
    def here(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read what the launcher said."""
        environ = os.environ if environ is None else environ
        if LAUNCHER not in environ:
            return cls()
        return cls(int(environ["RANK"]), int(environ["WORLD_SIZE"]), int(environ[LAUNCHER]))

    @property
    def first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def leave(self) -> None:
        """Take leave of the others, if there are any."""
        import torch.distributed

        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def device_of(spec: TrainingSpec, ranks: Ranks) -> str:
    """Return ``gpu`` or ``cpu``: what a spec asks for, or the better one there is.

    :raises TrainingSpecError: GPUs are asked for and not found.
    """
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if spec.accelerator == "gpu" and found < ranks.size:
        msg = (
            f"model {spec.model!r} asks for accelerator: gpu in {ranks.size} process(es), and torch finds {found} "
            "GPU(s) here; train where they are, or write accelerator: auto."
        )
        raise TrainingSpecError(msg)
    return "gpu" if spec.accelerator != "cpu" and found >= ranks.size else "cpu"


def trainer_arguments(spec: TrainingSpec, ranks: Ranks) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer that say where and in how many processes it runs."""
    device = device_of(spec, ranks)
    if ranks.size == 1:
        return {"accelerator": device, "devices": 1}
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from pytorch_lightning.strategies import DDPStrategy

    return {
        "accelerator": device,
        "devices": ranks.size,
        # This environment starts nothing: the processes are there already.
        "strategy": DDPStrategy(
            cluster_environment=TorchElasticEnvironment(),
            process_group_backend="nccl" if device == "gpu" else "gloo",
        ),
        "use_distributed_sampler": False,
    }

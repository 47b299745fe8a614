"""Training engines: who runs a training, in how many processes, on what; and which ways are refused."""

from __future__ import annotations

from typing import Literal

__all__ = ["Accelerator", "Engine", "check_processes", "check_strategy"]

Engine = Literal["local", "torchrun", "ray", "kubernetes"]
Accelerator = Literal["auto", "cpu", "gpu"]

_RELAUNCHING = ("ddp", "ddp_spawn", "ddp_notebook", "ddp_fork", "ddp_forkserver")
_WHY = (
    "in a task, Lightning's ddp starts the task's own command line once more for each further process, which there "
    "is a second scheduler or worker, ddp_spawn cannot pickle what a DAG file defines, and the forking ones copy a "
    "process that has threads"
)


def check_strategy(value: object) -> object:
    """Return a strategy that may be asked for, which is ``auto`` alone.

    :raises ValueError: it would start processes from inside the task; the reason is said.
    """
    if isinstance(value, str) and value.split("_find_unused")[0] in _RELAUNCHING:
        msg = f"strategy {value!r} is refused: {_WHY}; write engine: torchrun and processes: N instead"
        raise ValueError(msg)
    return value


def check_processes(*, engine: Engine, processes: int, batch_size: int) -> None:
    """Refuse a number of processes that the engine cannot run or a batch cannot be dealt to.

    :raises ValueError: with what to write instead.
    """
    if engine == "local" and processes > 1:
        msg = f"engine 'local' is one process and processes is {processes}; write engine: torchrun"
        raise ValueError(msg)
    if batch_size % processes:
        msg = (
            f"batch_size {batch_size} is the rows of one step over all {processes} processes, so it must be a "
            f"multiple of {processes}"
        )
        raise ValueError(msg)

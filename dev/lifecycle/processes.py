"""Finding and stopping every process the demo started, however deep."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Children inherit it whatever sessions and groups they make for themselves.
MARK = "DATAML_DEMO_CHILD"


def marked_environment(root: Path) -> dict[str, str]:
    """Variables by which a child is recognised later."""
    # Without SPT_NOENV Airflow's process titles would overwrite the environment we look at.
    return {MARK: str(root), "SPT_NOENV": "1"}


def marked_processes(root: Path) -> list[psutil.Process]:
    """Every living process that carries the mark of this state folder, and every descendant of one.

    A training runs in an environment of its own and bears no mark.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
    return list(found.values())


def stop_processes(processes: Iterable[psutil.Process], *, patience: float = 10.0) -> list[psutil.Process]:
    """Ask with SIGTERM, then insist with SIGKILL; what had to be killed."""
    alive = list(processes)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(alive, timeout=patience)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=patience)
    return stubborn

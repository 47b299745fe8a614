"""Work that is killed at any statement, as ``kill -9`` would."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def killed_after(statements: int, work: Callable[[], Any]) -> bool:
    """Run work in a forked child that kills itself with SIGKILL at its n-th database statement.

    Returns whether it was killed; ``False`` means it finished first.
    """
    child = os.fork()
    if child == 0:
        try:
            _count_down(statements)
            work()
        except BaseException:  # noqa: BLE001 - the parent only asks how the child ended
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    if code:
        msg = f"the child failed with exit code {code} before it was to be killed"
        raise RuntimeError(msg)
    return False


def _count_down(statements: int) -> None:
    from airflow_dataml.adapters.postgres.connection import Connection

    left = statements
    errors = Connection.errors

    def counting(self: Connection) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return errors(self)

    # Only in the forked child, which never returns to the test.
    Connection.errors = counting  # type: ignore[method-assign]

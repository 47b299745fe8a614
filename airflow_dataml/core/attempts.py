"""An attempt at the ledger that is waited for only so long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable


class Attempt:
    """Work in a thread of its own, which whoever waits for it may leave.

    :param seconds: how long it is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = threading.Event()
        self._cancel: Callable[[], None] | None = None

    @property
    def was_left(self) -> bool:
        """Whether nobody waits any more; then nothing may be begun."""
        return self._left.is_set()

    def cancel_by(self, cancel: Callable[[], None]) -> None:
        """Say how to end what the work waits for; called from another thread once the work was left."""
        self._cancel = cancel

    def run(self, work: Callable[[], None]) -> None:
        """Run work; one that hangs is cancelled and not waited for, so that a process that lives on gathers none.

        :raises LedgerError: it took too long.
        """
        failure: list[BaseException] = []
        done = threading.Event()

        def guarded() -> None:
            try:
                work()
            except BaseException as err:  # noqa: BLE001 - carried over to the thread that waits
                failure.append(err)
            finally:
                done.set()

        threading.Thread(target=guarded, name="dataml-emit", daemon=True).start()
        if not done.wait(self._seconds):
            self._left.set()
            if self._cancel is not None:
                # Whoever hangs may hang in this as well.
                threading.Thread(target=self._cancel, name="dataml-cancel", daemon=True).start()
            msg = f"the ledger did not answer within {self._seconds:g} s"
            raise LedgerError(msg)
        if failure:
            raise failure[0]

"""One pair of connections to the ledger for all triggers of a process, however many wait."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_dataml.adapters.postgres.listening import Bell
from airflow_dataml.core.errors import BackendError, DataMLError, LedgerError
from airflow_dataml.hooks.ledger import DataMLHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_dataml.adapters.postgres.arrivals import Question

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)

# How often is asked where calls do not arrive, and how soon again after no answer.
DEAF_INTERVAL_S = 5.0
FIRST_RETRY_S = 1.0


@dataclass(slots=True)
class _Shared:
    bell: Bell
    users: int = 0


_BELLS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


class Waiter:
    """Somebody who waits for news of one asset.

    :param poll_interval: seconds after which it looks although nothing was told.
    """

    def __init__(self, bell: Bell, rung: asyncio.Event, poll_interval: float) -> None:
        self._bell = bell
        self._rung = rung
        self._poll_interval = poll_interval
        self._failures = 0

    async def look(self, question: Question[Answer]) -> Answer:
        """Ask the ledger.

        :raises BackendError: it did not answer; the next ``rest`` is short, then longer each time.
        :raises DataMLError: asking again will not help until somebody mends what the message says.
        """
        try:
            rows = await self._bell.rows(question.sql, question.params)
        except BackendError:
            self._failures += 1
            raise
        self._failures = 0
        return question.read(rows)

    async def rest(self) -> None:
        """Wait until there may be news, at most the poll interval."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.interval):
                await self._rung.wait()
        self._rung.clear()

    @property
    def interval(self) -> float:
        """Seconds the next rest takes at most."""
        if self._failures:
            return min(self._poll_interval, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10))
        return self._poll_interval if self._bell.listening else min(self._poll_interval, DEAF_INTERVAL_S)


@asynccontextmanager
async def hearing(*, conn_id: str, asset: str, poll_interval: float) -> AsyncIterator[Waiter]:
    """Wait for news of an asset for the length of a block.

    The first waiter of an event loop opens the two connections of its ledger, the last one has them closed.
    """
    shared = _take(conn_id)
    try:
        with shared.bell.waiting(asset) as rung:
            yield Waiter(shared.bell, rung, poll_interval)
    finally:
        _give_back(conn_id, shared)


def _take(conn_id: str) -> _Shared:
    of_loop = _BELLS.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in of_loop or of_loop[conn_id].bell.broken:
        of_loop[conn_id] = _Shared(Bell(lambda: _dsn(conn_id)))
    of_loop[conn_id].users += 1
    return of_loop[conn_id]


def _give_back(conn_id: str, shared: _Shared) -> None:
    shared.users -= 1
    if shared.users == 0:
        shared.bell.stop()
        of_loop = _BELLS[asyncio.get_running_loop()]
        if of_loop.get(conn_id) is shared:
            del of_loop[conn_id]


async def _dsn(conn_id: str) -> str:
    try:
        return await sync_to_async(DataMLHook(conn_id).dsn)()
    except DataMLError:
        raise
    except Exception as err:  # a secrets backend may raise anything; none of it may end a wait
        msg = f"connection {conn_id!r} could not be read: {type(err).__name__}: {err}"
        raise LedgerError(msg) from err

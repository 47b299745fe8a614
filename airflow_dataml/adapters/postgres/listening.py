"""Waiting for the ledger without asking it all the time: one connection listens, one asks, however many wait."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import traceback
import uuid
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.adapters.postgres.connection import CONNECT_TIMEOUT_S, Connection
from airflow_dataml.core.errors import (
    BackendError,
    ConnectionSpecError,
    DataMLError,
    LedgerError,
    LedgerVersionError,
    SpecError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

    import psycopg

log = logging.getLogger(__name__)

CHANNELS = ("dataml_version", "dataml_report")
ANSWER_S = 30.0
# A pooler that lends another session to every transaction accepts LISTEN and forgets it: only a call
# that arrives proves that calls arrive.
PROBE_S = 2.0
DEAF_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
_NOT_MIGRATED = ("3F000", "42P01", "42703")


class Bell:
    """Rings whoever waits for an asset when the ledger tells of it, and asks the ledger for them.

    Belongs to one event loop. Both connections are opened by tasks of its own, so that a waiter who is
    cancelled in the middle of a question disturbs no other, and closed by them after ``stop``.

    :param dsn: says where the ledger is; called for every connection, so that a new password is found.
    :param probe_s: how long a call to itself may take before listening counts as impossible.
    :param deaf_s: how long until listening is tried again where it was impossible.
    """

    def __init__(
        self, dsn: Callable[[], Awaitable[str]], *, probe_s: float = PROBE_S, deaf_s: float = DEAF_S
    ) -> None:
        self._dsn = dsn
        self._probe_s = probe_s
        self._deaf_s = deaf_s
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self._link: _Link | None = None
        self._answered = False
        self.listening = False
        loop = asyncio.get_running_loop()
        # Without a context of their own they would log under the name of the trigger that came first.
        self._desk = loop.create_task(self._answer(), context=contextvars.Context(), name="dataml-ask")
        self._ear = loop.create_task(self._listen(), context=contextvars.Context(), name="dataml-listen")

    def stop(self) -> None:
        """Close both connections, soon; nobody may be waiting any more."""
        self._desk.cancel()
        self._ear.cancel()

    @property
    def broken(self) -> bool:
        """Whether nobody will be answered any more, by a fault of ours or because it was stopped."""
        return self._desk.done()

    @contextmanager
    def waiting(self, asset: str) -> Iterator[asyncio.Event]:
        """Have an event set whenever something about an asset may be new; the caller clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(asset, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[asset].discard(event)
            if not self._waiting[asset]:
                del self._waiting[asset]

    async def rows(self, query: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Ask the ledger; questions are answered one after the other.

        :raises BackendError: it did not answer; once it has, a refused connection is that too.
        :raises DataMLError: the connection or the ledger is not what it must be.
        """
        request = _Request(query, params, asyncio.get_running_loop().create_future())
        self._requests.put_nowait(request)
        try:
            await asyncio.wait((request.answer, self._desk), return_when=asyncio.FIRST_COMPLETED)
            if not request.answer.done():
                await self._desk  # raises what it died of
            return request.answer.result()
        finally:
            request.answer.cancel()

    async def _answer(self) -> None:
        try:
            while True:
                request = await self._requests.get()
                if not request.answer.done():
                    await self._serve(request)
        finally:
            await self._hang_up()

    async def _serve(self, request: _Request) -> None:
        """Answer one question; a connection that died since the last one is replaced, once."""
        for last in (self._link is None, True):
            try:
                self._link = self._link or await self._open()
                request.succeed(await self._link.rows(request.query, request.params))
            except BackendError as err:
                await self._hang_up()
                if not last:
                    continue
                self._refuse(request, err)
            except DataMLError as err:
                request.fail(err)
            break

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _refuse(self, request: _Request, err: BackendError) -> None:
        """Tell everybody in the queue at once that nobody answers, instead of one time-out after the other."""
        request.fail(err)
        while not self._requests.empty():
            self._requests.get_nowait().fail(LedgerError(str(err)))

    async def _open(self) -> _Link:
        try:
            link = await _Link.open(await self._dsn())
        except ConnectionSpecError as err:
            if self._answered:  # it was right before: a restart or a rotated password, not a mistake
                raise LedgerError(str(err)) from err
            raise
        self._answered = True
        return link

    async def _listen(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            rest = pause
            try:
                async with self._connected() as link:
                    if await self._hears(link):
                        rest = pause = FIRST_PAUSE_S
                        self.listening = True
                        self.ring()  # for what was told while nobody listened
                        await self._hear(link)
                    log.warning("%s takes LISTEN and delivers nothing: it is asked instead.", link.target)
                    rest = self._deaf_s
            except DataMLError as err:
                log.warning("Not listening to the ledger; trying again in %.1f s: %s", rest, err)
            finally:
                self.listening = False
            self.ring()  # whoever trusted the bell asks more often from now on
            await asyncio.sleep(rest)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Link]:
        link = await self._open()
        try:
            yield link
        finally:
            await link.close()

    async def _hears(self, link: _Link) -> bool:
        """Listen, and whether a call from the other connection arrives."""
        probe, token = f"dataml_probe_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
        for channel in (*CHANNELS, probe):
            await link.rows(f"LISTEN {channel}")
        await self.rows("SELECT pg_notify(%s, %s)", [probe, token])
        async with aclosing(link.told(timeout=self._probe_s)) as told:
            async for channel, payload in told:
                if (channel, payload) == (probe, token):
                    return True
        return False

    async def _hear(self, link: _Link) -> None:
        async with aclosing(link.told()) as told:
            async for channel, payload in told:
                if channel in CHANNELS:
                    self.ring(_asset_of(payload))

    def ring(self, asset: str | None = None) -> None:
        """Wake whoever waits for an asset, or everybody."""
        for name in [asset] if asset is not None else list(self._waiting):
            for event in self._waiting.get(name, ()):
                event.set()


@dataclass(frozen=True, slots=True)
class _Request:
    query: str
    params: Sequence[Any]
    answer: asyncio.Future[list[dict[str, Any]]]

    def succeed(self, rows: list[dict[str, Any]]) -> None:
        if not self.answer.done():
            self.answer.set_result(rows)

    def fail(self, err: DataMLError) -> None:
        if not self.answer.done():
            self.answer.set_exception(err)


class _Link:
    """One asynchronous connection; its errors are put into the same words as the synchronous one's."""

    def __init__(self, raw: psycopg.AsyncConnection[dict[str, Any]], words: Connection) -> None:
        self._raw = raw
        self._words = words

    @property
    def target(self) -> str:
        return self._words.target

    @classmethod
    async def open(cls, dsn: str) -> Self:
        import psycopg
        from psycopg.rows import dict_row

        words = Connection(dsn)
        with words.errors(), _nothing_half_open():
            raw = await psycopg.AsyncConnection.connect(
                dsn,
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="airflow-dataml triggerer",
                # A transaction pooler hands the next statement to a session that prepared nothing.
                prepare_threshold=None,
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
            )
        return cls(raw, words)

    async def close(self) -> None:
        await self._raw.close()

    async def rows(self, query: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        try:
            with self._words.errors():
                async with asyncio.timeout(ANSWER_S):
                    cursor = await self._raw.execute(query.encode(), params)
                    return await cursor.fetchall() if cursor.description else []
        except TimeoutError as err:
            msg = f"PostgreSQL at {self.target} did not answer within {ANSWER_S:.0f} s."
            raise LedgerError(msg) from err
        except SpecError as err:
            if getattr(err.__cause__, "sqlstate", None) in _NOT_MIGRATED:
                msg = f"the ledger does not fit this code ({err}): run `airflow dataml migrate`."
                raise LedgerVersionError(msg) from err
            raise

    async def told(self, *, timeout: float | None = None) -> AsyncGenerator[tuple[str, str], None]:
        """Yield channel and payload of every call, until the time is over."""
        with self._words.errors():
            async with aclosing(self._raw.notifies(timeout=timeout)) as notifies:
                async for told in notifies:
                    yield told.channel, told.payload


@contextmanager
def _nothing_half_open() -> Iterator[None]:
    """Close what a cancelled beginning holds: only its frames know the socket, and they would wait for the collector."""
    try:
        yield
    except asyncio.CancelledError as err:
        traceback.clear_frames(err.__traceback__)
        raise


def _asset_of(payload: str) -> str | None:
    """Return the asset a call is about; ``None``, which is everybody, when it cannot be read."""
    with suppress(ValueError):
        body = json.loads(payload)
        if isinstance(body, dict) and isinstance(body.get("asset"), str):
            return str(body["asset"])
    return None

"""Announcing everything once: what was told last is kept in Airflow, what is new is read from the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow.sdk.definitions.asset import AssetNameRef
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamProducer

from airflow_dataml.adapters.postgres.arrivals import following, highest
from airflow_dataml.adapters.postgres.news import Passed
from airflow_dataml.core.errors import DataMLError
from airflow_dataml.triggers.listening import hearing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_dataml.adapters.postgres.arrivals import Question
    from airflow_dataml.core.arrivals import Awaited
    from airflow_dataml.triggers.listening import Waiter

log = logging.getLogger(__name__)

_SAVE_PAUSES_S = (0.5, 2.0, 8.0)


class Numbered(Protocol):
    """Something that is announced: a version, a report, an incident."""

    @property
    def number(self) -> int:
        """Grows from one to the next."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What is announced, and how the ledger is asked for it.

    :param asset: the asset it is about.
    :param what: ``version``, ``report`` or ``incident``.
    :param kept: tells apart watchers that announce different things; they keep a number each.
    :param following: asks for a page of what came after a number; it may end with how far was looked.
    :param highest: asks for the highest number there is.
    """

    asset: str
    what: str
    kept: tuple[Any, ...]
    following: Callable[[int], Question[Any]]
    highest: Question[int]


def versions_of(awaited: Awaited) -> Announced:
    """Return the versions of a dataset as something to announce."""
    kept = (awaited.asset, awaited.alias, awaited.partition_key, awaited.min_verdict)
    return Announced(
        awaited.asset, "version", kept, lambda number: following(awaited, number), highest(awaited.asset)
    )


class Watermark:
    """The number of the last that was announced, in the state store of the watched asset.

    :param store: what the triggerer gives an event trigger; without one the number is as old as the process.
    """

    def __init__(self, store: Any, announced: Announced, *, conn_id: str) -> None:
        self._store = _store_of(store, announced.asset)
        kept = (conn_id, *announced.kept)
        self.key = f"dataml_{announced.what}_{hashlib.sha256(repr(kept).encode()).hexdigest()[:12]}"

    async def load(self) -> int | None:
        """Return the number; ``None`` before the first."""
        try:
            stored = await self._store.aget(self.key) if self._store is not None else None
        except ValueError as err:
            # Airflow cannot tell which of several assets is meant. Telling is worth more than remembering.
            log.warning(
                "What was announced is not kept over a restart; give each asset a trigger of its own: %s", err
            )
            self._store = stored = None
        return stored if isinstance(stored, int) and not isinstance(stored, bool) else None

    async def save(self, number: int) -> None:
        """Keep the number; Airflow's API is tried a few times."""
        if self._store is None:
            return
        for pause in _SAVE_PAUSES_S:
            try:
                await self._store.aset(self.key, number)
            except Exception as err:  # noqa: BLE001 - whatever the API says, a repeated event is the worse end
                log.warning("The watermark %s was not stored, trying again: %s", number, err)
                await asyncio.sleep(pause)
            else:
                return
        await self._store.aset(self.key, number)


class Announcer(SharedStreamProducer):
    """Yields each after the watermark, and moves the watermark once Airflow has stored the event.

    A triggerer that dies in between announces that one again when it is back; it loses none.

    :param first: watermark to begin with where none was kept; what is there already is not announced
        unless given.
    """

    def __init__(
        self, announced: Announced, *, conn_id: str, poll_interval: float, first: int | None
    ) -> None:
        self._announced = announced
        self._conn_id = conn_id
        self._poll_interval = poll_interval
        self._first = first
        self._mark: Watermark | None = None
        self._unstored = False
        self._told: int | None = None

    async def open_stream(self) -> AsyncGenerator[tuple[Any, int | None], None]:
        """Yield first a question for the state store, which only the trigger has, then what is new."""
        store: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        yield store, None
        async with aclosing(self.arrivals(await store)) as arrivals:
            async for arrival in arrivals:
                yield arrival, arrival.number

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Move the watermark over what was stored, up to the first that was not."""
        stored = None
        for item in batch:
            if item.broker_payload is None:
                continue
            self._unstored = self._unstored or not item.outcome.is_clean
            if self._unstored:
                break
            stored = item.broker_payload
        if stored is not None:
            await self.settle(stored)

    async def settle(self, number: int) -> None:
        """Note that one and all before it need not be announced again."""
        if self._mark is not None:
            await self._mark.save(number)
        if self._told is not None and number >= self._told:
            self._told = None

    async def _pass(self, number: int) -> None:
        """Move the watermark over what nobody awaits, unless an event before it may not be stored yet."""
        if self._mark is not None and self._told is None:
            await self._mark.save(number)

    async def arrivals(self, store: Any) -> AsyncGenerator[Any, None]:
        """Yield what is new for ever; nothing that goes wrong ends it."""
        self._mark = Watermark(store, self._announced, conn_id=self._conn_id)
        number: int | None = None
        while True:
            try:
                async with hearing(
                    conn_id=self._conn_id, asset=self._announced.asset, poll_interval=self._poll_interval
                ) as waiter:
                    while True:
                        if number is None:
                            number = await self._begin(waiter, self._mark)
                        page: Sequence[Numbered] = await waiter.look(self._announced.following(number))
                        for arrival in page:
                            if not isinstance(arrival, Passed):
                                self._told = arrival.number
                                yield arrival
                            number = arrival.number
                            if isinstance(arrival, Passed):
                                await self._pass(number)
                        if not page:
                            await waiter.rest()
            except Exception as err:  # a watcher that ends is one nobody notices
                log.warning(
                    "Still watching %s: %s",
                    self._announced.asset,
                    err,
                    exc_info=not isinstance(err, DataMLError),
                )
            await asyncio.sleep(min(self._poll_interval, 5.0))

    async def _begin(self, waiter: Waiter, mark: Watermark) -> int:
        kept, newest = await mark.load(), await waiter.look(self._announced.highest)
        if kept is not None and kept <= newest:
            return kept
        if kept is not None:
            log.warning(
                "The ledger has no %s@%s, which was announced: it is another one.",
                self._announced.asset,
                kept,
            )
        begin = newest if self._first is None else min(self._first, newest)
        await mark.save(begin)
        return begin


def _store_of(store: Any, asset: str) -> Any:
    """Return where state of the watched asset is kept: of the dataset's own, or of the only one there is."""
    if store is None:
        return None
    try:
        return store[AssetNameRef(asset)]
    except KeyError:
        return store


class _AnnouncedEventTrigger(BaseEventTrigger):
    """Fires for everything that its announcer brings, in order.

    :cvar news: what the announcer brings; anything else in its stream asks for the state store.
    """

    news: ClassVar[type[Any]]

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Announcer:
        """Return what reads the ledger and keeps the watermark."""
        return cls(**kwargs).announcer()

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire for each; the announcer's first item asks for the state store."""
        async for item in shared_stream:
            if isinstance(item, self.news):
                yield TriggerEvent(item.payload())
            elif not item.done():
                item.set_result(self.asset_state_store)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire for each where there is no shared stream; the watermark follows at once."""
        announcer = self.announcer()
        async with aclosing(announcer.arrivals(self.asset_state_store)) as arrivals:
            async for one in arrivals:
                yield TriggerEvent(one.payload())
                await announcer.settle(one.number)

    def announcer(self) -> Announcer:
        """Return what reads the ledger and keeps the watermark."""
        raise NotImplementedError

"""The trigger that drains lineage events in the triggerer, for good or until nothing waits."""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_dataml import config
from airflow_dataml.core.errors import DataMLError, SpecError
from airflow_dataml.hooks.drain import drainer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_dataml.core.drained import Drained
    from airflow_dataml.steps.drain import Drainer

POLL_INTERVAL_S = 2.0
_LOOK_S = 0.25


class LineageDrainTrigger(BaseEventTrigger):
    """Drains this host's spool and the ledger's lineage events, in threads of the triggerer.

    For an ``AssetWatcher`` it drains as long as the triggerer runs, and fires only when a backend refuses events:
    ``{"backend", "dead": [event ids], "count"}``. With ``until_empty`` it fires once: ``{"status": "done", ...}``.

    :param until_empty: end when nothing that a backend takes is left, instead of never.
    :param seconds: with ``until_empty``, end after so long whatever is left.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    :param poll_interval: seconds between two looks where nothing was to do.
    """

    def __init__(
        self,
        *,
        until_empty: bool = False,
        seconds: float = 3600.0,
        dataml_conn_id: str | None = None,
        poll_interval: float = POLL_INTERVAL_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.until_empty = until_empty
        self.seconds = seconds
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        names = ("until_empty", "seconds", "dataml_conn_id", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Drain; a ledger that does not answer is asked again, a mistake ends a task's wait or is told again."""
        if self.until_empty:
            yield TriggerEvent(await self._once())
            return
        while True:
            try:
                async for dead in self._for_ever():
                    yield TriggerEvent(dead)
            except Exception as err:  # a watcher that ends is one nobody notices
                self.log.warning("Still draining lineage: %s", err, exc_info=not isinstance(err, DataMLError))
            await asyncio.sleep(max(self.poll_interval, 5.0))

    async def _once(self) -> dict[str, Any]:
        stop = threading.Event()
        try:
            done = await asyncio.to_thread(self._empty, await self._open(), stop)
        except asyncio.CancelledError:
            # The thread outlives this coroutine, and a triggerer that ends would wait for it.
            stop.set()
            raise
        except DataMLError as err:
            kind = "error" if isinstance(err, SpecError) else "unanswered"
            return {"status": kind, "message": str(err)}
        except (
            Exception
        ) as err:  # the boundary: a trigger that raises leaves its task waiting without a reason
            self.log.exception("Draining lineage came to an end")
            return {"status": "error", "message": f"{type(err).__name__}: {err}"}
        return {"status": "done"} | done

    def _empty(self, work: Drainer, stop: threading.Event) -> dict[str, Any]:
        try:
            return work.until_empty(seconds=self.seconds, pause=self.poll_interval, stop=stop).to_dict()
        finally:
            work.close()

    async def _for_ever(self) -> AsyncIterator[dict[str, Any]]:
        work, stop = await self._open(), threading.Event()
        news: queue.SimpleQueue[Drained] = queue.SimpleQueue()
        failure: list[BaseException] = []

        def serve() -> None:
            try:
                work.run(stop, pause=self.poll_interval, on_news=news.put)
            except Exception as err:  # noqa: BLE001 - raised again in the loop, which says so and begins anew
                failure.append(err)
            finally:
                work.close()

        thread = threading.Thread(target=serve, name="dataml-drain", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                with suppress(queue.Empty):
                    for backend, ids in news.get_nowait().dead.items():
                        yield {"backend": backend, "dead": ids[:100], "count": len(ids)}
                await asyncio.sleep(_LOOK_S)
        finally:
            stop.set()
            # What was claimed goes back with the connection, should a backend hang for longer.
            thread.join(0)
        if failure:
            raise failure[0]

    async def _open(self) -> Drainer:
        return await sync_to_async(drainer)(self.dataml_conn_id or config.conn_id())

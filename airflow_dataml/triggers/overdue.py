"""The trigger that waits for a dataset's next version, but no longer than it is due."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_dataml.adapters.postgres.arrivals import newest
from airflow_dataml.core.arrivals import Awaited
from airflow_dataml.core.errors import BackendError, DataMLError
from airflow_dataml.triggers.listening import hearing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_dataml.triggers.listening import Waiter

POLL_INTERVAL_S = 60.0


class DatasetOverdueTrigger(BaseTrigger):
    """Fires once: ``came`` when a dataset has a version newer than a number, ``due`` when its time is over.

    What is due was worked out before, on a worker: nothing is computed in the triggerer.

    :param dataset: logical name.
    :param newer_than: number of the version that was the newest before.
    :param due: ISO time at which the wait is over.
    :param dataml_conn_id: connection of the ledger.
    :param poll_interval: seconds after which it looks although nothing was told.
    """

    def __init__(
        self,
        *,
        dataset: str,
        newer_than: int,
        due: str,
        dataml_conn_id: str,
        poll_interval: float = POLL_INTERVAL_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.dataset = dataset
        self.newer_than = newer_than
        self.due = due
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        names = ("dataset", "newer_than", "due", "dataml_conn_id", "poll_interval")
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; a ledger that does not answer is asked again, a mistake ends the wait."""
        try:
            event = {"status": await self._outcome()}
        except DataMLError as err:
            event = {"status": "error", "message": str(err)}
        except (
            Exception
        ) as err:  # the boundary: a trigger that raises leaves its task waiting without a reason
            self.log.exception("Waiting for %s came to an end", self.dataset)
            event = {"status": "error", "message": f"{type(err).__name__}: {err}"}
        yield TriggerEvent(event)

    async def _outcome(self) -> str:
        due = datetime.fromisoformat(self.due)
        async with hearing(
            conn_id=self.dataml_conn_id, asset=self.dataset, poll_interval=self.poll_interval
        ) as waiter:
            while True:
                if await self._came(waiter):
                    return "came"
                left = (due - datetime.now(UTC)).total_seconds()
                if left <= 0:
                    return "due"
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await waiter.rest()

    async def _came(self, waiter: Waiter) -> bool:
        awaited = Awaited(asset=self.dataset, newer_than=self.newer_than)
        try:
            return awaited.lacks(await waiter.look(newest(awaited))) is None
        except BackendError as err:
            self.log.warning("Still waiting for %s: %s", self.dataset, err)
            return False

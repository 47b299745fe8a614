"""The triggers that wait for versions of a dataset."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_dataml import config
from airflow_dataml.adapters.postgres.arrivals import newest
from airflow_dataml.core.arrivals import Arrival, Awaited
from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import BackendError, DataMLError, SpecError
from airflow_dataml.triggers.announcing import Announcer, _AnnouncedEventTrigger, versions_of
from airflow_dataml.triggers.listening import hearing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from airflow.sdk import Asset

    from airflow_dataml.triggers.listening import Waiter

POLL_INTERVAL_S = 60.0


class _TriggerArgumentError(SpecError, TypeError):
    """An argument that cannot be meant.

    A triggerer that builds a trigger survives a ``TypeError`` and dies of any other exception.
    """


class DatasetVersionTrigger(BaseTrigger):
    """Fires once when the newest version of a dataset, or of a batch, is the awaited one.

    Woken by the ledger within a second of the commit; all triggers of a process share two connections.

    :param dataset: logical name.
    :param partition_key: the batch; any version will do when it is ``None``.
    :param newer_than: a number, a version such as ``rides@17``, or a point in time in ISO form.
    :param min_verdict: ``pass`` or ``warn``: what the version's newest check must at least say.
    :param max_age: seconds the version may be old.
    :param alias: the version must have led to where this alias points; ``None`` takes any there is.
    :param dataml_conn_id: connection of the ledger.
    :param poll_interval: seconds after which it looks although nothing was told; at most 5 where the
        connection delivers no notifications, as behind a transaction pooler.
    """

    def __init__(
        self,
        *,
        dataset: str,
        dataml_conn_id: str,
        partition_key: str | None = None,
        newer_than: int | str | None = None,
        min_verdict: str | None = None,
        max_age: float | None = None,
        alias: str | None = CURRENT,
        poll_interval: float = POLL_INTERVAL_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = poll_interval
        self.newer_than = newer_than
        self.awaited = _awaited(
            dataset,
            partition_key=partition_key,
            newer_than=newer_than,
            min_verdict=min_verdict,
            max_age=max_age,
            alias=alias,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        arguments = {
            "dataset": self.awaited.asset,
            "partition_key": self.awaited.partition_key,
            "newer_than": self.newer_than,
            "min_verdict": self.awaited.min_verdict,
            "max_age": self.awaited.max_age,
            "alias": self.awaited.alias,
            "dataml_conn_id": self.dataml_conn_id,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the version; a ledger that does not answer is asked again, a mistake ends the wait."""
        try:
            arrival = await self._arrival()
        except DataMLError as err:
            event = {"status": "error", "message": str(err)}
        except Exception as err:
            self.log.exception("Waiting for %s came to an end", self.awaited)
            event = {"status": "error", "message": f"{type(err).__name__}: {err}"}
        else:
            event = {"status": "found", **arrival.payload()}
        yield TriggerEvent(event)

    async def _arrival(self) -> Arrival:
        said = None
        async with hearing(
            conn_id=self.dataml_conn_id, asset=self.awaited.asset, poll_interval=self.poll_interval
        ) as waiter:
            while True:
                arrival, lacks = await self._look(waiter)
                if arrival is not None and lacks is None:
                    return arrival
                if lacks != said:
                    self.log.info("Waiting for %s: %s", self.awaited, lacks)
                    said = lacks
                await waiter.rest()

    async def _look(self, waiter: Waiter) -> tuple[Arrival | None, str | None]:
        try:
            arrival = await waiter.look(newest(self.awaited))
        except BackendError as err:
            return None, str(err)
        return arrival, self.awaited.lacks(arrival)


class DatasetVersionEventTrigger(_AnnouncedEventTrigger):
    """Fires for every version of a dataset, in order; for an ``AssetWatcher``.

    The number of the last version that Airflow stored an event of is kept in the state store of the watched
    asset. After a restart of the triggerer, or of the ledger, nothing is left out; the version that was
    being stored when a triggerer was killed may be announced a second time. The event's payload is
    ``{"dataset", "version", "rows", "partition_key", "fingerprint"}``.

    :param dataset: the dataset, or its logical name.
    :param partition_key: announce this batch alone.
    :param min_verdict: announce a version once its newest check says at least ``pass`` or ``warn``; one that
        was refused is passed over as soon as a later one is announced.
    :param alias: announce what led to where this alias points; ``None`` announces every version there is.
    :param newer_than: where to begin on the very first start; what is there by then is not announced unless
        given.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    :param poll_interval: seconds, or a time span, after which it looks although nothing was told.
    """

    news = Arrival

    def __init__(
        self,
        *,
        dataset: Asset | str,
        partition_key: str | None = None,
        min_verdict: str | None = None,
        alias: str | None = CURRENT,
        newer_than: int | None = None,
        dataml_conn_id: str | None = None,
        poll_interval: float | timedelta = POLL_INTERVAL_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.newer_than = newer_than
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = (
            poll_interval.total_seconds() if isinstance(poll_interval, timedelta) else float(poll_interval)
        )
        self.awaited = _awaited(
            dataset if isinstance(dataset, str) else dataset.name,
            partition_key=partition_key,
            min_verdict=min_verdict,
            alias=alias,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        arguments = {
            "dataset": self.awaited.asset,
            "partition_key": self.awaited.partition_key,
            "min_verdict": self.awaited.min_verdict,
            "alias": self.awaited.alias,
            "newer_than": self.newer_than,
            "dataml_conn_id": self.dataml_conn_id,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable | None:
        """Return a key of this trigger's own.

        The connections are shared anyway; what a stream adds is word of when Airflow has stored an event.
        """
        return None if self.trigger_id is None else ("dataml", self.awaited.asset, self.trigger_id)

    def announcer(self) -> Announcer:
        """Return what reads the ledger and keeps the watermark."""
        return Announcer(
            versions_of(self.awaited),
            conn_id=self.dataml_conn_id or config.conn_id(),
            poll_interval=self.poll_interval,
            first=self.newer_than,
        )


def _awaited(dataset: str, **said: Any) -> Awaited:
    try:
        return Awaited.parse(dataset, **said)
    except SpecError as err:
        raise _TriggerArgumentError(str(err)) from err

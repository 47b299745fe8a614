"""A listener that writes every asset of the cluster into the catalog, whoever updates it, and keeps foreign checks.

Airflow tells it of assets in the API server, and in the scheduler for watchers, in the middle of its own
work: it only puts a name into a bounded queue. A daemon thread does the writing, drops what it cannot
write, and says so once. Of a task's end it is told in the task's own process, once the work is done.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.listeners.types import AssetEvent

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.catalog import AssetEntry

log = logging.getLogger(__name__)
CAPACITY = 1000
_OURS = "dataml://"
_NO_GROUP = "asset"
_OUR_OPERATORS = "airflow_dataml.operators."


@dataclass(frozen=True, slots=True)
class Sighting:
    """An asset that was seen, and the task that updated it.

    :param group: what its DAG's author calls assets of its sort.
    """

    name: str
    uri: str
    producer: str | None = None
    group: str | None = None

    def entry(self) -> AssetEntry:
        """Return what the catalog shall hold of it; other tools know it by the names its uri stands for."""
        # Every process of Airflow loads this module, few of them see an asset.
        from airflow_dataml.core.catalog import AssetEntry
        from airflow_dataml.core.catalog_names import aliases_of

        return AssetEntry(
            name=self.name,
            kind="external",
            uri=self.uri,
            asset_group=self.group,
            location={"producer": self.producer} if self.producer else {},
            aliases=aliases_of(self.uri),
            source="observed",
        )


class Observer:
    """Takes sightings at once and writes them to the ledger later, or never.

    :param open_ledger: opens the ledger; called from this observer's own thread only.
    :param capacity: sightings kept while the ledger does not answer; more are dropped.
    """

    def __init__(self, open_ledger: Callable[[], PostgresLedger], *, capacity: int = CAPACITY) -> None:
        self._open = open_ledger
        self._queue: queue.Queue[Sighting] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._quiet = False

    def see(self, sighting: Sighting) -> None:
        """Queue a sighting; microseconds, and dropped when the queue is full."""
        try:
            self._queue.put_nowait(sighting)
        except queue.Full:
            self._complain("more assets were updated than the ledger takes")
            return
        self._wake()

    def flush(self) -> None:
        """Return when everything queued so far was written or dropped."""
        self._queue.join()

    def _wake(self) -> None:
        with self._lock:
            # After a fork the thread object is there, and the thread is not.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="dataml-observer", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            try:
                self._write(batch)
            except Exception as err:  # noqa: BLE001 - no fault of the ledger may end Airflow's process or this thread
                self._complain(str(err))
            else:
                self._quiet = False
            finally:
                for _ in batch:
                    self._queue.task_done()

    def _next_batch(self) -> list[Sighting]:
        batch = [self._queue.get()]
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    def _write(self, batch: list[Sighting]) -> None:
        newest = {sighting.name: sighting for sighting in batch}
        with self._open() as ledger:
            ledger.catalog.register_all(sighting.entry() for sighting in newest.values())

    def _complain(self, why: str) -> None:
        if not self._quiet:
            self._quiet = True
            log.warning("Assets updated outside DataML are not being added to its catalog: %s", why)


def _configured_ledger() -> PostgresLedger:
    from airflow_dataml import config
    from airflow_dataml.hooks.ledger import DataMLHook

    return DataMLHook(config.conn_id()).ledger()


class CatalogListener:
    """What Airflow calls; never raises and never waits.

    :param observer: who writes; one on the configured ledger unless given.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer = observer or Observer(_configured_ledger)

    @hookimpl
    def on_asset_event_emitted(self, asset_event: AssetEvent) -> None:
        """Note the asset of an event unless it is one of ours, which the operators register themselves."""
        try:
            asset = asset_event.asset
            dag_id, task_id = asset_event.source_dag_id, asset_event.source_task_id
            self._see(asset, f"{dag_id}.{task_id}" if dag_id else None)
        except Exception as err:  # noqa: BLE001 - raising here would fail the request that reports a task's success
            log.warning("An asset event was not understood: %r", err)

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """Note what the task says it reads and writes, and keep what its checks found that is not ours."""
        self._note(task_instance)
        self._harvest(task_instance)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any) -> None:
        """Keep what the checks found that made a task fail, or did not."""
        self._harvest(task_instance)

    def _see(self, asset: Any, producer: str | None) -> None:
        if not asset.uri.startswith(_OURS):
            # Airflow's own word for an asset of no group in particular.
            group = getattr(asset, "group", None)
            self.observer.see(
                Sighting(asset.name, asset.uri, producer, None if group == _NO_GROUP else group)
            )

    def _note(self, task_instance: Any) -> None:
        """Note inlets; outlets are told of by their events, where whoever writes them is known."""
        try:
            for inlet in getattr(getattr(task_instance, "task", None), "inlets", None) or ():
                if getattr(inlet, "uri", None) and getattr(inlet, "name", None):
                    self._see(inlet, None)
        except Exception as err:  # noqa: BLE001 - a task whose work is done must not fail for what is said about it
            log.warning("The inlets of a task were not understood: %r", err)

    def _harvest(self, task_instance: Any) -> None:
        try:
            task = getattr(task_instance, "task", None)
            if not getattr(task, "check_results", None) or _ours(task):
                return
            from airflow_dataml.listeners.harvest import harvest_task

            harvest_task(task_instance)
        except Exception as err:  # noqa: BLE001 - a task whose work is done must not fail for what is said about it
            log.warning("Results of checks are not kept: %s", err)


def _ours(task: object) -> bool:
    """Whether the operator keeps its own evidence."""
    return any(kind.__module__.startswith(_OUR_OPERATORS) for kind in type(task).__mro__)

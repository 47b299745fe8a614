"""The trigger that waits for a version of a dataset."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_dataml.core.errors import BackendError, DataMLError
from airflow_dataml.hooks.ledger import DataMLHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class DatasetVersionTrigger(BaseTrigger):
    """Fires once when a dataset has a version of a batch, or a version at all.

    :param dataset: logical name.
    :param partition_key: the batch; any version will do when it is ``None``.
    :param dataml_conn_id: connection of the ledger.
    :param poll_interval: seconds between two looks; each is one short query.
    """

    def __init__(
        self, *, dataset: str, partition_key: str | None, dataml_conn_id: str, poll_interval: float = 5.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.dataset = dataset
        self.partition_key = partition_key
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        arguments = {
            "dataset": self.dataset,
            "partition_key": self.partition_key,
            "dataml_conn_id": self.dataml_conn_id,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the version is there; a ledger that does not answer is asked again."""
        while True:
            try:
                version = await sync_to_async(self.look)()
            except BackendError as err:
                self.log.warning("Still waiting for %s: %s", self.dataset, err)
            except DataMLError as err:
                yield TriggerEvent({"status": "error", "message": str(err)})
                return
            else:
                if version is not None:
                    yield TriggerEvent({"status": "found", "version": version})
                    return
            await asyncio.sleep(self.poll_interval)

    def look(self) -> str | None:
        """Return the version waited for, if it is there."""
        with DataMLHook(self.dataml_conn_id).ledger() as ledger:
            for version in ledger.versions.list(self.dataset, limit=200):
                if self.partition_key in (None, version.partition_key):
                    return version.ref
        return None

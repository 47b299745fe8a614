"""The sensor that waits for a version of a dataset."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from airflow_dataml import config
from airflow_dataml.core.errors import BackendError, SpecError
from airflow_dataml.operators.base import ref_of
from airflow_dataml.triggers.datasets import DatasetVersionTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class DatasetVersionSensor(BaseSensorOperator):
    """Waits until a dataset has a published version of a batch; holds no worker slot by default.

    :param dataset: the dataset, or its logical name.
    :param partition_key: the batch; any version will do unless given. Templated.
    :param deferrable: wait in the triggerer instead of on a worker.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("partition_key",)

    def __init__(
        self,
        *,
        dataset: Asset | str,
        partition_key: str | None = None,
        deferrable: bool = True,
        dataml_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.partition_key = partition_key
        self.deferrable = deferrable
        self.dataml_conn_id = dataml_conn_id

    def execute(self, context: Context) -> Any:
        """Look once, then wait in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        trigger = self._trigger()
        found = trigger.look()
        if found is None:
            self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))
        return found

    def poke(self, context: Context) -> bool:
        """Look once."""
        return self._trigger().look() is not None

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Take over what the trigger found."""
        status = (event or {}).get("status")
        if status == "found":
            return str((event or {})["version"])
        if status == "error":
            raise SpecError(str((event or {}).get("message")))
        msg = f"the trigger of task {self.task_id!r} sent {event!r}, which it never should."
        raise BackendError(msg)

    def _trigger(self) -> DatasetVersionTrigger:
        return DatasetVersionTrigger(
            dataset=ref_of(self.dataset),
            partition_key=self.partition_key,
            dataml_conn_id=self.dataml_conn_id or config.conn_id(),
            poll_interval=self.poke_interval if self.poke_interval < 60 else 5.0,
        )

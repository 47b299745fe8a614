"""The sensor that waits for a version of a dataset."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_dataml import config
from airflow_dataml.adapters.postgres.arrivals import newest
from airflow_dataml.core.arrivals import Arrival, Awaited
from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import BackendError, SpecError
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.base import ref_of
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.triggers.datasets import DatasetVersionTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class DatasetVersionSensor(BaseSensorOperator):
    """Waits for a version of a dataset and returns it, as in ``rides@17``; holds no worker slot by default.

    The newest version is the one that is judged, or the newest that brought the batch. A version published
    on a branch, or rolled back, is not waited for.

    :param dataset: the dataset, or its logical name. Templated.
    :param partition_key: the batch the version brought; any will do unless given. Templated.
    :param newer_than: a number, a version such as ``rides@17``, or a point in time. Templated:
        ``"{{ prev_start_date_success }}"`` waits for a version this DAG has not seen yet, and for any on
        its first run.
    :param min_verdict: ``pass`` or ``warn``: what the newest check of the version, or of the part it brought,
        must at least say. Waits for ever on a version nobody checks.
    :param max_age: the version must be younger, by the ledger's clock; a time span or seconds.
    :param alias: the version must have led to where this alias points; ``None`` takes any there is. Templated.
    :param deferrable: wait in the triggerer instead of on a worker; there the ledger's notification ends
        the wait within a second, and ``poke_interval`` is only how often it looks although none came.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("dataset", "partition_key", "newer_than", "alias")

    def __init__(
        self,
        *,
        dataset: Asset | str,
        partition_key: str | None = None,
        newer_than: int | str | datetime | None = None,
        min_verdict: str | None = None,
        max_age: timedelta | float | None = None,
        alias: str | None = CURRENT,
        deferrable: bool = True,
        dataml_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "retry_policy" not in (kwargs.get("default_args") or {}):
            kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.partition_key = partition_key
        self.newer_than = newer_than
        self.min_verdict = min_verdict
        self.max_age = max_age
        self.alias = alias
        self.deferrable = deferrable
        self.dataml_conn_id = dataml_conn_id
        self._seen: Arrival | None = None

    def execute(self, context: Context) -> Any:
        """Look once, then wait in the triggerer; or on the worker, as every sensor does."""
        if not self.deferrable:
            self._wait_here(context)
        elif not self._there(context):
            self._defer()
        return self._seen.ref if self._seen else None

    def poke(self, context: Context) -> bool:
        """Look once."""
        awaited = self.awaited()
        self._seen = self._look(awaited)
        lacks = awaited.lacks(self._seen)
        if lacks:
            self.log.info("Waiting for %s: %s", awaited, lacks)
        return lacks is None

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Take over what the trigger found, if it is what was asked for."""
        said = event if isinstance(event, dict) else {}
        if said.get("status") == "error":
            raise SpecError(str(said.get("message")))
        awaited, number = self.awaited(), said.get("version")
        if (
            said.get("status") != "found"
            or said.get("dataset") != awaited.asset
            or not isinstance(number, int)
            or isinstance(number, bool)
            or number <= (awaited.newer_than or 0)
            or (awaited.partition_key is not None and said.get("partition_key") != awaited.partition_key)
        ):
            msg = f"task {self.task_id!r} waited for {awaited} and its trigger sent {event!r}, which it never should."
            raise BackendError(msg)
        return f"{awaited.asset}@{number}"

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; a wait that took too long says what it was for."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as err:
            raise self._too_long() from err

    def awaited(self) -> Awaited:
        """Return what is waited for, once templates are rendered.

        :raises SpecError: an argument cannot be read.
        """
        age = self.max_age.total_seconds() if isinstance(self.max_age, timedelta) else self.max_age
        return Awaited.parse(
            ref_of(self.dataset),
            newer_than=self.newer_than,
            partition_key=self.partition_key or None,
            min_verdict=self.min_verdict,
            max_age=age,
            alias=self.alias,
        )

    def _look(self, awaited: Awaited) -> Arrival | None:
        question = newest(awaited)
        with DataMLHook(self._conn_id).ledger() as ledger:
            return question.read(ledger.connection.rows(question.sql, question.params))

    def _there(self, context: Context) -> bool:
        try:
            return self.poke(context)
        except BackendError as err:
            self.log.warning("Waiting in the triggerer for a ledger that answers: %s", err)
            return False

    def _defer(self) -> None:
        awaited = self.awaited()
        trigger = DatasetVersionTrigger(
            dataset=awaited.asset,
            partition_key=awaited.partition_key,
            newer_than=awaited.after.isoformat() if awaited.after else awaited.newer_than,
            min_verdict=awaited.min_verdict,
            max_age=awaited.max_age,
            alias=awaited.alias,
            dataml_conn_id=self._conn_id,
            poll_interval=self.poke_interval,
        )
        self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))

    def _wait_here(self, context: Context) -> None:
        try:
            super().execute(context)
        except AirflowSensorTimeout as err:
            raise self._too_long() from err

    def _too_long(self) -> AirflowSensorTimeout:
        awaited = self.awaited()
        try:
            lacks = awaited.lacks(self._look(awaited)) or "it has come since"
        except BackendError as err:
            lacks = str(err)
        msg = f"task {self.task_id!r} waited {self.timeout:.0f} s for {awaited}: {lacks}."
        return AirflowSensorTimeout(msg)

    @property
    def _conn_id(self) -> str:
        return self.dataml_conn_id or config.conn_id()

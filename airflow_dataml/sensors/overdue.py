"""The sensor that notices the batch that never came."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseSensorOperator

from airflow_dataml import config
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.overdue import OverduePolicy
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.base import authored, identity_of, ref_of
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.steps.overdue import look_out
from airflow_dataml.triggers.overdue import DatasetOverdueTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.core.overdue import Outlook


class DatasetOverdueSensor(BaseSensorOperator):
    """Waits for a dataset's next version, no longer than its rhythm foretells; holds no worker slot by default.

    When the next version is due is learned from when the earlier ones came. If it has not come by then, an
    incident is opened and the task fails; the incident is closed when this sensor runs after it came. Under the
    minimum history nothing is due, and the task succeeds with the lateness ``unknown``.

    Returns ``{"lateness": "came" | "overdue" | "unknown", "newest", "last", "due", ...}``.

    :param dataset: the dataset, or its logical name. Templated.
    :param policy: an ``OverduePolicy``, or its fields: ``false_alarm_rate`` (0.01), ``min_history`` (14 gaps),
        ``season`` (``auto``) and ``window`` (365 versions).
    :param on_overdue: ``fail`` the task, or ``return`` what was found.
    :param deferrable: wait in the triggerer instead of on a worker.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("dataset",)

    def __init__(
        self,
        *,
        dataset: Asset | str,
        policy: OverduePolicy | dict[str, Any] | None = None,
        on_overdue: Literal["fail", "return"] = "fail",
        deferrable: bool = True,
        dataml_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "retry_policy" not in (kwargs.get("default_args") or {}):
            kwargs.setdefault("retry_policy", RETRY_POLICY)
        if not deferrable and kwargs.get("mode", "poke") != "poke":
            msg = f"mode={kwargs['mode']!r} forgets between two looks which version was the newest: leave it out, or defer."
            raise SpecError(msg)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.policy = policy
        self.on_overdue = on_overdue
        self.deferrable = deferrable
        self.dataml_conn_id = dataml_conn_id
        self._since: int | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once, then wait in the triggerer; or on the worker, as every sensor does."""
        if self.deferrable:
            return self._go_on(context, since=None)
        super().execute(context)
        return self._conclude(self._look(context, self._since))

    def poke(self, context: Context) -> bool:
        """Look once; the first look says which version was the newest."""
        found = self._look(context, self._since)
        self._since = found.newest if self._since is None else self._since
        return found.lateness != "on_time"

    def resume(
        self, context: Context, event: dict[str, Any] | None = None, since: int | None = None
    ) -> dict[str, Any]:
        """Look again; what the trigger says is a reason to look and nothing more."""
        said = event if isinstance(event, dict) else {}
        if said.get("status") == "error":
            raise SpecError(str(said.get("message")))
        return self._go_on(context, since=since)

    def _go_on(self, context: Context, *, since: int | None) -> dict[str, Any]:
        found = self._look(context, since)
        if found.lateness == "on_time" and found.due is not None and found.newest is not None:
            since = found.newest if since is None else since
            trigger = DatasetOverdueTrigger(
                dataset=found.asset,
                newer_than=since,
                due=found.due.isoformat(),
                dataml_conn_id=self._conn_id,
                poll_interval=self.poke_interval,
            )
            self.defer(
                trigger=trigger,
                method_name="resume",
                kwargs={"since": since},
                timeout=timedelta(seconds=self.timeout),
            )
        return self._conclude(found)

    def _look(self, context: Context, since: int | None) -> Outlook:
        with DataMLHook(self._conn_id).ledger() as ledger:
            return look_out(
                ledger=ledger,
                identity=identity_of(context),
                dataset=ref_of(self.dataset),
                policy=authored(OverduePolicy, self.policy),
                since=since,
            )

    def _conclude(self, found: Outlook) -> dict[str, Any]:
        if found.lateness == "overdue" and self.on_overdue == "fail":
            msg = f"{found.sentence}. An incident is open."
            raise GateError(msg, found.to_dict())
        return found.to_dict()

    @property
    def _conn_id(self) -> str:
        return self.dataml_conn_id or config.conn_id()

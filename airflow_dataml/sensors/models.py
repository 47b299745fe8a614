"""The sensors that wait for news of a model, and for incidents."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_dataml import config
from airflow_dataml.adapters.postgres.news import newest_of, news_of
from airflow_dataml.core.errors import BackendError, SpecError
from airflow_dataml.core.news import DECAY, DRIFT, AwaitedIncident, AwaitedReport, answer_of
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.base import ref_of
from airflow_dataml.retries import RETRY_POLICY
from airflow_dataml.triggers.models import IncidentTrigger, ModelReportTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class _NewsSensor(BaseSensorOperator):
    """Waits for news of an asset and returns what is told of it; holds no worker slot by default."""

    def __init__(self, *, deferrable: bool = True, dataml_conn_id: str | None = None, **kwargs: Any) -> None:
        if "retry_policy" not in (kwargs.get("default_args") or {}):
            kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.dataml_conn_id = dataml_conn_id
        self._since: int | None = None
        self._found: dict[str, Any] | None = None

    def awaited(self) -> AwaitedReport | AwaitedIncident:
        """Return what is waited for, once templates are rendered."""
        raise NotImplementedError

    def trigger(self, awaited: Any) -> ModelReportTrigger | IncidentTrigger:
        """Return what waits in the triggerer."""
        raise NotImplementedError

    def since(self, awaited: Any, newest: int) -> int:
        """Return what is known already when the wait begins."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Look once, then wait in the triggerer; or on the worker, as every sensor does."""
        if not self.deferrable:
            self._wait_here(context)
        elif not self._there(context):
            self.defer(
                trigger=self.trigger(self._bounded()),
                method_name="resume",
                timeout=timedelta(seconds=self.timeout),
            )
        return self._found

    def poke(self, context: Context) -> bool:
        """Look once; the first look says what is known already."""
        awaited = self.awaited()
        with DataMLHook(self._conn_id).ledger() as ledger:
            if self._since is None:
                newest = newest_of(awaited)
                self._since = self.since(
                    awaited, newest.read(ledger.connection.rows(newest.sql, newest.params))
                )
            question = news_of(self._bounded())
            self._found = answer_of(
                awaited, question.read(ledger.connection.rows(question.sql, question.params))
            )
        if self._found is None:
            self.log.info("Waiting for %s", awaited)
        return self._found is not None

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take over what the trigger found, if it is about what was asked for."""
        said = dict(event) if isinstance(event, dict) else {}
        if said.get("status") == "error":
            raise SpecError(str(said.get("message")))
        if said.pop("status", None) != "found" or said.get("asset") != self.awaited().asset:
            msg = f"task {self.task_id!r} waited for {self.awaited()} and its trigger sent {event!r}, which it never should."
            raise BackendError(msg)
        return said

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; a wait that took too long says what it was for."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as err:
            raise self._too_long() from err

    def _bounded(self) -> Any:
        awaited = self.awaited()
        return awaited if self._since is None else awaited.after(self._since)

    def _there(self, context: Context) -> bool:
        try:
            return self.poke(context)
        except BackendError as err:
            self.log.warning("Waiting in the triggerer for a ledger that answers: %s", err)
            return False

    def _wait_here(self, context: Context) -> None:
        try:
            super().execute(context)
        except AirflowSensorTimeout as err:
            raise self._too_long() from err

    def _too_long(self) -> AirflowSensorTimeout:
        msg = f"task {self.task_id!r} waited {self.timeout:.0f} s for {self.awaited()}."
        return AirflowSensorTimeout(msg)

    @property
    def _conn_id(self) -> str:
        return self.dataml_conn_id or config.conn_id()


class ModelDriftSensor(_NewsSensor):
    """Waits until a monitor report of a model finds drift, and returns ``{"asset", "number", "verdict", "found", ...}``.

    ``number`` is the report's id. Without ``newer_than`` the newest report is judged first, then every later one.

    :param model: the model, or its logical name. Templated.
    :param findings: one of these must be found: ``prediction_drift``, ``input_drift``, ``attribution_drift``.
    :param verdicts: the report's verdict must be one of these, such as ``fail``; any will do unless given.
    :param newer_than: id of a report; any later one will do. Templated.
    :param deferrable: wait in the triggerer instead of on a worker; there the ledger's notification ends the wait
        within a second, and ``poke_interval`` is only how often it looks although none came.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("model", "newer_than")
    usual: ClassVar[tuple[str, ...]] = DRIFT

    def __init__(
        self,
        *,
        model: Asset | str,
        findings: Sequence[str] | None = None,
        verdicts: Sequence[str] = (),
        newer_than: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.findings = findings
        self.verdicts = verdicts
        self.newer_than = newer_than

    def awaited(self) -> AwaitedReport:
        """Return what is waited for, once templates are rendered.

        :raises SpecError: an argument cannot be read.
        """
        return AwaitedReport.parse(
            ref_of(self.model),
            findings=tuple(self.usual if self.findings is None else self.findings),
            verdicts=tuple(self.verdicts),
            newer_than=_number(self.newer_than),
        )

    def since(self, awaited: AwaitedReport, newest: int) -> int:
        """Return the report before the newest, unless one was named."""
        return max(newest - 1, 0) if _number(self.newer_than) == 0 else awaited.newer_than

    def trigger(self, awaited: AwaitedReport) -> ModelReportTrigger:
        """Return what waits in the triggerer."""
        said = awaited.model_dump(mode="json")
        if self._since is None and not awaited.newer_than:
            said["newer_than"] = None
        return ModelReportTrigger(**said, dataml_conn_id=self._conn_id, poll_interval=self.poke_interval)


class ModelPerformanceSensor(ModelDriftSensor):
    """Waits until a monitor report of a model finds that it does worse, measured or estimated; as ``ModelDriftSensor``.

    :param findings: one of these must be found: ``decay``, ``estimated_decay``.
    """

    usual: ClassVar[tuple[str, ...]] = DECAY


class IncidentSensor(_NewsSensor):
    """Waits until an asset has an open incident, or has none any more, and returns what is told of it.

    An incident that a person resolves, or that is opened with the report of another asset, is found by looking: every
    ``poke_interval``, 15 s unless given. Others end the wait within a second.

    :param asset: the dataset or model, or its logical name. Templated.
    :param kinds: ``data``, ``drift``, ``decay``; any unless given.
    :param severity: the least that counts: ``low``, ``medium``, ``high``.
    :param until: ``open``, or ``resolved``, which holds a task back while any is open.
    :param newer_than: id of an incident; only later ones count. Templated.
    :param deferrable: wait in the triggerer instead of on a worker.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("asset", "newer_than")

    def __init__(
        self,
        *,
        asset: Asset | str,
        kinds: Sequence[str] = (),
        severity: str = "low",
        until: str = "open",
        newer_than: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", 15.0)
        super().__init__(**kwargs)
        self.asset = asset
        self.kinds = kinds
        self.severity = severity
        self.until = until
        self.newer_than = newer_than

    def awaited(self) -> AwaitedIncident:
        """Return what is waited for, once templates are rendered.

        :raises SpecError: an argument cannot be read.
        """
        return AwaitedIncident.parse(
            ref_of(self.asset),
            kinds=tuple(self.kinds),
            severity=self.severity,
            until=self.until,
            newer_than=_number(self.newer_than),
        )

    def since(self, awaited: AwaitedIncident, newest: int) -> int:
        """Return the incident that was named: an open one is news however old it is."""
        return awaited.newer_than

    def trigger(self, awaited: AwaitedIncident) -> IncidentTrigger:
        """Return what waits in the triggerer."""
        return IncidentTrigger(
            **awaited.model_dump(mode="json"),
            dataml_conn_id=self._conn_id,
            poll_interval=self.poke_interval,
        )


def _number(written: int | str | None) -> int:
    """Read an id, as it is or as a template made it; nothing is 0."""
    if written in (None, "", "None"):
        return 0
    if isinstance(written, int) and not isinstance(written, bool):
        return written
    if isinstance(written, str) and written.strip().isdigit():
        return int(written)
    msg = f"newer_than={written!r} cannot be read: write the id of a report or incident."
    raise SpecError(msg)

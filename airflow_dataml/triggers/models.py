"""The triggers that wait for news of a model, and for incidents."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_dataml import config
from airflow_dataml.adapters.postgres.news import following_news, newest_of, news_of
from airflow_dataml.core.errors import BackendError, DataMLError, SpecError
from airflow_dataml.core.news import DECAY, DRIFT, AwaitedIncident, AwaitedReport, News, answer_of
from airflow_dataml.triggers.announcing import Announced, Announcer, _AnnouncedEventTrigger
from airflow_dataml.triggers.listening import hearing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Sequence

    from airflow.sdk import Asset

    from airflow_dataml.triggers.listening import Waiter

POLL_INTERVAL_S = 60.0
# An incident that is opened with a report of another asset, or moved on by a person, is told by nobody.
INCIDENT_INTERVAL_S = 15.0


class _TriggerArgumentError(SpecError, TypeError):
    """An argument that cannot be meant.

    A triggerer that builds a trigger survives a ``TypeError`` and dies of any other exception.
    """


class _NewsTrigger(BaseTrigger):
    """Fires once, with what came; a ledger that does not answer is asked again, a mistake ends the wait."""

    awaited: AwaitedReport | AwaitedIncident

    def __init__(self, *, dataml_conn_id: str, poll_interval: float, known: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = poll_interval
        # Whether it was said from where on news count; else the newest that is there is judged first.
        self.known = known

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        arguments = self.awaited.model_dump(mode="json") | {
            "dataml_conn_id": self.dataml_conn_id,
            "poll_interval": self.poll_interval,
        }
        arguments |= {} if self.known else {"newer_than": None}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for it."""
        try:
            event = {"status": "found", **(await self._came())}
        except DataMLError as err:
            event = {"status": "error", "message": str(err)}
        except (
            Exception
        ) as err:  # the boundary: a trigger that raises leaves its task waiting without a reason
            self.log.exception("Waiting for %s came to an end", self.awaited)
            event = {"status": "error", "message": f"{type(err).__name__}: {err}"}
        yield TriggerEvent(event)

    async def _came(self) -> dict[str, Any]:
        async with hearing(
            conn_id=self.dataml_conn_id, asset=self.awaited.asset, poll_interval=self.poll_interval
        ) as waiter:
            self.log.info("Waiting for %s", self.awaited)
            while (came := await self._look(waiter)) is None:
                await waiter.rest()
        return came

    async def _look(self, waiter: Waiter) -> dict[str, Any] | None:
        try:
            if not self.known:
                newest = await waiter.look(newest_of(self.awaited))
                self.awaited, self.known = self.awaited.after(newest - 1), True
            page = await waiter.look(news_of(self.awaited))
        except BackendError as err:
            self.log.warning("Still waiting for %s: %s", self.awaited, err)
            return None
        return answer_of(self.awaited, page)


class ModelReportTrigger(_NewsTrigger):
    """Fires once when a monitor report of a model found something; woken by the ledger within a second of its commit.

    :param asset: logical name of the model.
    :param findings: it must have found one of these, such as ``decay``.
    :param verdicts: its verdict must be one of these; any will do unless given.
    :param newer_than: id of the report that is known already; ``None`` judges the newest first.
    :param dataml_conn_id: connection of the ledger.
    :param poll_interval: seconds after which it looks although nothing was told.
    """

    def __init__(
        self,
        *,
        asset: str,
        findings: Sequence[str],
        dataml_conn_id: str,
        verdicts: Sequence[str] = (),
        newer_than: int | None = None,
        poll_interval: float = POLL_INTERVAL_S,
    ) -> None:
        known = newer_than is not None
        super().__init__(dataml_conn_id=dataml_conn_id, poll_interval=poll_interval, known=known)
        self.awaited = _report(asset, findings=findings, verdicts=verdicts, newer_than=newer_than or 0)


class IncidentTrigger(_NewsTrigger):
    """Fires once when an asset has an open incident, or when it has none any more.

    :param asset: logical name of the dataset or model.
    :param kinds: ``data``, ``drift``, ``decay``; any unless given.
    :param severity: the least that counts.
    :param until: wait for an ``open`` one, or until all are ``resolved``.
    :param newer_than: id of the incident that is known already.
    :param dataml_conn_id: connection of the ledger.
    :param poll_interval: seconds after which it looks although nothing was told; an incident that a person resolves,
        or that is opened with the report of another asset, is found by looking alone.
    """

    def __init__(
        self,
        *,
        asset: str,
        dataml_conn_id: str,
        kinds: Sequence[str] = (),
        severity: str = "low",
        until: str = "open",
        newer_than: int = 0,
        poll_interval: float = INCIDENT_INTERVAL_S,
    ) -> None:
        super().__init__(dataml_conn_id=dataml_conn_id, poll_interval=poll_interval)
        self.awaited = _incident(asset, kinds=kinds, severity=severity, until=until, newer_than=newer_than)


class _NewsEventTrigger(_AnnouncedEventTrigger):
    """Fires for everything that comes, in order; for an ``AssetWatcher``.

    The number of the last of which Airflow stored an event is kept in the state store of the watched asset, so that
    a restart leaves nothing out; the one that was being stored then may be announced a second time.
    """

    what: str
    awaited: AwaitedReport | AwaitedIncident

    news = News

    def __init__(
        self, *, newer_than: int | None, dataml_conn_id: str | None, poll_interval: float | timedelta
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.newer_than = newer_than
        self.dataml_conn_id = dataml_conn_id
        self.poll_interval = (
            poll_interval.total_seconds() if isinstance(poll_interval, timedelta) else float(poll_interval)
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        arguments = self.awaited.model_dump(mode="json", exclude={"newer_than", "until"}) | {
            "newer_than": self.newer_than,
            "dataml_conn_id": self.dataml_conn_id,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable | None:
        """Return a key of this trigger's own; what a stream adds is word of when Airflow has stored an event."""
        return None if self.trigger_id is None else ("dataml", self.what, self.awaited.asset, self.trigger_id)

    def announcer(self) -> Announcer:
        """Return what reads the ledger and keeps the watermark."""
        awaited = self.awaited
        announced = Announced(
            awaited.asset,
            self.what,
            (awaited.asset, awaited.key),
            lambda number: following_news(awaited.after(number)),
            newest_of(awaited),
        )
        return Announcer(
            announced,
            conn_id=self.dataml_conn_id or config.conn_id(),
            poll_interval=self.poll_interval,
            first=self.newer_than,
        )


class ModelReportEventTrigger(_NewsEventTrigger):
    """Fires for every monitor report of a model that found something, in order; for an ``AssetWatcher``.

    The event's payload is ``{"asset", "number", "verdict", "partition_key", "found", "summary", "created_at"}``.

    :param asset: the model, or its logical name.
    :param findings: the report must have found one of these; drift and decay unless given.
    :param verdicts: its verdict must be one of these; any will do unless given.
    :param newer_than: where to begin on the very first start; what is there by then is not announced unless given.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    :param poll_interval: seconds, or a time span, after which it looks although nothing was told.
    """

    what = "report"

    def __init__(
        self,
        *,
        asset: Asset | str,
        findings: Sequence[str] = (*DECAY, *DRIFT),
        verdicts: Sequence[str] = (),
        newer_than: int | None = None,
        dataml_conn_id: str | None = None,
        poll_interval: float | timedelta = POLL_INTERVAL_S,
    ) -> None:
        super().__init__(newer_than=newer_than, dataml_conn_id=dataml_conn_id, poll_interval=poll_interval)
        name = asset if isinstance(asset, str) else asset.name
        self.awaited = _report(name, findings=findings, verdicts=verdicts)


class IncidentEventTrigger(_NewsEventTrigger):
    """Fires for every incident of an asset, in the order they were opened; for an ``AssetWatcher``.

    The event's payload is ``{"asset", "number", "kind", "severity", "state", "title", "partition_key", "report",
    "opened_at"}``.

    :param asset: the dataset or model, or its logical name.
    :param kinds: ``data``, ``drift``, ``decay``; any unless given.
    :param severity: the least that counts.
    :param newer_than: where to begin on the very first start; what is there by then is not announced unless given.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    :param poll_interval: seconds, or a time span, after which it looks although nothing was told.
    """

    what = "incident"

    def __init__(
        self,
        *,
        asset: Asset | str,
        kinds: Sequence[str] = (),
        severity: str = "low",
        newer_than: int | None = None,
        dataml_conn_id: str | None = None,
        poll_interval: float | timedelta = INCIDENT_INTERVAL_S,
    ) -> None:
        super().__init__(newer_than=newer_than, dataml_conn_id=dataml_conn_id, poll_interval=poll_interval)
        name = asset if isinstance(asset, str) else asset.name
        self.awaited = _incident(name, kinds=kinds, severity=severity)


def _report(asset: str, **said: Any) -> AwaitedReport:
    try:
        return AwaitedReport.parse(asset, **said)
    except SpecError as err:
        raise _TriggerArgumentError(str(err)) from err


def _incident(asset: str, **said: Any) -> AwaitedIncident:
    try:
        return AwaitedIncident.parse(asset, **said)
    except SpecError as err:
        raise _TriggerArgumentError(str(err)) from err

"""The trigger that waits for the end of a Ray job."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_dataml.adapters.ray import LOG_INTERVAL_S, POLL_INTERVAL_S, UNREACHABLE_S, LogTail, RayJobState
from airflow_dataml.core.errors import BackendError, DataMLError
from airflow_dataml.hooks.ray import RayHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_dataml.adapters.ray import RayJobs


class RayJobTrigger(BaseTrigger):
    """Fires once, when a job has ended: ``{"submission_id", "status", "message"}``.

    The status is Ray's (``SUCCEEDED``, ``FAILED``, ``STOPPED``), ``LOST`` when the cluster knows no such job any
    more, ``UNREACHABLE`` when it did not answer for too long, or ``ERROR``. It holds nothing but the job's name,
    so that another triggerer takes it up where it is; the job ends only when a person ends the task.

    :param submission_id: name of the job.
    :param ray_conn_id: connection of the cluster.
    :param poll_interval: seconds between two looks.
    :param log_interval: seconds between two readings of its log, of which new lines are passed on.
    :param unreachable: seconds without an answer after which it gives up.
    """

    def __init__(
        self,
        *,
        submission_id: str,
        ray_conn_id: str,
        poll_interval: float = POLL_INTERVAL_S,
        log_interval: float = LOG_INTERVAL_S,
        unreachable: float = UNREACHABLE_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.submission_id = submission_id
        self.ray_conn_id = ray_conn_id
        self.poll_interval = poll_interval
        self.log_interval = log_interval
        self.unreachable = unreachable

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to build this again; no secret is in it."""
        names = ("submission_id", "ray_conn_id", "poll_interval", "log_interval", "unreachable")
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; a cluster that does not answer is asked again, a mistake ends the wait."""
        try:
            event = await self._outcome(await self._jobs())
        except DataMLError as err:
            event = self._event("ERROR", str(err))
        except (
            Exception
        ) as err:  # the boundary: a trigger that raises leaves its task waiting without a reason
            self.log.exception("Waiting for Ray job %s came to an end", self.submission_id)
            event = self._event("ERROR", f"{type(err).__name__}: {err}")
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Stop the job, because a person cleared, failed or ended the task that waits for it."""
        jobs = await self._jobs()
        stopped = await asyncio.to_thread(jobs.stop, self.submission_id)
        self.log.info("Ray job %s %s", self.submission_id, "is being stopped" if stopped else "had ended")

    async def _outcome(self, jobs: RayJobs) -> dict[str, str]:
        tail, read, answered = LogTail(), time.monotonic(), time.monotonic()
        while True:
            try:
                state = await asyncio.to_thread(jobs.find, self.submission_id)
                answered = time.monotonic()
                if state is None:
                    return self._event("LOST", f"{jobs.url} knows no such job")
                if state.ended or time.monotonic() - read >= self.log_interval:
                    read = time.monotonic()
                    await self._pass_on(jobs, tail)
                if state.ended:
                    return state.to_dict()
            except BackendError as err:
                if time.monotonic() - answered >= self.unreachable:
                    return self._event("UNREACHABLE", str(err))
                self.log.warning("Still waiting for Ray job %s: %s", self.submission_id, err)
            await asyncio.sleep(self.poll_interval)

    async def _pass_on(self, jobs: RayJobs, tail: LogTail) -> None:
        try:
            text = await asyncio.to_thread(jobs.log, self.submission_id)
        except DataMLError as err:
            self.log.warning("The log of Ray job %s is not to be had: %s", self.submission_id, err)
            return
        for line in tail.new(text):
            self.log.info("ray: %s", line)

    async def _jobs(self) -> RayJobs:
        return await sync_to_async(RayHook(self.ray_conn_id).jobs)()

    def _event(self, status: str, message: str) -> dict[str, str]:
        return RayJobState(self.submission_id, status, message).to_dict()

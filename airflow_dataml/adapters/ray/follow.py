"""Waiting for a job from where there is no triggerer, and saying why one ended badly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.ray.jobs import RayJobState
from airflow_dataml.adapters.ray.tail import LogTail
from airflow_dataml.core.errors import BackendError, DataMLError, NotFoundError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.adapters.ray.jobs import RayJobs

POLL_INTERVAL_S = 5.0
LOG_INTERVAL_S = 15.0
UNREACHABLE_S = 600.0
_TAIL_LINES = 30


def wait_for_job(
    jobs: RayJobs,
    submission_id: str,
    *,
    on_line: Callable[[str], None],
    poll_interval: float = POLL_INTERVAL_S,
    log_interval: float = LOG_INTERVAL_S,
    unreachable: float = UNREACHABLE_S,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Wait for the end of a job and return what the trigger would: ``{"submission_id", "status", "message"}``.

    :param on_line: gets what is new in its log, every ``log_interval`` seconds.
    :raises BackendError: the cluster did not answer for ``unreachable`` seconds.
    """
    tail, read, answered = LogTail(), time.monotonic(), time.monotonic()
    while True:
        try:
            state = jobs.find(submission_id)
            answered = time.monotonic()
            if state is None:
                return RayJobState(submission_id, "LOST", f"{jobs.url} knows no such job").to_dict()
            if state.ended or time.monotonic() - read >= log_interval:
                read = time.monotonic()
                for line in tail.new(jobs.log(submission_id)):
                    on_line(line)
            if state.ended:
                return state.to_dict()
        except (BackendError, NotFoundError) as err:
            if time.monotonic() - answered >= unreachable:
                msg = f"Ray did not answer for {unreachable:.0f} seconds: {err}"
                raise BackendError(msg) from err
        pause(poll_interval)


def ended_badly(jobs: RayJobs, event: Mapping[str, Any]) -> DataMLError:
    """Return the error of a job that did not succeed, with the last lines of its log.

    A retry submits a failed, stopped or lost job anew, and finds one that only was out of reach.
    """
    submission_id = str(event.get("submission_id"))
    status, said = event.get("status"), event.get("message") or "nothing was said about it"
    if status in (None, "ERROR"):
        return SpecError(f"waiting for Ray job {submission_id!r} came to an end: {said}")
    if status not in ("FAILED", "STOPPED"):
        return BackendError(f"Ray job {submission_id!r} is {status}: {said}")
    try:
        lines = jobs.log(submission_id).splitlines()[-_TAIL_LINES:]
    except DataMLError as err:
        lines = [f"(its log is not to be had: {err})"]
    return BackendError(
        f"Ray job {submission_id!r} {status}: {said}. Last lines:\n"
        + "\n".join(lines or ["(nothing printed)"])
    )

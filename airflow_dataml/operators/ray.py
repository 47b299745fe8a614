"""The operator that runs a job on an existing Ray cluster."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.ray import POLL_INTERVAL_S, RayJobRequest, ended_badly, wait_for_job
from airflow_dataml.hooks.ray import RayHook
from airflow_dataml.operators.base import DataMLOperator
from airflow_dataml.triggers.ray import RayJobTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.ray import RayJobs


class RayJobOperator(DataMLOperator):
    """Run a job on an existing Ray cluster, through its jobs interface; Ray is neither imported nor started here.

    A retry, and a task that is cleared, find the job of this task in this run by its name: one that runs is waited
    for, one that succeeded is the result, one that failed or was stopped is submitted anew. With another command
    line or environment it is another job. Stopping the task stops the job. Returns ``{"submission_id", "status"}``.

    :param entrypoint: command line of the job's driver. Templated.
    :param runtime_env: Ray's runtime environment, on top of the connection's. Templated.
    :param num_cpus: CPUs reserved for the driver, which then runs wherever they are free.
    :param num_gpus: GPUs reserved for the driver.
    :param driver_resources: other resources reserved for the driver.
    :param ray_conn_id: connection of the cluster.
    :param deferrable: wait in the triggerer, or hold a worker's slot.
    :param poll_interval: seconds between two looks.
    """

    template_fields: Sequence[str] = ("entrypoint", "runtime_env", "ray_conn_id")
    template_fields_renderers = {"runtime_env": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        entrypoint: str,
        runtime_env: Mapping[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        driver_resources: Mapping[str, float] | None = None,
        ray_conn_id: str = RayHook.default_conn_name,
        deferrable: bool = True,
        poll_interval: float = POLL_INTERVAL_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.entrypoint = entrypoint
        self.runtime_env = runtime_env
        self.num_cpus = num_cpus
        self.num_gpus = num_gpus
        self.driver_resources = driver_resources
        self.ray_conn_id = ray_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self._running: str | None = None

    def execute(self, context: Context) -> dict[str, str]:
        """Submit the job or find it, and wait for its end."""
        hook = RayHook(self.ray_conn_id)
        jobs = hook.jobs()
        state = jobs.ensure(self._request(context, hook))
        self._running = state.submission_id
        self.log.info("Ray job %s at %s is %s", state.submission_id, jobs.url, state.status)
        if self.deferrable and not state.ended:
            self.defer(
                trigger=RayJobTrigger(
                    submission_id=state.submission_id,
                    ray_conn_id=self.ray_conn_id,
                    poll_interval=self.poll_interval,
                ),
                method_name="resume",
                timeout=self.execution_timeout,
            )
        event = wait_for_job(jobs, state.submission_id, poll_interval=self.poll_interval, on_line=self._say)
        return _conclude(jobs, event)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, str]:
        """Conclude what the triggerer saw."""
        del context
        return _conclude(RayHook(self.ray_conn_id).jobs(), event if isinstance(event, dict) else {})

    def on_kill(self) -> None:
        """Stop the job."""
        if self._running is not None:
            RayHook(self.ray_conn_id).jobs().stop(self._running)
        super().on_kill()

    def _request(self, context: Context, hook: RayHook) -> RayJobRequest:
        environment = {**hook.cluster().runtime_env, **(self.runtime_env or {})}
        task = self.identity(context).task
        return RayJobRequest(
            submission_id=_name(str(task), self.entrypoint, environment),
            entrypoint=self.entrypoint,
            runtime_env=environment,
            metadata={"dataml_task": str(task)},
            entrypoint_num_cpus=self.num_cpus,
            entrypoint_num_gpus=self.num_gpus,
            entrypoint_resources=self.driver_resources,
        )

    def _say(self, line: str) -> None:
        self.log.info("ray: %s", line)


def _conclude(jobs: RayJobs, event: Mapping[str, Any]) -> dict[str, str]:
    if event.get("status") != "SUCCEEDED":
        raise ended_badly(jobs, event)
    return {"submission_id": str(event["submission_id"]), "status": "SUCCEEDED"}


def _name(task: str, entrypoint: str, environment: Mapping[str, Any]) -> str:
    """Return the name of a task's job; the number of the try is not in it."""
    said = json.dumps([task, entrypoint, environment], sort_keys=True, default=str)
    return f"dataml-{hashlib.sha256(said.encode()).hexdigest()[:24]}"

"""Ray: jobs of a cluster over its HTTP interface; Ray itself is not imported."""

from __future__ import annotations

from airflow_dataml.adapters.ray.follow import (
    LOG_INTERVAL_S,
    POLL_INTERVAL_S,
    UNREACHABLE_S,
    ended_badly,
    wait_for_job,
)
from airflow_dataml.adapters.ray.jobs import RayCluster, RayJobRequest, RayJobs, RayJobState
from airflow_dataml.adapters.ray.tail import LogTail

__all__ = [
    "LOG_INTERVAL_S",
    "POLL_INTERVAL_S",
    "UNREACHABLE_S",
    "LogTail",
    "RayCluster",
    "RayJobRequest",
    "RayJobState",
    "RayJobs",
    "ended_badly",
    "wait_for_job",
]

"""The hook that reaches a Ray cluster's jobs from an Airflow connection."""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.adapters.ray import RayCluster, RayJobs
from airflow_dataml.core.errors import ConnectionSpecError, DataMLError

PORT = 8265


class RayHook(BaseHook):
    """The jobs interface of an existing Ray cluster, on its dashboard; nothing of Ray is imported or started.

    :param ray_conn_id: connection of type ``dataml_ray``.
    """

    conn_name_attr = "ray_conn_id"
    default_conn_name = "dataml_ray_default"
    conn_type = "dataml_ray"
    hook_name = "DataML Ray"

    def __init__(self, ray_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ray_conn_id = ray_conn_id

    def jobs(self) -> RayJobs:
        """Return the cluster's jobs; nothing is contacted yet."""
        conn = self._connection()
        host = conn.host or ""
        if not host:
            msg = f"connection {self.ray_conn_id!r} names no host: fill in the address of the cluster's dashboard."
            raise ConnectionSpecError(msg)
        if "://" in host:
            url = f"{host.rstrip('/')}:{conn.port}" if conn.port else host
        else:
            url = f"http://{host}:{conn.port or PORT}"
        return RayJobs(url=url, token=conn.password or None)

    def cluster(self) -> RayCluster:
        """Return what the connection says of the cluster.

        :raises ConnectionSpecError: ``runtime_env`` is no JSON object.
        """
        extra = self._connection().extra_dejson
        given = extra.get("runtime_env") or {}
        try:
            environment = json.loads(given) if isinstance(given, str) else given
        except ValueError as err:
            environment = err
        if not isinstance(environment, dict):
            msg = f"runtime_env of connection {self.ray_conn_id!r} is {given!r}: write a JSON object."
            raise ConnectionSpecError(msg)
        return RayCluster(environment, extra.get("work_dir") or None, extra.get("python") or "python")

    def get_conn(self) -> RayJobs:
        """Return the cluster's jobs; Airflow's name for it."""
        return self.jobs()

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the dashboard answers and may be used."""
        try:
            return True, f"Ray {self.jobs().version()} answers."
        except DataMLError as err:
            return False, str(err)

    def _connection(self) -> Any:
        try:
            return self.get_connection(self.ray_conn_id)
        except AirflowNotFoundException as err:
            msg = f"connection {self.ray_conn_id!r} is not defined: add one of type 'dataml_ray'."
            raise ConnectionSpecError(msg) from err

"""The few calls of Airflow's REST API the story needs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

_ATTEMPTS = 4
_UNAUTHORIZED = 401
_SERVER_ERROR = 500
_NOT_NOW = (404, 409)
FINISHED_RUN = frozenset({"success", "failed"})


class AirflowApi:
    """A logged-in client.

    :param base: address of the API server, without a trailing slash.
    """

    def __init__(self, base: str, *, user: str, password: str) -> None:
        self.base, self.user = base, user
        self._login = {"username": user, "password": password}
        self._token: str | None = None

    def health(self) -> dict[str, Any]:
        """State of the components; empty while the server does not answer."""
        try:
            return self._send("GET", "/api/v2/monitor/health", None, token=None)
        except OSError:
            return {}

    def call(
        self, method: str, path: str, body: dict[str, Any] | list[Any] | None = None, **query: object
    ) -> dict[str, Any]:
        """One request; a stale login is renewed, and reading is tried again.

        :raises urllib.error.HTTPError: the server refused; its answer is in the note.
        """
        url = f"{path}?{urlencode(query, doseq=True)}" if query else path
        attempts = _ATTEMPTS
        while True:
            attempts -= 1
            try:
                if self._token is None:
                    self._token = self._send("POST", "/auth/token", self._login, token=None)["access_token"]
                return self._send(method, url, body, token=self._token)
            except urllib.error.HTTPError as err:
                if attempts == 0 or (
                    err.code != _UNAUTHORIZED and (method != "GET" or err.code < _SERVER_ERROR)
                ):
                    err.add_note(err.read().decode(errors="replace")[:2000])
                    raise
                self._token = None
            except OSError:
                # A loaded machine answers late. What writes is not sent twice: it may have arrived.
                if attempts == 0 or method != "GET":
                    raise
            time.sleep(1)

    def dags(self) -> dict[str, dict[str, Any]]:
        """Known DAGs by id."""
        return {dag["dag_id"]: dag for dag in self.call("GET", "/api/v2/dags", limit=100)["dags"]}

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that do not load."""
        return self.call("GET", "/api/v2/importErrors", limit=100)["import_errors"]

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False}, update_mask="is_paused")

    def trigger(
        self, dag_id: str, *, partition_key: str | None = None, conf: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run; its id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]

    def runs(self, **query: object) -> list[dict[str, Any]]:
        """The newest runs of every DAG, oldest first."""
        found = self.call("GET", "/api/v2/dags/~/dagRuns", limit=100, order_by="-run_after", **query)
        return found["dag_runs"][::-1]

    def clear(self, dag_id: str, run_id: str, *, only_failed: bool = True) -> None:
        """Run a finished run's tasks again under the same run id."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/clear"
        self.call("POST", path, {"dry_run": False, "only_failed": only_failed})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return self.call("GET", path, limit=100)["task_instances"]

    def approve(self, task: dict[str, Any], comment: str) -> bool:
        """Answer a task that waits for a person, as the page *Required Actions* does; whether it was taken."""
        place = f"{task['dag_id']}/dagRuns/{quote(task['dag_run_id'], safe='')}"
        path = f"/api/v2/dags/{place}/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
        try:
            self.call("PATCH", path, {"chosen_options": ["Approve"], "params_input": {"comment": comment}})
        except urllib.error.HTTPError as err:
            # Somebody else was a moment earlier, or it waits no more.
            if err.code in _NOT_NOW:
                return False
            raise
        return True

    def pending_partitions(self) -> int:
        """How many partitioned runs have some of their events and no run yet."""
        return int(self.call("GET", "/ui/partitioned_dag_runs", has_created_dag_run_id="false")["total"])

    def _send(self, method: str, path: str, body: object, *, token: str | None) -> dict[str, Any]:
        request = urllib.request.Request(self.base + path, method=method)  # noqa: S310 - our own http address
        request.add_header("Accept", "application/json")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data=data, timeout=30) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else {}

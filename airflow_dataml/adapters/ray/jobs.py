"""Ray's Jobs interface over plain HTTP: submit, look, read the log, stop; no client of Ray's, no ``ray.init``."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_dataml.core.errors import BackendError, ConnectionSpecError, NotFoundError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 20.0
_READ = 32 * 1024 * 1024
_MOST = 100
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True, slots=True, kw_only=True)
class RayJobRequest:
    """A job as Ray's interface takes it.

    :param submission_id: our name of it; the same name finds the same job again.
    :param entrypoint: command line of the driver.
    :param runtime_env: Ray's description of files, packages and variables.
    :param entrypoint_num_cpus: reserved for the driver, which then runs wherever they are free; without any
        reservation it runs on the head.
    """

    submission_id: str
    entrypoint: str
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the request; what was not said is left to Ray."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class RayJobState:
    """A job as Ray sees it.

    :param status: ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``STOPPED``.
    :param message: what Ray says about it.
    """

    submission_id: str
    status: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return what a trigger tells of its end."""
        return asdict(self)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether its driver ended with exit status 0."""
        return self.status == "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class RayCluster:
    """What a connection says of a cluster besides where it is.

    :param runtime_env: Ray's runtime environment of every job, such as ``{"env_vars": {"PYTHONPATH": ..}}``.
    :param work_dir: where the cluster has the folder that is ``[dataml] work_dir`` here; the same path unless given.
    :param python: interpreter of the cluster in which this package is installed.
    """

    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    work_dir: str | None = None
    python: str = "python"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the server it is for and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class RayJobs:
    """The jobs of one cluster. Every call is one request with a timeout; asking again is the caller's choice.

    :param url: address of the cluster's dashboard.
    :param token: sent as ``Authorization: Bearer``; it appears in no message.
    """

    def __init__(self, *, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            msg = f"{parts.scheme}://{parts.hostname or ''} is no address of a Ray dashboard: write http(s)://host[:port], the token as password."
            raise ConnectionSpecError(msg)
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)

    @property
    def url(self) -> str:
        """Address of the dashboard, without credentials."""
        return self._url

    def version(self) -> str:
        """Return the cluster's release of Ray, which also says that it answers."""
        return str(self._ask("GET", "/api/version").get("ray_version"))

    def ensure(self, request: RayJobRequest, *, keep_succeeded: bool = True) -> RayJobState:
        """Find a job by its name and look no further, or submit it; after a failed or stopped one comes ``NAME-2``.

        A name is not used again: the actor of a stopped job outlives it for a while and would take the next one,
        which Ray gives the same name, with it.

        :param keep_succeeded: ``False`` submits another also after one that had succeeded.
        """
        for number in range(1, _MOST + 1):
            name = request.submission_id if number == 1 else f"{request.submission_id}-{number}"
            found = self.find(name)
            if found is None:
                self._submit(replace(request, submission_id=name))
                return self.find(name) or RayJobState(name, "PENDING", "")
            if not found.ended or (found.succeeded and keep_succeeded):
                return found
        msg = f"Ray at {self._url} has {_MOST} jobs {request.submission_id!r}, all ended; look at why before running it again."
        raise SpecError(msg)

    def find(self, submission_id: str) -> RayJobState | None:
        """Return a job; ``None`` where the cluster knows none of that name."""
        try:
            said = self._ask("GET", _path(submission_id))
        except NotFoundError:
            return None
        # Ray appends the end of the log to it, which is asked for by itself.
        message = str(said.get("message") or "").partition(", last available logs")[0]
        return RayJobState(submission_id, str(said["status"]), message)

    def log(self, submission_id: str) -> str:
        """Return what a job's driver has printed; Ray has no way to ask for a part of it."""
        return str(self._ask("GET", f"{_path(submission_id)}/logs").get("logs") or "")

    def stop(self, submission_id: str) -> bool:
        """Ask for the end of a job; returns whether there was one to end."""
        try:
            return bool(self._ask("POST", f"{_path(submission_id)}/stop").get("stopped"))
        except NotFoundError:
            return False

    def _submit(self, request: RayJobRequest) -> None:
        try:
            self._ask("POST", "/api/jobs/", request.to_dict())
        except BackendError:
            # No answer says nothing about whether it was taken; then it is found under its name.
            if self.find(request.submission_id) is None:
                raise

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
            method=method,
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                text = response.read(_READ)
        except urllib.error.HTTPError as err:
            with err:
                raise self._refused(method, path, err.code, err.read(2000).decode(errors="replace")) from err
        except (OSError, http.client.HTTPException) as err:
            reason = getattr(err, "reason", err)
            msg = f"Ray at {self._url} did not answer {method} {path}: {reason}"
            raise BackendError(msg) from err
        try:
            said = json.loads(text)
        except ValueError as err:
            msg = f"Ray at {self._url} answered {method} {path} with no JSON: is that the address of its dashboard?"
            raise BackendError(msg) from err
        return said if isinstance(said, dict) else {}

    def _refused(self, method: str, path: str, status: int, text: str) -> Exception:
        said = f"Ray at {self._url} answered {method} {path} with HTTP {status}: {_last_line(text)}"
        if status == 404:
            return NotFoundError(said)
        if status in (401, 403):
            return ConnectionSpecError(f"{said}; check the token, which is the connection's password.")
        return SpecError(said) if status in (400, 422) else BackendError(said)


def _path(submission_id: str) -> str:
    return f"/api/jobs/{quote(submission_id, safe='')}"


def _last_line(text: str) -> str:
    """Ray sends its traceback; its last line says what is wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""

"""Delivery of lineage events to backends: what a backend is, what became of an event, when to ask again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# An event a backend answers with a fault is tried so often; only a backend that takes others makes it dead.
MAX_ATTEMPTS = 12
MAX_PAUSE_S = 300.0
# So many faults and nothing taken are the backend's and not the events'.
FAULTS_IN_A_ROW = 3
# How long an end waits for a start that has not been heard of: another process may still hold it.
START_GRACE_S = 30
TERMINAL = ("COMPLETE", "FAIL", "ABORT")
OUR_OPTIONS = ("conn_id", "batch", "concurrency")

Verdict = Literal["delivered", "refused", "failed", "unreachable", "untried"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event at one backend.

    ``refused`` will not be taken however often it is sent; ``failed`` may be later; ``unreachable`` is about
    the backend and not about the event; ``untried`` was left for the next round.
    """

    verdict: Verdict
    reason: str = ""


DELIVERED = Outcome("delivered")
UNTRIED = Outcome("untried")


@dataclass(frozen=True, slots=True)
class Due:
    """An event whose turn it is at a backend."""

    event_id: int
    ordering_key: str
    attempts: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """What one batch came to.

    :param claimed: how many events were due and free; ``0`` ends the round.
    :param dead: events that became dead letters.
    :param unreachable: why the backend takes nothing now; empty while it does.
    """

    claimed: int = 0
    delivered: int = 0
    retried: int = 0
    dead: tuple[int, ...] = ()
    unreachable: str = ""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend as configured: a transport of the OpenLineage client under a name.

    :param config: the transport's own configuration; may hold secrets, and is never printed or stored.
    :param conn_id: Airflow connection that says where it is and how to sign in.
    :param batch: send many events in one request: ``auto`` tries once whether the backend offers it.
    :param concurrency: requests at a time; events of one run are never sent side by side.
    """

    name: str
    kind: str
    config: Mapping[str, Any] = field(repr=False, default_factory=dict)
    conn_id: str | None = None
    batch: bool | Literal["auto"] = "auto"
    concurrency: int = 1

    @property
    def target(self) -> str:
        """Where it is, without credentials."""
        if self.kind == "http":
            url = urlsplit(str(self.config.get("url", "")))
            host = url.netloc.rpartition("@")[2]
            path = "/".join(filter(None, (url.path.strip("/"), self.endpoint)))
            return f"{url.scheme}://{host}/{path}" if host else ""
        return str(self.config.get("log_file_path") or self.config.get("topic") or "")

    @property
    def endpoint(self) -> str:
        """The path of a HTTP backend."""
        return str(self.config.get("endpoint") or "api/v1/lineage").strip("/")


class LineageBackend(Protocol):
    """Something that takes lineage events."""

    spec: BackendSpec

    def send(self, payload: Mapping[str, Any], *, lane: int = 0) -> Outcome:
        """Send one event; lanes are used side by side, each by one thread."""
        ...

    def send_all(self, payloads: Sequence[Mapping[str, Any]]) -> list[Outcome] | None:
        """Send events in one request; ``None`` when they have to go one by one."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


class DeliveryQueue(Protocol):
    """Which backend lacks which event."""

    def register(self, specs: Sequence[BackendSpec]) -> None:
        """Make the backends known; one that is no longer configured is set aside."""
        ...

    def fan_out(self, *, limit: int = 1000) -> int:
        """Give every backend its row of events that are new, and return of how many."""
        ...

    def deliver(
        self, backend: str, send: Callable[[Sequence[Due]], Sequence[Outcome]], *, limit: int = 100
    ) -> Tally:
        """Send what is due at a backend and keep what became of it."""
        ...


def pause_s(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row.

    >>> [pause_s(n) for n in (1, 2, 3, 50)]
    [2.0, 4.0, 8.0, 300.0]
    """
    return float(min(2.0 ** min(failures, 16), MAX_PAUSE_S))


def why_unreachable(outcomes: Sequence[Outcome]) -> str:
    """Return why a backend takes nothing: it did not answer, or it answers everything with a fault; empty while it takes some."""
    for outcome in outcomes:
        if outcome.verdict == "unreachable":
            return outcome.reason
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    took = any(outcome.verdict in ("delivered", "refused") for outcome in outcomes)
    return failed[0].reason if len(failed) >= FAULTS_IN_A_ROW and not took else ""


def parse_backends(text: str) -> tuple[BackendSpec, ...]:
    """Read ``[dataml] lineage_backends``: a JSON object of names and transports.

    >>> parse_backends('{"marquez": {"type": "http", "url": "http://marquez:5000"}}')[0].target
    'http://marquez:5000/api/v1/lineage'

    :raises SpecError: it is no such object; its text, which may hold secrets, is not repeated.
    """
    if not text.strip():
        return ()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = (
            "[dataml] lineage_backends is not a JSON object of names and transports; its text is not shown, for "
            'it may hold a secret. Write {"marquez": {"type": "http", "url": "http://marquez:5000"}}.'
        )
        raise SpecError(msg)
    return tuple(backend_spec(name, config) for name, config in found.items())


def backend_spec(name: str, config: Any) -> BackendSpec:
    """Read the configuration of one backend.

    :raises SpecError: an option of ours is out of bounds, or there is no type.
    """
    if not isinstance(config, dict) or not (config.get("type") or config.get("conn_id")):
        msg = f"lineage backend {name!r} names no 'type': write http, file, kafka, console or the path of a transport."
        raise SpecError(msg)
    kind = str(config.get("type") or "http")
    batch = config.get("batch", "auto")
    concurrency = config.get("concurrency", 4 if kind == "http" else 1)
    if batch not in (True, False, "auto"):
        msg = f'lineage backend {name!r} has batch={batch!r}: write true, false or "auto".'
        raise SpecError(msg)
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or not 1 <= concurrency <= 32:
        msg = f"lineage backend {name!r} has concurrency={concurrency!r}: write a number from 1 to 32."
        raise SpecError(msg)
    if kind in ("noop", "composite", "async_http"):
        msg = (
            f"lineage backend {name!r} is of type {kind!r}, which does not say whether an event arrived: name each "
            "backend by itself, HTTP ones as 'http'."
        )
        raise SpecError(msg)
    rest = {key: value for key, value in config.items() if key not in OUR_OPTIONS}
    return BackendSpec(name, kind, rest | {"type": kind}, config.get("conn_id"), batch, concurrency)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Airflow connection says of a backend; the secret parts are left out of its ``repr``."""

    host: str | None = None
    port: int | None = None
    scheme: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


# What a connection's extra may add, by type of transport; anything else is ignored.
_EXTRA = {
    "http": ("endpoint", "timeout", "verify", "compression", "custom_headers", "auth", "sslContext"),
    "kafka": ("topic", "messageKey"),
}


def with_credentials(spec: BackendSpec, found: Credentials) -> BackendSpec:
    """Return a backend with what its connection says; what the configuration says itself comes first."""
    extra = {key: found.extra[key] for key in _EXTRA.get(spec.kind, ()) if key in found.extra}
    config = extra | dict(spec.config)
    if spec.kind == "http":
        if "url" not in config and found.host:
            config["url"] = _url(found)
        if "auth" not in config and found.password:
            config["auth"] = {"type": "api_key", "apiKey": found.password}
    elif spec.kind == "kafka":
        inner = dict(config.get("config") or {})
        if found.host:
            inner.setdefault("bootstrap.servers", f"{found.host}:{found.port or 9092}")
        if found.password:
            inner.setdefault("sasl.username", found.login or "")
            inner.setdefault("sasl.password", found.password)
        config["config"] = inner
    return replace(spec, config=config)


def _url(found: Credentials) -> str:
    host = str(found.host)
    base = host if "://" in host else f"{found.scheme or 'http'}://{host}"
    return f"{base.rstrip('/')}:{found.port}" if found.port and not urlsplit(base).port else base

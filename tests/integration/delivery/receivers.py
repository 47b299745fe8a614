"""OpenLineage backends on the loopback that behave, or do not; and events to send them."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIME = "2026-11-23T10:{minute:02d}:{second:02d}.{micro:06d}+00:00"


@dataclass
class Receiver:
    """What a backend was sent, and how it answers.

    :param answer: status; ``0`` never answers.
    :param batch_hangs: whether a batch is never answered, and single events are.
    :param batch_says: what a batch is answered with, whatever became of it.
    :param poison: job names that are answered with ``poison_status`` whatever the answer is; ``0`` never answers.
    """

    port: int
    answer: int = 200
    slow_s: float = 0.0
    batch: bool = False
    batch_hangs: bool = False
    batch_says: dict[str, Any] | None = None
    poison: frozenset[str] = frozenset()
    poison_status: int = 400
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ids(self) -> list[str]:
        return [identity(event) for event in self.events]

    def counts(self) -> Counter[str]:
        return Counter(self.ids())

    def handle(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        self.requests += 1
        self.headers.append(headers)
        if self.answer == 0:
            self.free.wait(30)
            return 503, {}
        if self.slow_s:
            self.free.wait(self.slow_s)
        if path.endswith("/batch"):
            if self.batch_hangs:
                self.free.wait(30)
            if not self.batch:
                return 404, {}
            return (200, self.batch_says) if self.batch_says else self._batch(body)
        if self.answer == 200 and body["job"]["name"] in self.poison:
            if self.poison_status == 0:
                self.free.wait(30)
            return self.poison_status, {"error": "poison"}
        if self.answer == 200:
            self.events.append(body)
        return self.answer, {"error": "as told"} if self.answer != 200 else {}

    def _batch(self, body: list[dict[str, Any]]) -> tuple[int, Any]:
        failed = []
        for index, event in enumerate(body):
            if event["job"]["name"] in self.poison:
                failed.append({"index": index, "reason": "poison", "retriable": False})
            else:
                self.events.append(event)
        state = "partial_success" if failed else "success"
        summary = {"received": len(body), "successful": len(body) - len(failed), "failed": len(failed)}
        return 200, {"status": state, "summary": summary, "failed_events": failed}


@contextmanager
def receiver(**how: Any) -> Iterator[Receiver]:
    """Run a backend for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = state.handle(self.path, body, dict(self.headers))
            text = json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            except OSError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A drainer that was killed is no fault of this server's."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state = Receiver(server.server_address[1], **how)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.free.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def refused_port() -> Iterator[int]:
    """A port nobody listens on, kept from others."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def run_event(number: int, state: str, *, job: str | None = None) -> dict[str, Any]:
    """One event of a run."""
    at = TIME.format(minute=number // 60 % 60, second=number % 60, micro=0 if state == "START" else 500_000)
    return {
        "eventType": state,
        "eventTime": at,
        "run": {"runId": str(uuid.UUID(int=number + 1)), "facets": {}},
        "job": {"namespace": "test", "name": job or f"job{number}", "facets": {}},
        "inputs": [],
        "outputs": [{"namespace": "file", "name": f"/data/{number}", "facets": {}}],
        "producer": "https://example.com/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def runs(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """START and COMPLETE of so many runs."""
    return [run_event(n, state) for n in range(first, first + count) for state in ("START", "COMPLETE")]


def identity(event: dict[str, Any]) -> str:
    return f"{event['run']['runId']}:{event['eventType']}"


def in_order(ids: Sequence[str]) -> bool:
    """Whether every run's first end comes after its first start."""
    first = {one: place for place, one in reversed(list(enumerate(ids)))}
    return all(
        first[f"{one.partition(':')[0]}:START"] < place
        for one, place in first.items()
        if one.endswith("COMPLETE")
    )

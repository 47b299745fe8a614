"""Servers of other catalogs on the loopback: what they are told they have, once, and they may fail."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNITY = "/api/2.1/unity-catalog/"


@dataclass
class Catalog:
    """What a server holds and was asked.

    :param fails: answers a request with a status of its own, by its number and path; ``None`` as it should.
    """

    port: int
    fails: Callable[[int, str, Any], int | None] = lambda number, path, body: None
    token: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def writes(self) -> list[dict[str, Any]]:
        return [one for one in self.requests if one["method"] != "GET"]

    def answer(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        self.asked += 1
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"message": "who are you?"}
        if status := self.fails(self.asked, path, body):
            return status, {"message": "as told"}
        self.requests.append({"method": method, "path": path, "body": body, "item": f"{method} {path}"})
        if path.startswith(UNITY):
            return self._unity(method, unquote(path.removeprefix(UNITY)), body)
        if path.startswith("/api/v1/"):
            return self._openmetadata(path, body)
        proposal = body["proposal"]
        return self._keep(f"{proposal['entityUrn']} {proposal['aspectName']}", proposal, 200)

    def _keep(self, key: str, body: Any, status: int) -> tuple[int, Any]:
        self.held[key] = {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, key))} | body
        return status, self.held[key]

    def _openmetadata(self, path: str, body: Any) -> tuple[int, Any]:
        if path.endswith("/lineage"):
            ends = [body["edge"][end]["id"] for end in ("fromEntity", "toEntity")]
            if not set(ends) <= {one.get("id") for one in self.held.values()}:
                return 404, {"message": "entity not found"}
            return self._keep(f"lineage {ends}", body, 200)
        within = next(
            (
                body[k]
                for k in ("databaseSchema", "database", "service", "classification", "glossary")
                if k in body
            ),
            "",
        )
        key = f"{path} {within}.{body['name']}"
        return self._keep(key, body, 200 if key in self.held else 201)

    def _unity(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        kind, _, name = path.partition("/")
        if kind == "models" and (name.endswith("/versions") or name == "versions"):
            full = name.removesuffix("/versions") if method == "GET" else _full(body, "model_name")
            known = self.versions.setdefault(full, [])
            if method == "POST":
                known.append(body | {"version": len(known) + 1, "status": "PENDING_REGISTRATION"})
                return 200, known[-1]
            return 200, {"model_versions": known}
        if name.endswith("/finalize"):
            full, _, number, _ = name.rsplit("/", 3)
            self.versions[full][int(number) - 1]["status"] = "READY"
            return 200, self.versions[full][int(number) - 1]
        if method == "POST":
            key = f"{kind}/{_full(body, 'name')}"
            return (409, {"error_code": "ALREADY_EXISTS"}) if key in self.held else self._keep(key, body, 200)
        if path not in self.held:
            return 404, {"error_code": "NOT_FOUND"}
        return (200, self.held[path]) if method == "GET" else self._keep(path, self.held[path] | body, 200)


def _full(body: Any, name: str) -> str:
    return ".".join(body[part] for part in ("catalog_name", "schema_name", name) if part in body)


@contextmanager
def catalog(**how: Any) -> Iterator[Catalog]:
    """Run a server for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            parts = urlsplit(self.path)
            status, answer = state.answer(self.command, parts.path, body, dict(self.headers))
            if status == DROPPED:
                self.close_connection = True
                return
            text = json.dumps(answer).encode()
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", answer["message"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_PATCH = _serve

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state = Catalog(server.server_address[1], **how)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# The connection closes without an answer.
DROPPED = 1

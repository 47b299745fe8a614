"""A server with a REST interface, asked with the standard library alone."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_dataml.core.errors import BackendError, ConnectionSpecError
from airflow_dataml.core.exports_sending import Answer
from airflow_dataml.core.exports_text import plain_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT_S = 20.0
TRIES = 3
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
# The server is busy or its gateway is; the request has no part in it.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_SHOWN = 500
_READ = 8 * 1024 * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Credentials go to the server they are for and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class RestServer:
    """A server by its address.

    :param url: with scheme and host, and the path below which its interface is.
    :param token: sent as ``Authorization: Bearer``; it appears in no message.
    :param headers: what else goes with every request.
    :param pause: waits so many seconds between two tries.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"{plain_uri(url)!r} is no address of a server: write http(s)://host[:port]."
            raise ConnectionSpecError(msg)
        if parts.username or parts.password or parts.query:
            msg = f"the address {plain_uri(url)!r} carries a login or a query: put the token into the connection's password."
            raise ConnectionSpecError(msg)
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._headers |= dict(headers or {})
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s
        self._tries = tries
        self._pause = pause
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"RestServer(url={self._url!r})"

    @property
    def target(self) -> str:
        """Its address without credentials."""
        return self._url

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeat: bool = True
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        :param repeat: whether asking again is harmless when no answer came.
        :raises BackendError: it did not answer, or said that it is busy, after every try.
        """
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        last = ""
        for left in range((self._tries if repeat else 1) - 1, -1, -1):
            wait = _PAUSE_S * 2 ** (self._tries - 1 - left)
            try:
                answer, after = self._once(method, path, data)
            except (OSError, http.client.HTTPException) as err:
                last = f"{type(err).__name__}: {_reason(err)}"
            else:
                if answer.status not in _BUSY:
                    return answer
                last = f"HTTP {answer.status} {answer.text}".strip()
                wait = after or wait
            if left:
                self._pause(min(wait, _LONGEST_PAUSE_S))
        msg = f"{self._url} did not answer {method} {path.partition('?')[0]}: {last}"
        raise BackendError(msg)

    def _once(self, method: str, path: str, data: bytes | None) -> tuple[Answer, float]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url + path, data=data, headers=self._headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return _answer(response.status, response.read(_READ)), 0.0
        except urllib.error.HTTPError as err:
            with err:
                return _answer(err.code, err.read(_READ)), _seconds(err.headers.get("Retry-After"))


def _answer(status: int, raw: bytes) -> Answer:
    text = raw.decode(errors="replace")
    try:
        body = json.loads(text) if text.strip() else None
    except ValueError:
        body = None
    return Answer(status, body, " ".join(text[:_SHOWN].split()))


def _reason(err: Exception) -> str:
    return str(getattr(err, "reason", None) or err)[:_SHOWN]


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header)) if header else 0.0
    except ValueError:
        return 0.0

"""Telling another catalog's server what it shall have; telling it again changes nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import BackendError, ConnectionSpecError, SpecError
from airflow_dataml.core.exports import ID_OF, ApiRequest
from airflow_dataml.core.exports_sending import Sent

if TYPE_CHECKING:
    from airflow_dataml.core.exports_sending import Answer, Done, OnProgress, Server

log = logging.getLogger(__name__)

_FORBIDDEN = (401, 403)
_CREATED, _GONE, _THERE = 201, 404, 409
_LINE_EVERY_S = 2.0
_REFUSALS = 20
_SHOWN = 5


def send(requests: Sequence[ApiRequest], server: Server, *, on_progress: OnProgress = log.info) -> Sent:
    """Tell a server of everything, one request after the other; what it refuses holds up nothing else.

    :raises SpecError: it refused some of it, named in the message.
    :raises ConnectionSpecError: it lets nobody in with these credentials.
    :raises BackendError: it did not answer; how far it came is in the message.
    """
    sent, courier, spoke = Sent(), _Courier(server), time.monotonic()
    for request in requests:
        try:
            outcome = courier.deliver(request)
        except BackendError as err:
            msg = f"{err}; {sent.total} of {len(requests)} were told before {request.item}, and telling them again is harmless."
            raise BackendError(msg) from err
        if isinstance(outcome, str):
            sent.refused[request.item] = outcome
            if len(sent.refused) >= _REFUSALS:
                break
        else:
            sent.note(request.item, outcome[0])
        if time.monotonic() - spoke > _LINE_EVERY_S:
            spoke = time.monotonic()
            on_progress(f"{server.target}: {sent.total} of {len(requests)} told")
    on_progress(f"{server.target}: {sent.total} of {len(requests)} told")
    if sent.refused:
        worst = "; ".join(f"{item}: {why}" for item, why in list(sent.refused.items())[:_SHOWN])
        more = f" and {len(sent.refused) - _SHOWN} more" if len(sent.refused) > _SHOWN else ""
        msg = f"{server.target} refused {len(sent.refused)} of {len(requests)}: {worst}{more}."
        raise SpecError(msg)
    return sent


class _Courier:
    """Delivers requests, and remembers what the server calls the things it was told of."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ids: dict[str, str] = {}

    def deliver(self, request: ApiRequest) -> tuple[Done] | str:
        """Return what came of a request, or why it was refused."""
        body, unknown = self._filled(request.body)
        if unknown:
            return f"the server gave no id of {unknown}"
        if request.within:
            return self._numbered(request)
        if request.find:
            there = self._ask("GET", request.find)
            if there.status != _GONE:
                return self._change(request, there) if there.ok else _why(there)
        return self._made(request, self._ask(request.method, request.path, body))

    def _made(self, request: ApiRequest, answer: Answer) -> tuple[Done] | str:
        if request.find and answer.status == _THERE:
            # Somebody made it between looking and making.
            return ("unchanged",)
        if not answer.ok:
            return _why(answer)
        if request.entity and isinstance(answer.body, Mapping) and answer.body.get("id"):
            self._ids[request.entity] = str(answer.body["id"])
        return ("created" if answer.status == _CREATED or request.find else "updated",)

    def _change(self, request: ApiRequest, there: Answer) -> tuple[Done] | str:
        if request.update is None:
            return ("unchanged" if _same(request.body, there.body) else "differs",)
        method, path, body = request.update
        if isinstance(there.body, Mapping) and all(
            there.body.get(key) == value for key, value in body.items()
        ):
            return ("unchanged",)
        answer = self._ask(method, path, body)
        return ("updated",) if answer.ok else _why(answer)

    def _numbered(self, request: ApiRequest) -> tuple[Done] | str:
        """Make what the server numbers by itself, unless a try before this one did; and make it final."""
        listed, known_by = request.within or ("", "")
        answer, token = None, ""
        found: Mapping[str, Any] | None = None
        while found is None:
            page = self._ask("GET", f"{request.find}{f'?page_token={token}' if token else ''}")
            if not page.ok:
                return _why(page)
            said = page.body if isinstance(page.body, Mapping) else {}
            found = next(
                (one for one in said.get(listed) or () if one.get(known_by) == request.body[known_by]), None
            )
            token = str(said.get("next_page_token") or "")
            if not token:
                break
        if found is None:
            # Asked twice it would make two.
            answer = self._ask(request.method, request.path, request.body, repeat=False)
            if not answer.ok:
                return _why(answer)
            found = answer.body if isinstance(answer.body, Mapping) else {}
        if request.then and found.get("status") != "READY":
            method, path, body = request.then
            version = found.get("version")
            final = self._ask(
                method,
                path.format(version=version),
                {key: version if value == "{version}" else value for key, value in body.items()},
            )
            if not final.ok:
                return _why(final)
        return ("created" if answer else "unchanged",)

    def _filled(self, value: Any) -> tuple[Any, str | None]:
        """Put the server's ids where a body names what they are of."""
        if isinstance(value, Mapping):
            if set(value) == {ID_OF}:
                known = self._ids.get(str(value[ID_OF]))
                return known, None if known else str(value[ID_OF])
            filled = {key: self._filled(inner) for key, inner in value.items()}
            unknown = next((why for _, why in filled.values() if why), None)
            return {key: inner for key, (inner, _) in filled.items()}, unknown
        return value, None

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeat: bool = True
    ) -> Answer:
        answer = self._server.ask(method, path, body, repeat=repeat)
        if answer.status in _FORBIDDEN:
            msg = f"{self._server.target} lets nobody in with these credentials (HTTP {answer.status}): check the connection."
            raise ConnectionSpecError(msg)
        return answer


def _same(ours: Mapping[str, Any], theirs: Any) -> bool:
    """Whether what is there has the columns it should have."""
    if not isinstance(theirs, Mapping) or "columns" not in ours:
        return True
    shapes = [
        [(one.get("name"), one.get("type_name")) for one in columns or ()]
        for columns in (ours["columns"], theirs.get("columns"))
    ]
    return shapes[0] == shapes[1]


def _why(answer: Answer) -> str:
    return f"HTTP {answer.status} {answer.text}".strip()

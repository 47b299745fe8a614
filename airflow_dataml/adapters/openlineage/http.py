"""Backends over HTTP: what a status means, and many events in one request where that is offered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from airflow_dataml.adapters.openlineage.backends import TransportBackend
from airflow_dataml.core.delivery import DELIVERED, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.delivery import Verdict

# The backend is busy or its gateway is; the event has no part in it.
_BUSY = (408, 425, 429, 502, 503, 504)
# So does a backend answer that nobody may use, or that is not there: about every event, whatever is in it.
_CLOSED = (401, 403, 404, 405, 407)
_NO_BATCH = (404, 405, 501)
_BODY = 500


class HttpBackend(TransportBackend):
    """An OpenLineage endpoint over HTTP.

    The client's own retries are off: the drainer's are longer, and hold up nobody. What a server refuses with
    400, 409, 413, 422 and their like is refused for good.
    """

    _batch_offered: bool | None = None

    def config(self) -> dict[str, Any]:
        """Return what the transport is made with."""
        return (
            {"endpoint": self.spec.endpoint, "timeout": 5.0} | dict(self.spec.config) | {"retry": _NO_RETRY}
        )

    def send_all(self, payloads: Sequence[Mapping[str, Any]]) -> list[Outcome] | None:
        """Send events in one request, where the backend offers ``.../batch``; ``None`` where it does not."""
        if self._batch_offered is False:
            return None
        try:
            response = self._post(f"{self.spec.endpoint}/batch", [dict(payload) for payload in payloads])
        except Exception as err:  # noqa: BLE001 - as in ``send``
            # What took batches may have been given too much at once: one by one tells.
            return None if self._batch_offered else [self._outcome(err)] * len(payloads)
        if response.status_code in _NO_BATCH:
            self._batch_offered = False
            return None
        found = _summary(response)
        if found is None:
            # Refused as a whole, or answered by something that takes anything: one by one tells more.
            self._batch_offered = False if response.ok else self._batch_offered
            return None
        outcomes = _item_by_item(found, len(payloads))
        self._batch_offered = outcomes is not None
        return outcomes

    def _form(self, payload: Mapping[str, Any]) -> Any:
        return dict(payload)

    def _post(self, endpoint: str, body: Any) -> Any:
        transport = self._transports[0]
        bearer = transport.config.auth.get_bearer()
        return transport.session.post(
            urljoin(transport.url, endpoint),
            data=json.dumps(body, separators=(",", ":")).encode(),
            headers={
                "Content-Type": "application/json",
                **({"Authorization": bearer} if bearer else {}),
                **transport.config.custom_headers,
            },
            timeout=transport.timeout,
            verify=transport.verify,
            cert=transport.cert,
            allow_redirects=transport.cert is None,
        )

    def _outcome(self, err: Exception) -> Outcome:
        response = getattr(err, "response", None)
        if response is None:
            return Outcome("unreachable", f"{type(err).__name__}: {_plain(err)}")
        status = response.status_code
        reason = f"HTTP {status}: {' '.join(response.text[:_BODY].split())}"
        if status in _BUSY or status in _CLOSED:
            return Outcome("unreachable", reason)
        return Outcome("refused" if 400 <= status < 500 else "failed", reason)


_NO_RETRY = {"total": 0, "connect": 0, "read": 0, "status_forcelist": []}


def _plain(err: Exception) -> str:
    """Return an error without the query of its address, where some keep a token."""
    return str(err).split("?", 1)[0][:_BODY]


def _summary(response: Any) -> dict[str, Any] | None:
    """Return what a backend says of a batch; ``None`` when this is not what OpenLineage's says."""
    if not response.ok:
        return None
    try:
        found = response.json()
    except ValueError:
        return None
    known = isinstance(found, dict) and ("summary" in found or "failed_events" in found or "status" in found)
    return found if known else None


def _item_by_item(found: Mapping[str, Any], count: int) -> list[Outcome] | None:
    """Return what became of each event; ``None`` where the answer does not say which were not taken."""
    outcomes = [DELIVERED] * count
    listed = found.get("failed_events") or []
    for failed in listed if isinstance(listed, list) else ():
        index = failed.get("index") if isinstance(failed, dict) else None
        if isinstance(index, int) and 0 <= index < count:
            again = failed.get("retriable") or failed.get("retryable")
            verdict: Verdict = "failed" if again else "refused"
            outcomes[index] = Outcome(verdict, str(failed.get("reason", "refused in a batch"))[:_BODY])
    return outcomes if _failed(found, listed) == sum(one != DELIVERED for one in outcomes) else None


def _failed(found: Mapping[str, Any], listed: Any) -> Any:
    """Return how many events a backend says it did not take; where it says no number, those it lists."""
    summary = found.get("summary")
    said = summary.get("failed") if isinstance(summary, dict) else None
    return said if said is not None else len(listed) if isinstance(listed, list) else None

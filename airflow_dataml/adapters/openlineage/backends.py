"""Backends on any transport of the OpenLineage client."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.delivery import DELIVERED, Outcome
from airflow_dataml.core.errors import DataMLError, MissingExtraError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.delivery import BackendSpec, LineageBackend

# These take an event as the JSON it is; others, whose code we do not know, get the client's own objects.
_TAKE_JSON = ("file", "console")
_EXTRA = "openlineage"


def open_backends(specs: Sequence[BackendSpec]) -> tuple[LineageBackend, ...]:
    """Return backends as configured; nothing is contacted yet.

    :raises SpecError: a transport does not understand its configuration.
    :raises MissingExtraError: the OpenLineage client, or what a transport needs, is not installed.
    """
    return tuple(open_backend(spec) for spec in specs)


def open_backend(spec: BackendSpec) -> LineageBackend:
    """Return one backend as configured."""
    from airflow_dataml.adapters.openlineage.http import HttpBackend
    from airflow_dataml.adapters.openlineage.kafka import KafkaBackend

    kinds: dict[str, type[TransportBackend]] = {"http": HttpBackend, "kafka": KafkaBackend}
    return kinds.get(spec.kind, TransportBackend)(spec)


class TransportBackend:
    """A backend on a transport that raises when it could not hand an event over.

    What it raises is taken for a fault that may pass, for only HTTP says what is refused for good.
    """

    def __init__(self, spec: BackendSpec) -> None:
        self.spec = spec
        self._lock = threading.Lock()
        self._transports = [self._open() for _ in range(spec.concurrency)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"

    def config(self) -> dict[str, Any]:
        """Return what the transport is made with."""
        return dict(self.spec.config)

    def send(self, payload: Mapping[str, Any], *, lane: int = 0) -> Outcome:
        """Send one event."""
        try:
            event = self._form(payload)
        except (KeyError, TypeError, ValueError) as err:
            # It is about this event alone: it may not be taken for a backend that is gone.
            return Outcome("refused", f"the OpenLineage client cannot hold it: {type(err).__name__}: {err}")
        try:
            self._emit(self._transports[lane], event)
        except Exception as err:  # noqa: BLE001 - a transport may raise anything, and none of it may end the drainer
            return self._outcome(err)
        return DELIVERED

    def send_all(self, payloads: Sequence[Mapping[str, Any]]) -> list[Outcome] | None:
        """Return ``None``: events go one by one."""
        del payloads
        return None

    def close(self) -> None:
        """Close the transports; none is given more than a second."""
        for transport in self._transports:
            transport.close(timeout=1)

    def _form(self, payload: Mapping[str, Any]) -> Any:
        return dict(payload) if self.spec.kind in _TAKE_JSON else event_object(payload)

    def _emit(self, transport: Any, event: Any) -> None:
        transport.emit(event)

    def _outcome(self, err: Exception) -> Outcome:
        return Outcome("failed", f"{type(err).__name__}: {err}")

    def _open(self) -> Any:
        try:
            from openlineage.client.transport import get_default_factory
        except ImportError as err:
            raise MissingExtraError(_EXTRA, _EXTRA) from err
        if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
            msg = (
                f"lineage backend {self.spec.name!r} cannot be used: OPENLINEAGE_DISABLED makes the OpenLineage client "
                "drop every event. Unset it for the drainer."
            )
            raise SpecError(msg)
        try:
            return get_default_factory().create(self.config())
        except DataMLError:
            raise
        except ImportError as err:
            raise MissingExtraError(_EXTRA, str(err.name or self.spec.kind)) from err
        except Exception as err:  # noqa: BLE001 - a transport may raise anything about its configuration
            # The message of the client may repeat a configuration that holds a secret.
            msg = f"lineage backend {self.spec.name!r} of type {self.spec.kind!r} does not understand its configuration ({type(err).__name__})."
            raise SpecError(msg) from None


def event_object(payload: Mapping[str, Any]) -> Any:
    """Return an event as the client's own object; facets stay the plain objects they are."""
    from openlineage.client import event_v2 as ol

    common = {"eventTime": payload["eventTime"], "producer": payload.get("producer", "")}
    ins = [_dataset(ol.InputDataset, one) for one in payload.get("inputs") or ()]
    outs = [_dataset(ol.OutputDataset, one) for one in payload.get("outputs") or ()]
    if run := payload.get("run"):
        state = payload.get("eventType")
        event: Any = ol.RunEvent(
            **common,
            eventType=ol.RunState(state) if state else None,
            run=ol.Run(runId=run["runId"], facets=run.get("facets") or {}),
            job=_job(payload["job"]),
            inputs=ins,
            outputs=outs,
        )
    elif job := payload.get("job"):
        event = ol.JobEvent(**common, job=_job(job), inputs=ins, outputs=outs)
    else:
        event = ol.DatasetEvent(**common, dataset=_dataset(ol.StaticDataset, payload["dataset"]))
    if schema := payload.get("schemaURL"):
        event.schemaURL = schema
    return event


def _job(value: Mapping[str, Any]) -> Any:
    from openlineage.client import event_v2 as ol

    return ol.Job(namespace=value["namespace"], name=value["name"], facets=value.get("facets") or {})


def _dataset(kind: Any, value: Mapping[str, Any]) -> Any:
    own = {name: value[name] for name in ("inputFacets", "outputFacets") if value.get(name)}
    return kind(namespace=value["namespace"], name=value["name"], facets=value.get("facets") or {}, **own)

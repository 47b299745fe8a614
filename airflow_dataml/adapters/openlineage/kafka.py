"""Backends on Kafka: an event is delivered when the broker says so."""

from __future__ import annotations

from typing import Any

from airflow_dataml.adapters.openlineage.backends import TransportBackend
from airflow_dataml.core.delivery import Outcome

FLUSH_S = 10.0
# Kafka's own codes for what is about one message and not about the broker: invalid, too large, in too large a
# batch, refused by the topic's rules.
_ABOUT_THE_MESSAGE = (2, 10, 18, 87)


class KafkaBackend(TransportBackend):
    """A topic; the client's transport alone would only log what the broker did not take."""

    def config(self) -> dict[str, Any]:
        """Return what the transport is made with."""
        return dict(self.spec.config) | {"flush": False}

    def _emit(self, transport: Any, event: Any) -> None:
        if transport.producer is None:
            transport._setup_producer(
                transport.kafka_config.config
            )  # the client gives no other way to reopen
        watched = _Watched(transport.producer)
        transport.producer = watched
        try:
            transport.emit(event)
            left = watched.flush(timeout=FLUSH_S)
        finally:
            transport.producer = watched.producer
        if left:
            # What the producer still holds is not sent behind the drainer's back: the event comes again.
            transport.producer = None
            msg = f"the broker did not confirm within {FLUSH_S:.0f} s"
            raise ConnectionError(msg)
        if watched.error:
            raise ConnectionError(watched.error)

    def _outcome(self, err: Exception) -> Outcome:
        said: Any = err.args[0] if err.args else None
        refused = hasattr(said, "code") and said.code() in _ABOUT_THE_MESSAGE
        return Outcome("refused" if refused else "unreachable", f"{type(err).__name__}: {err}")


class _Watched:
    """A producer that keeps what the broker said of a message."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer
        self.error: Any = None

    def produce(self, **message: Any) -> None:
        self.producer.produce(**message | {"on_delivery": self._told})

    def flush(self, **options: Any) -> int:
        return int(self.producer.flush(**options))

    def _told(self, error: Any, _: Any) -> None:
        if error is not None:
            self.error = error

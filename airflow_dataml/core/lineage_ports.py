"""Ports of lineage: what the steps ask of whoever keeps events and the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.openlineage import ObservedEvent
    from airflow_dataml.core.recorded import Recorded


class Outcome(Protocol):
    """What one batch came to."""

    @property
    def stored(self) -> int:
        """How many events are in the graph now."""

    @property
    def refused(self) -> Mapping[int, str]:
        """Why, by event id."""

    @property
    def problems(self) -> Mapping[int, tuple[str, ...]]:
        """What of stored events could not be used, by event id."""


class EventStore(Protocol):
    """Keeps events as they came."""

    def keep(
        self, events: Sequence[Recorded], *, seen: Mapping[str, ObservedEvent] | None = None
    ) -> list[str]:
        """Keep events durably, each once, and return their keys.

        :param seen: what they say, by their keys, for whoever projects them next.
        """

    def forget(self) -> None:
        """Let go of what events say."""

    def find(self, keys: Sequence[str]) -> Mapping[str, tuple[int, str, str | None]]:
        """Return id, state and error of events by their keys."""

    def assets(self, event_ids: Sequence[int]) -> Mapping[int, tuple[str, ...]]:
        """Return the assets of events' runs, by event id."""


class Projector(Protocol):
    """Turns events into the graph."""

    def project(self, *, limit: int = 500, only: Sequence[int] | None = None) -> Outcome:
        """Store one batch of events that wait, or of those given."""

"""Lineage events into the graph: what arrived is kept first, and understood after."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import LedgerError, SpecError
from airflow_dataml.core.openlineage import read_event
from airflow_dataml.core.recorded import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.lineage_ports import EventStore, Projector
    from airflow_dataml.core.openlineage import ObservedEvent
    from airflow_dataml.core.recorded import Recorded, Source

log = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one event that was handed in.

    :param status: ``stored``; ``known``, the same event was there; or ``refused``, and why.
    :param detail: what of it could not be used, or why nothing could.
    :param assets: what it is about, by their names in the catalog.
    :param pending: it is kept, and will be in the graph once the ledger is less busy.
    """

    index: int
    status: Literal["stored", "known", "refused"]
    event_key: str | None = None
    detail: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    pending: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PendingOutcome:
    """What projecting the events that waited came to."""

    stored: int = 0
    refused: dict[int, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"stored": self.stored, "refused": {str(key): why for key, why in self.refused.items()}}


def store_events(
    *, events: Sequence[Any], store: EventStore, projector: Projector, source: Source = "receiver"
) -> tuple[ItemOutcome, ...]:
    """Keep events and put them into the graph; say of each what became of it.

    What can be read at all is written down before anything else, so nothing that was answered ``stored`` is
    lost. A broken event costs no other. Where the graph cannot be written now, events wait (``pending``)
    and ``project_pending`` takes them up.

    :param events: OpenLineage events as they came; anything else is refused in words.
    """
    kept, seen, refused = _readable(events, source)
    read = {index: one.event_key for index, one in kept.items()}
    keys = list(dict.fromkeys(read.values()))
    before = store.find(keys)
    store.keep(list(kept.values()), seen=seen)
    found = store.find(keys)
    waiting = sorted({one[0] for one in found.values() if one[1] == "new"})
    problems: dict[int, tuple[str, ...]] = {}
    for at in range(0, len(waiting), BATCH):
        problems |= _project(projector, waiting[at : at + BATCH])
    store.forget()
    found = store.find(keys)
    named = store.assets([one[0] for one in found.values()])
    outcomes = [ItemOutcome(i, "refused", detail=(why,)) for i, why in refused.items()]
    told: set[str] = set()
    for index, key in read.items():
        event_id, state, error = found[key]
        known = key in before or key in told
        told.add(key)
        if state == "refused":
            outcomes.append(ItemOutcome(index, "refused", key, (error or "it was refused before",)))
            continue
        outcomes.append(
            ItemOutcome(
                index, "known" if known else "stored", key, problems.get(event_id, ()),
                named.get(event_id, ()), state == "new",
            )
        )  # fmt: skip
    return tuple(sorted(outcomes, key=lambda o: o.index))


def _readable(
    events: Sequence[Any], source: Source
) -> tuple[dict[int, Recorded], dict[str, ObservedEvent], dict[int, str]]:
    """Return by their places the events as they are kept, what they say by their keys, and why others are refused."""
    kept: dict[int, Recorded] = {}
    seen: dict[str, ObservedEvent] = {}
    refused: dict[int, str] = {}
    for index, event in enumerate(events):
        try:
            one = record(event, source=source) if isinstance(event, dict) else None
            says = read_event(event, key=one.event_key if one else None)
        except SpecError as err:
            refused[index] = str(err)
            continue
        if one:
            kept[index] = one
            # What had to be mended to be kept may say something else than what came.
            if one.payload == event:
                seen[one.event_key] = says
    return kept, seen, refused


def _project(projector: Projector, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    try:
        return dict(projector.project(only=ids).problems)
    except LedgerError as err:
        log.warning("%d lineage events are kept and wait: %s", len(ids), err)
        return {}


def project_pending(*, projector: Projector, limit: int = 10_000, batch: int = BATCH) -> PendingOutcome:
    """Put events that wait into the graph, oldest first.

    :param limit: events at most; one transaction per ``batch`` of them.
    """
    stored = 0
    refused: dict[int, str] = {}
    while stored + len(refused) < limit:
        done = projector.project(limit=min(batch, limit - stored - len(refused)))
        if not done.stored and not done.refused:
            break
        stored += done.stored
        refused |= dict(done.refused)
    return PendingOutcome(stored, refused)

"""What the events of one try of a run come to: what it read, what it wrote, and what went into what.

A pure function of the set of events, so order, batches and repetitions change nothing.

- *State.* COMPLETE wins over FAIL and ABORT, those over RUNNING, START and OTHER.
- *Inputs* count as read whatever became of the run.
- *Outputs* of a COMPLETE run count. Those of a run that failed, was aborted or is still running count only
  where an event other than START says that rows, bytes or files were written (``outputStatistics``): engines
  put what the plan wanted to do (``lifecycleStateChange``) into the events of runs that never did it. A
  streaming job never completes, so its outputs count from the start.
- *Flows* per output: the explicit lineage facet alone; else what column lineage names, and every input that
  no column lineage of the run names; else every input. Inputs meet outputs within an event that has both;
  an input or output that only stands in events without the other side meets all of the run.
- A dataset that was dropped or renamed was not written; nor one that an operator of ours was about to write
  when it started and did not name when it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.column_lineage import ColumnMap
from airflow_dataml.core.lineage_identity import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.openlineage import DatasetName, ObservedDataset, ObservedEvent

_WEIGHT = {"COMPLETE": 5, "FAIL": 4, "ABORT": 4, "RUNNING": 3, "START": 2, "OTHER": 1}
_GONE = ("DROP", "RENAME")
_ENDS = ("COMPLETE", "FAIL", "ABORT")


@dataclass(slots=True)
class Use:
    """One asset a run read or wrote.

    :param version: the version the events name.
    """

    version: str | None = None
    columns: tuple[Column, ...] | None = None
    stats: dict[str, int] = field(default_factory=dict)
    lifecycle: str | None = None
    facets: dict[str, Any] = field(default_factory=dict)

    def add(self, seen: ObservedDataset) -> None:
        """Take in what one more event says; what is said is not unsaid."""
        self.version = seen.version or self.version
        self.columns = seen.columns or self.columns
        self.lifecycle = seen.lifecycle or self.lifecycle
        for name, count in seen.stats.items():
            self.stats[name] = max(count, self.stats.get(name, 0))
        self.facets |= seen.facets


@dataclass(frozen=True, slots=True)
class Flow:
    """One asset that went into another.

    :param src, dst: ids of assets; equal for a change in place.
    """

    src: int
    dst: int
    columns: ColumnMap | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What one try of a run did, as far as its events say."""

    state: str
    started: datetime | None
    ended: datetime | None
    first: datetime
    last: datetime
    reads: dict[int, Use]
    writes: dict[int, Use]
    flows: tuple[Flow, ...]

    @property
    def read_at(self) -> datetime:
        """When it looked at its inputs."""
        return self.started or self.first

    @property
    def written_at(self) -> datetime:
        """When what it wrote was there."""
        return self.ended or self.last


def in_order(events: Sequence[ObservedEvent]) -> Sequence[ObservedEvent]:
    """Return events by time, whatever order they came in."""
    return sorted(events, key=lambda e: (e.at, e.key)) if len(events) > 1 else events


def state_of(events: Sequence[ObservedEvent]) -> tuple[str, datetime | None, datetime | None]:
    """Return what became of one try of a run, when it started and when it ended.

    :param events: at least one, in any order.
    """
    state = max((e.type or "OTHER" for e in events), key=lambda s: _WEIGHT[s])
    starts = min((e.at for e in events if e.type == "START"), default=None)
    return state, starts, min((e.at for e in events if e.type in _ENDS), default=None)


def settle(events: Sequence[ObservedEvent], *, asset_of: Callable[[DatasetName], int]) -> RunFacts:
    """Return what the events of one try say together.

    :param events: at least one, in any order.
    :param asset_of: the asset that a dataset's name stands for.
    """
    ordered = in_order(events)
    state, started, ended = state_of(ordered)
    settling = _Settling(ordered, asset_of)
    writes = settling.writes(state, streaming=any(e.streaming for e in ordered))
    flows = settling.flows(writes)
    for flow in flows:
        settling.reads.setdefault(flow.src, Use())
    return RunFacts(
        state=state,
        started=started,
        ended=ended,
        first=ordered[0].at,
        last=ordered[-1].at,
        reads=settling.reads,
        writes=writes,
        flows=flows,
    )


class _Settling:
    def __init__(self, events: Sequence[ObservedEvent], asset_of: Callable[[DatasetName], int]) -> None:
        self._events = events
        self.reads: dict[int, Use] = {}
        self._written: dict[int, Use] = {}
        self._evidence: set[int] = set()
        # Outputs that an operator of ours announced, and those that were named by more than an announcement.
        self._announced: set[int] = set()
        self._confirmed: set[int] = set()
        # Of every event its inputs and outputs.
        self._sides: list[tuple[list[int], list[int]]] = []
        self._explicit: dict[int, dict[int, list[ColumnMap]]] = {}
        self._claimed: dict[int, dict[int, list[ColumnMap]]] = {}
        for event in events:
            self._take(event, asset_of)

    def _take(self, event: ObservedEvent, asset_of: Callable[[DatasetName], int]) -> None:
        inputs, outputs = [], []
        for seen in event.inputs:
            asset = asset_of(seen.name)
            inputs.append(asset)
            self.reads.setdefault(asset, Use()).add(seen)
        for seen in event.outputs:
            asset = asset_of(seen.name)
            outputs.append(asset)
            self._written.setdefault(asset, Use()).add(seen)
            (self._announced if event.type == "START" and is_ours(seen) else self._confirmed).add(asset)
            if event.type != "START" and any(seen.stats.values()):
                self._evidence.add(asset)
        for claim in event.claims:
            dst = asset_of(claim.dst)
            if dst not in outputs:
                outputs.append(dst)
                self._written.setdefault(dst, Use())
            into = (self._explicit if claim.complete else self._claimed).setdefault(dst, {})
            for src, columns in claim.sources:
                into.setdefault(asset_of(src), []).extend([columns] if columns else [])
        self._sides.append((inputs, outputs))

    def writes(self, state: str, *, streaming: bool) -> dict[int, Use]:
        """Return the outputs that count."""
        counts = state == "COMPLETE" or streaming
        return {
            asset: use
            for asset, use in self._written.items()
            if use.lifecycle not in _GONE
            and (counts or asset in self._evidence)
            and asset not in self._announced - self._confirmed
        }

    def flows(self, writes: Mapping[int, Use]) -> tuple[Flow, ...]:
        named = {
            src for claims in (self._explicit, self._claimed) for found in claims.values() for src in found
        }
        paired, lone_inputs, lone_outputs = self._pairs()
        made: list[Flow] = []
        for dst in writes:
            if dst in self._explicit:
                found: Mapping[int, list[ColumnMap]] = self._explicit[dst]
            else:
                claimed = self._claimed.get(dst, {})
                met = dict.fromkeys([*paired.get(dst, ()), *lone_inputs])
                if dst in lone_outputs:
                    met |= dict.fromkeys(src for side in self._sides for src in side[0])
                rest: dict[int, list[ColumnMap]] = {s: [] for s in met if not claimed or s not in named}
                found = {**rest, **claimed}
            made += [Flow(src, dst, _merged(maps)) for src, maps in found.items()]
        return tuple(made)

    def _pairs(self) -> tuple[dict[int, dict[int, None]], list[int], set[int]]:
        """Return what met what within an event, and what never met anything."""
        paired: dict[int, dict[int, None]] = {}
        inputs: dict[int, bool] = {}
        outputs: dict[int, bool] = {}
        for ins, outs in self._sides:
            for asset in ins:
                inputs[asset] = inputs.get(asset, False) or bool(outs)
            for asset in outs:
                outputs[asset] = outputs.get(asset, False) or bool(ins)
                paired.setdefault(asset, {}).update(dict.fromkeys(ins))
        return (
            paired,
            [a for a, met in inputs.items() if not met],
            {a for a, met in outputs.items() if not met},
        )


def _merged(maps: Iterable[ColumnMap]) -> ColumnMap | None:
    """Return what several events say of the same columns: the surest method, and all it names."""
    known = list(dict.fromkeys(maps))
    if len(known) < 2:
        return known[0] if known else None
    best = max(known, key=lambda m: (m.confidence, m.method))
    flows = {flow for m in known if m.method == best.method for flow in m.flows}
    return ColumnMap(tuple(sorted(flows)), best.method, best.confidence)

"""Lineage events become the graph: a batch is one transaction of a few statements over sets.

One writes at a time, under an advisory lock that nobody but this takes: two batches nearly always meet in
some asset, and which version a run read depends on every write before. Claiming skips what others have
claimed and reading events needs no lock, so drainers and receivers still work side by side. Runs are locked
before assets, as operators do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.lineage_assets import LineageAssets
from airflow_dataml.adapters.postgres.lineage_batch import Batch
from airflow_dataml.adapters.postgres.lineage_edges import LineageEdges
from airflow_dataml.adapters.postgres.lineage_inbox import PostgresInbox
from airflow_dataml.adapters.postgres.lineage_jobs import LineageJobs
from airflow_dataml.adapters.postgres.lineage_names import LineageNames
from airflow_dataml.adapters.postgres.lineage_versions import LineageVersions
from airflow_dataml.core.errors import GateError, LedgerError, SpecError, WarehouseError
from airflow_dataml.core.lineage_identity import foreign, identify
from airflow_dataml.core.lineage_runs import settle
from airflow_dataml.core.openlineage import JobRef, parsed, read_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.lineage_inbox import Waiting
    from airflow_dataml.core.lineage_identity import Identity
    from airflow_dataml.core.lineage_runs import RunFacts
    from airflow_dataml.core.openlineage import ObservedEvent

BATCH = 500
# Waiting longer for an operator that holds a run or an asset would hold up everybody's lineage.
_LOCK_TIMEOUT_MS = 10_000
_RETRIES = 3
# A batch looks up few of many rows, all by keys; planned for the hundred rows that a JSON parameter is taken
# for and with the statistics of tables that were empty a moment ago, it would read whole tables for one event.
_SETTINGS = f"""
SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS};
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off
"""
_ONE_WRITER = "SELECT pg_advisory_xact_lock(hashtextextended('dataml.lineage', 0))"
_PASSING = ("40P01", "40001", "55P03")


@dataclass(frozen=True, slots=True)
class Projected:
    """What a batch came to.

    :param refused: why, by event id.
    :param problems: what of stored events could not be used, by event id.
    """

    stored: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    problems: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __add__(self, other: Projected) -> Projected:
        return Projected(
            self.stored + other.stored, self.refused | other.refused, self.problems | other.problems
        )


@dataclass(slots=True)
class _Item:
    waiting: Waiting
    event: ObservedEvent
    identity: Identity | None = None


class PostgresProjection:
    """Turns waiting events into assets, runs, versions and edges.

    :param amend: looks again at events with SQL, with the catalog's schemas (see ``lineage_sql``).
    """

    def __init__(
        self,
        connection: Connection,
        *,
        amend: Callable[[Sequence[ObservedEvent], LineageAssets], Sequence[ObservedEvent]] | None = None,
    ) -> None:
        self._db = connection
        self._amend = amend
        self.inbox = PostgresInbox(connection)
        self._assets = LineageAssets(connection)

    def project(self, *, limit: int = BATCH, only: Sequence[int] | None = None) -> Projected:
        """Store one batch; an event that the database refuses is found by halving and set aside.

        :param only: ids of events, instead of the oldest that wait.
        """
        claimed: list[int] = []
        for attempt in range(1, _RETRIES + 1):
            claimed.clear()
            try:
                with self._db.transaction():
                    return self._batch(limit, only, claimed)
            except LedgerError as err:
                # What was written for the first time was not.
                self._assets = LineageAssets(self._db)
                if attempt == _RETRIES or getattr(err.__cause__, "sqlstate", None) not in _PASSING:
                    raise
            except (GateError, SpecError, WarehouseError) as err:
                self._assets = LineageAssets(self._db)
                return self._halves(claimed, err)
        return Projected()

    def _halves(self, claimed: Sequence[int], err: Exception) -> Projected:
        if len(claimed) > 1:
            middle = len(claimed) // 2
            return self.project(only=claimed[:middle]) + self.project(only=claimed[middle:])
        if not claimed:
            raise err
        self.inbox.done([_outcome(claimed[0], "refused", str(err))])
        return Projected(refused={claimed[0]: str(err)})

    def _batch(self, limit: int, only: Sequence[int] | None, claimed: list[int]) -> Projected:
        waiting = self.inbox.claim(limit=len(only) if only is not None else limit, only=only)
        claimed += [one.event_id for one in waiting]
        if not waiting:
            return Projected()
        items, refused = _read(waiting)
        self._db.execute(_SETTINGS)
        self._db.execute(_ONE_WRITER)
        done = [_outcome(event_id, "refused", why) for event_id, why in refused.items()]
        if items:
            done += self._store(self._amended(items))
        self.inbox.done(done)
        problems = {i.waiting.event_id: i.event.problems for i in items if i.event.problems}
        return Projected(len(items), refused, problems)

    def _amended(self, items: list[_Item]) -> list[_Item]:
        if self._amend:
            amended = self._amend([item.event for item in items], self._assets)
            for item, event in zip(items, amended, strict=True):
                item.event = event
        return items

    def _store(self, items: list[_Item]) -> list[dict[str, Any]]:
        batch = Batch(LineageJobs(self._db))
        keys = batch.runs([(i.event, i.identity) for i in items])
        tries: dict[tuple[int, int], list[_Item]] = {}
        for item, key in zip(items, keys, strict=True):
            if key:
                tries.setdefault(key, []).append(item)
        earlier, _ = _read(self.inbox.earlier(tries))
        again: list[tuple[int, int]] = []
        for item in self._amended(earlier):
            key = (item.waiting.run_key or 0, item.waiting.try_number or 0)
            tries[key].append(item)
            again.append(key)
        names = LineageNames(self._db)
        everything = [item.event for item in (*items, *earlier)]
        self._assets.keep_schemas(seen.columns for event in everything for seen in event.datasets)
        names.resolve(
            (seen for event in everything for seen in event.datasets),
            (name for e in everything for claim in e.claims for name in (claim.dst, *dict(claim.sources))),
            hash_of=self._assets.hash_of,
        )
        facts = {key: settle([i.event for i in found], asset_of=names) for key, found in tries.items()}
        self._graph(batch, facts, list(dict.fromkeys(again)), items, names)
        batch.say(facts, {key: [i.event for i in found] for key, found in tries.items()})
        self._assets.describe([item.event for item in items], asset_of=names)
        return [
            _outcome(i.waiting.event_id, "stored", None) | (_of(key) if key else {})
            for i, key in zip(items, keys, strict=True)
        ]

    def _graph(
        self,
        batch: Batch,
        facts: dict[tuple[int, int], RunFacts],
        again: list[tuple[int, int]],
        items: Sequence[_Item],
        names: LineageNames,
    ) -> None:
        versions, edges = LineageVersions(self._db), LineageEdges(self._db)
        flows, maps = batch.flows(facts)
        static = batch.described([i.event for i in items], asset_of=names, maps=maps)
        edges.maps(maps)
        uses = batch.uses(facts, self._assets)
        before = edges.before(again) if again else []
        taken_back = versions.taken_back(uses, again=again)
        moved, found = versions.write(uses)
        if taken_back:
            edges.unmake([row["version_id"] for row in taken_back])
        for row in taken_back:
            moved[row["a"]] = min(moved.get(row["a"], row["at"]), row["at"])
        read = versions.read([use for use in uses if use["d"] == "in"])
        found |= {(x["r"], x["t"], x["a"], "in"): x["v"] for x in read}
        versions.keep(uses, found)
        edges.join(flows, found, again=again)
        late = versions.late(moved)
        edges.move(late)
        versions.derive(
            [(r, t, f.dst) for (r, t), fact in facts.items() for f in fact.flows if f.src == f.dst]
        )
        known = set(again)
        seen_again = {use["a"] for use in uses if use["d"] == "in" and (use["r"], use["t"]) in known}
        if moved or seen_again:
            versions.forget([row["version_id"] for row in taken_back], sorted({*moved, *seen_again}))
        added, changed = batch.pairs(flows, before, counted=edges.counted(batch.operators(facts)))
        edges.pairs([*added, *static])
        if changed:
            edges.again(changed)


def _read(waiting: Sequence[Waiting]) -> tuple[list[_Item], dict[int, str]]:
    items: list[_Item] = []
    refused: dict[int, str] = {}
    for one in waiting:
        try:
            event = one.seen or read_event(parsed(one.body), key=one.event_key)
            if one.source == "receiver":
                event = foreign(event)
            identity = None
            if event.kind == "run":
                identity = identify(event, source=one.source, task=one.task)
            elif event.kind == "dataset":
                # Its definition is the job that makes it.
                name = event.outputs[0].name
                event = replace(event, job=JobRef(name.namespace, name.name), integration="DATASET")
            items.append(_Item(one, event, identity))
        except (SpecError, KeyError, ValueError) as err:
            refused[one.event_id] = str(err)
    return items, refused


def _outcome(event_id: int, state: str, error: str | None) -> dict[str, Any]:
    return {"event_id": event_id, "state": state, "error": error}


def _of(key: tuple[int, int]) -> dict[str, int]:
    return {"run_key": key[0], "try_number": key[1]}

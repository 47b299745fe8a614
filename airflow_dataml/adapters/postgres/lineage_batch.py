"""What a batch of events means as rows: runs, uses of assets, flows, and pairs to count."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.lineage_runs import in_order, settle, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.lineage_assets import LineageAssets
    from airflow_dataml.adapters.postgres.lineage_jobs import LineageJobs
    from airflow_dataml.core.column_lineage import ColumnMap
    from airflow_dataml.core.lineage_identity import Identity
    from airflow_dataml.core.lineage_runs import RunFacts, Use
    from airflow_dataml.core.openlineage import DatasetName, JobRef, ObservedEvent
    from airflow_dataml.core.refs import TaskKey

Try = tuple[int, int]


class Batch:
    """The jobs and runs of a batch, and rows made with their ids."""

    def __init__(self, jobs: LineageJobs) -> None:
        self._write = jobs
        self._jobs: dict[tuple[str, str], int] = {}
        self._parents: dict[int, int] = {}
        self._job_of: dict[int, int] = {}
        self._made: set[int] = set()

    def runs(self, events: Sequence[tuple[ObservedEvent, Identity | None]]) -> list[Try | None]:
        """Write jobs and runs; return for every event the try it is of."""
        self._jobs = self._write.jobs(
            [_job(event, identity) for event, identity in events if identity or event.job]
        )
        wanted: dict[TaskKey, dict[str, Any]] = {}
        elsewhere: dict[TaskKey, tuple[JobRef, str, Any]] = {}
        for event, identity in events:
            if identity is None:
                continue
            said = {"try_number": identity.try_number, "ti_id": identity.ti_id, "at": event.at}
            wanted.setdefault(identity.task, said)
            if identity.parent is None:
                continue
            if event.parent and not identity.ours:
                elsewhere[identity.parent] = (event.parent.job, event.parent.run_id, event.at)
            else:
                wanted.setdefault(identity.parent, {"try_number": 1, "ti_id": None, "at": event.at})
        known = self._write.parents(elsewhere)
        nowhere = {"try_number": 1, "ti_id": None}
        wanted |= {
            key: nowhere | {"at": at}
            for key, (_, _, at) in elsewhere.items()
            if key not in known and key not in wanted
        }
        for task, said in self._said(events).items():
            wanted[task] = dict(wanted[task]) | said
        keys, self._made = self._write.runs(wanted)
        known = {**keys, **known}
        tries: list[Try | None] = []
        for _, identity in events:
            if identity is None:
                tries.append(None)
                continue
            run = keys[identity.task]
            tries.append((run, identity.try_number))
            self._job_of[run] = self._jobs[identity.job.namespace, identity.job.name]
            if identity.parent and known[identity.parent] != run:
                self._parents[run] = known[identity.parent]
        return tries

    def _said(self, events: Sequence[tuple[ObservedEvent, Identity | None]]) -> dict[TaskKey, dict[str, Any]]:
        """Return what events say of the last try of every run: all there is to say where nobody knew it."""
        last: dict[TaskKey, tuple[Identity, list[ObservedEvent]]] = {}
        for event, identity in events:
            if identity is None:
                continue
            known = last.get(identity.task)
            if known is None or known[0].try_number < identity.try_number:
                last[identity.task] = identity, [event]
            elif known[0].try_number == identity.try_number:
                known[1].append(event)
        said = {}
        for task, (identity, found) in last.items():
            state, started, ended = state_of(found)
            said[task] = {
                "job_id": self._jobs[identity.job.namespace, identity.job.name], "ol_run_id": found[0].run_id,
                "state": state, "t": identity.try_number, "started": started, "ended": ended,
                "facets": _run_facets(found),
            }  # fmt: skip
        return said

    def say(self, facts: Mapping[Try, RunFacts], events: Mapping[Try, Sequence[ObservedEvent]]) -> None:
        """Write down the state of runs as their events say."""
        rows = []
        for (run, number), fact in facts.items():
            # A run without a parent that was not there before said everything when it was written.
            if run in self._made and run not in self._parents:
                continue
            rows.append(
                {
                    "r": run, "t": number, "job_id": self._job_of[run], "parent_key": self._parents.get(run),
                    "run_id": events[run, number][0].run_id, "state": fact.state, "started": fact.started,
                    "ended": fact.ended, "facets": _run_facets(events[run, number]),
                }
            )  # fmt: skip
        self._write.say(rows)

    def uses(self, facts: Mapping[Try, RunFacts], assets: LineageAssets) -> list[dict[str, Any]]:
        """Return inputs and outputs as rows of ``run_io``."""
        rows: list[dict[str, Any]] = []
        for key, fact in facts.items():
            rows += [_use(key, a, "in", fact.read_at, use, assets) for a, use in fact.reads.items()]
            rows += [_use(key, a, "out", fact.written_at, use, assets) for a, use in fact.writes.items()]
        return rows

    def flows(self, facts: Mapping[Try, RunFacts]) -> tuple[list[dict[str, Any]], dict[str, ColumnMap]]:
        """Return what went into what, and the mappings of columns by their addresses."""
        maps: dict[str, ColumnMap] = {}
        rows = [
            {"r": run, "t": number, "s": flow.src, "d": flow.dst, "m": _kept(flow.columns, maps),
             "at": fact.written_at, "j": self._job_of[run]}
            for (run, number), fact in facts.items()
            for flow in fact.flows
        ]  # fmt: skip
        return rows, maps

    def described(
        self,
        events: Sequence[ObservedEvent],
        *,
        asset_of: Callable[[DatasetName], int],
        maps: dict[str, ColumnMap],
    ) -> list[dict[str, Any]]:
        """Return pairs that events about jobs and datasets describe, which no run need ever do."""
        rows = []
        for event in events:
            if event.kind == "run" or event.job is None:
                continue
            job = self._jobs[event.job.namespace, event.job.name]
            for flow in settle([replace(event, type="COMPLETE")], asset_of=asset_of).flows:
                kept = _kept(flow.columns, maps)
                rows.append(
                    {
                        "s": flow.src,
                        "d": flow.dst,
                        "j": job,
                        "m": kept,
                        "at": event.at,
                        "runs": 0,
                        "declared": True,
                    }
                )
        return rows

    def operators(self, facts: Mapping[Try, RunFacts]) -> list[int]:
        """Return the runs of a batch."""
        return sorted({run for run, _ in facts})

    def pairs(
        self,
        flows: Sequence[Mapping[str, Any]],
        before: Sequence[Mapping[str, Any]],
        *,
        counted: set[tuple[int, int, int]],
    ) -> tuple[list[dict[str, Any]], set[tuple[int, int, int]]]:
        """Return pairs of assets to count, and those to count anew because something was taken back.

        :param before: what joined what in tries known before.
        :param counted: pairs that an operator's own edges counted, with their run.
        """
        had = {(b["r"], b["t"], b["s"], b["d"]): b for b in before}
        now = {(f["r"], f["t"], f["s"], f["d"]): f for f in flows}
        changed = {
            (b["s"], b["d"], b["j"]) for key, b in had.items() if key not in now or now[key]["m"] != b["m"]
        }
        added = [
            {**{n: f[n] for n in ("s", "d", "j", "m", "at")}, "declared": False,
             "runs": 0 if key in had or (f["r"], f["s"], f["d"]) in counted else 1}
            for key, f in now.items()
            if (f["s"], f["d"], f["j"]) not in changed
        ]  # fmt: skip
        return added, changed


def _job(event: ObservedEvent, identity: Identity | None) -> dict[str, Any]:
    job = identity.job if identity else event.job
    return {
        "ns": job.namespace if job else "", "name": job.name if job else "", "integration": event.integration,
        "dag_id": identity.dag_id if identity else None, "task_id": identity.task_id if identity else None,
        "facets": event.job_facets, "at": event.at,
    }  # fmt: skip


def _run_facets(events: Sequence[ObservedEvent]) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    for event in in_order(events):
        facets |= event.run_facets
    return facets


def _use(key: Try, asset: int, direction: str, at: Any, use: Use, assets: LineageAssets) -> dict[str, Any]:
    own = use.facets.get("dataml_version")
    number = own.get("versionId") if isinstance(own, dict) else None
    facts: dict[str, Any] = {"written": use.stats} if use.stats else {}
    facts |= {"dataset_version": use.version} if use.version else {}
    facts |= {"lifecycle": use.lifecycle} if use.lifecycle else {}
    return {
        "r": key[0], "t": key[1], "a": asset, "d": direction, "at": at, "named": use.version,
        "stats": use.stats or None, "own": number if isinstance(number, int) else None,
        "sh": assets.hash_of(use.columns), "facts": facts,
    }  # fmt: skip


def _kept(columns: ColumnMap | None, maps: dict[str, ColumnMap]) -> str | None:
    if columns is None:
        return None
    key = _digest(columns)
    maps[key] = columns
    return key


# A job that runs every hour says the same every hour.
@lru_cache(maxsize=8192)
def _digest(columns: ColumnMap) -> str:
    return columns.digest

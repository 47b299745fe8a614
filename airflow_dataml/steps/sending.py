"""Sending claimed events to one backend: runs side by side, the events of a run one after the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_dataml.core.delivery import FAULTS_IN_A_ROW, UNTRIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.delivery import Due, LineageBackend, Outcome

# A batch ends after so long, so that what it claimed is not held for a slow backend's whole backlog.
BATCH_S = 10.0


def send_in_order(backend: LineageBackend, due: Sequence[Due], *, seconds: float = BATCH_S) -> list[Outcome]:
    """Send events and say what became of each: runs side by side, the events of a run one after the other.

    What comes after an event that was not taken for now stays for later; one that was refused holds nothing back.
    """
    if backend.spec.batch and len(due) > 1:
        answers = backend.send_all([one.payload for one in due])
        if answers is not None:
            return answers
    lanes = _lanes(due, backend.spec.concurrency)
    outcomes: dict[int, Outcome] = {}
    gone = threading.Event()
    deadline = time.monotonic() + seconds
    if len(lanes) == 1:
        _send_lane(backend, 0, lanes[0], outcomes, gone, deadline)
    else:
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="dataml-lane") as pool:
            jobs = [
                pool.submit(_send_lane, backend, number, lane, outcomes, gone, deadline)
                for number, lane in enumerate(lanes)
            ]
            for job in jobs:
                job.result()
    return [outcomes.get(one.event_id, UNTRIED) for one in due]


def _send_lane(
    backend: LineageBackend,
    number: int,
    lane: Sequence[Due],
    outcomes: dict[int, Outcome],
    gone: threading.Event,
    deadline: float,
) -> None:
    held: set[str] = set()
    faults = 0
    for one in lane:
        if gone.is_set() or time.monotonic() > deadline:
            return
        if one.ordering_key in held:
            continue
        outcome = backend.send(one.payload, lane=number)
        outcomes[one.event_id] = outcome
        faults = faults + 1 if outcome.verdict == "failed" else 0
        if outcome.verdict == "failed":
            held.add(one.ordering_key)
        if outcome.verdict == "unreachable" or faults >= FAULTS_IN_A_ROW:
            gone.set()


def _lanes(due: Sequence[Due], count: int) -> list[list[Due]]:
    """Split events over lanes, all of a run into one, evenly."""
    runs: dict[str, list[Due]] = {}
    for one in due:
        runs.setdefault(one.ordering_key, []).append(one)
    lanes: list[list[Due]] = [[] for _ in range(min(count, len(runs)))]
    for run in sorted(runs.values(), key=len, reverse=True):
        min(lanes, key=len).extend(run)
    return lanes

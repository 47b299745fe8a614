"""A lineage event as it is kept: the event itself, and what the process that told it knew of its task."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Source = Literal["transport", "receiver", "operator"]
# What JSON can say and PostgreSQL's jsonb cannot hold: NUL, and halves of characters.
_UNSTORABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_HALVES = re.compile("[\x00\ud800-\udfff]")
# An index holds 2,700 bytes; a character is four at most.
_LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event on its way into the ledger; a row of ``lineage_event``.

    :param event_key: digest of the content; the same event twice is one.
    :param ordering_key: events of one key reach a backend in their order.
    :param task: dag_id, run_id, task_id, map_index, try_number and ti_id, as far as they were known.
    """

    event_key: str
    source: Source
    ordering_key: str
    event_type: str | None
    event_time: str
    task: dict[str, Any] | None
    payload: dict[str, Any]
    # The payload as its key was made from, which it is sent as; one that was read back has none.
    text: str | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON; the payload is the event's own, not a copy."""
        return {name: getattr(self, name) for name in _KEPT}

    @property
    def body(self) -> str:
        """The payload as JSON."""
        return self.text or json.dumps(self.payload, separators=(",", ":"))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Recorded:
        """Read back what ``to_dict`` wrote."""
        return cls(**{name: value[name] for name in _KEPT})


_KEPT = ("event_key", "source", "ordering_key", "event_type", "event_time", "task", "payload")


def record(event: Mapping[str, Any], *, source: Source, task: Mapping[str, Any] | None = None) -> Recorded:
    """Return an event as it is kept.

    :param task: what the process knew; what the event says itself comes first.
    """
    from airflow_dataml.core.openlineage import key_of

    payload, text = _storable(event)
    return Recorded(
        event_key=key_of(text),
        source=source,
        ordering_key=ordering_key(payload),
        event_type=_word(payload.get("eventType")),
        event_time=_moment(payload.get("eventTime")),
        task=merge_task(task_of(payload), None if _is_of_dag_run(payload) else task),
        payload=payload,
        text=text,
    )


def storable(event: Mapping[str, Any]) -> dict[str, Any]:
    r"""Return an event without what PostgreSQL's jsonb cannot hold; nearly always the event itself.

    >>> storable({"sql": "select '\x00'", "mean": float("nan")})
    {'sql': "select '\ufffd'", 'mean': None}
    """
    return _storable(event)[0]


def _storable(event: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an event as it can be kept, and its canonical text: writing it once is most of the work."""
    from airflow_dataml.core.openlineage import canonical

    plain = dict(event)
    try:
        text = canonical(plain)
        if not _UNSTORABLE.search(text):
            return plain, text
    except (ValueError, TypeError):
        pass
    clean = dict(_cleaned(plain))
    return clean, canonical(clean)


def ordering_key(event: Mapping[str, Any]) -> str:
    """Return whose events must stay in order: of a run, else of a job or a dataset.

    >>> ordering_key({"run": {"runId": "1"}, "job": {"namespace": "n", "name": "j"}})
    'run:1'
    """
    key = _whose(event)
    if len(key) <= _LONGEST_KEY:
        return key
    mark = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{key[: _LONGEST_KEY - len(mark) - 1]}~{mark}"


def _whose(event: Mapping[str, Any]) -> str:
    run = event.get("run")
    if isinstance(run, dict) and run.get("runId"):
        return f"run:{run['runId']}"
    for kind in ("job", "dataset"):
        named = event.get(kind)
        if isinstance(named, dict):
            return f"{kind}:{named.get('namespace')}/{named.get('name')}"
    return "event"


def task_of(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return which task instance an event says it is of, by Airflow's own facet; ``None`` when it says nothing."""
    run = event.get("run")
    facets = run.get("facets") if isinstance(run, dict) else None
    facet = facets.get("airflow") if isinstance(facets, dict) else None
    if not isinstance(facet, dict):
        return None
    dag, dag_run, task, ti = (_part(facet, name) for name in ("dag", "dagRun", "task", "taskInstance"))
    found = {
        "dag_id": dag.get("dag_id") or dag_run.get("dag_id"),
        "run_id": dag_run.get("run_id"),
        "task_id": task.get("task_id"),
        "map_index": -1 if ti.get("map_index") is None else ti["map_index"],
        "try_number": ti.get("try_number"),
    }
    return found if found["dag_id"] and found["run_id"] and found["task_id"] else None


def merge_task(said: Mapping[str, Any] | None, known: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Join what an event says of its task with what its process knew, where both mean the same task."""
    if not said or not known:
        return dict(said or known or {}) or None
    same = all(said.get(name) == known.get(name) for name in ("dag_id", "run_id", "task_id", "map_index"))
    if not same:
        return dict(said)
    return dict(known) | {name: value for name, value in said.items() if value is not None}


def _is_of_dag_run(event: Mapping[str, Any]) -> bool:
    """Say whether an event is of a whole DAG run; the process that tells it may run a task all the same."""
    run = event.get("run")
    facets = run.get("facets") if isinstance(run, dict) else None
    return isinstance(facets, dict) and "airflowDagRun" in facets and "airflow" not in facets


def _part(facet: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = facet.get(name)
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: Any) -> str:
    """Return a time PostgreSQL reads; now, where the event has none."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return datetime.now(UTC).isoformat()
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_cleaned(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | bool | None) else str(value)

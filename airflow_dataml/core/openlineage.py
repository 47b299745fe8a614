"""OpenLineage events as facts: what one says, with words for whatever in it cannot be used.

``read_event`` is pure. What is malformed becomes a problem and the rest is used; only an event without
a time, a job or a run that could be told apart is refused as a whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import TaskKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.column_lineage import ColumnMap
    from airflow_dataml.core.datasets import Column

RUN_STATES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
TERMINAL = frozenset({"COMPLETE", "ABORT", "FAIL"})
EventKind = Literal["run", "dataset", "job"]
FlowKind = Literal["direct", "indirect"]
_ASSET_BYTES = 1000
# Stands for every column of a dataset: what filters or joins decides them all (see ``ColumnMap``).
ALL_COLUMNS = ""


class DatasetName(NamedTuple):
    """What OpenLineage calls a dataset; a tuple, because every event looks up dozens of them."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def asset(self) -> str:
        """The asset it becomes where nobody declared one; cut where no asset's name is as long.

        >>> DatasetName("postgres://db:5432", "shop.public.rides").asset
        'postgres://db:5432/shop.public.rides'
        """
        whole = str(self)
        if len(whole.encode()) <= _ASSET_BYTES:
            return whole
        mark = hashlib.sha256(whole.encode()).hexdigest()[:16]
        return f"{whole.encode()[: _ASSET_BYTES - 17].decode(errors='ignore')}~{mark}"


@dataclass(frozen=True, slots=True)
class ColumnFlow:
    """One column that went into another.

    :param dst_column: empty where the source filters, joins, groups or sorts the whole dataset.
    :param kind: ``direct`` when values come from it, ``indirect`` when it decides which.
    :param method: who says so: declared, analyzer, sqlglot, facet, table.
    :param confidence: how often that method is right, 0 to 1.
    """

    src: DatasetName
    src_column: str
    dst: DatasetName
    dst_column: str
    kind: FlowKind = "direct"
    method: str = "facet"
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What an event says an output was made from.

    :param sources: datasets it came from, each with the columns where they are known.
    :param complete: nothing else went into it (the explicit lineage facet); otherwise inputs that no claim
        of the run names may have.
    """

    dst: DatasetName
    sources: tuple[tuple[DatasetName, ColumnMap | None], ...]
    complete: bool = False

    @property
    def columns(self) -> tuple[ColumnFlow, ...]:
        """The columns one by one."""
        return tuple(
            ColumnFlow(src, source, self.dst, target, kind, known.method, known.confidence)
            for src, known in self.sources
            if known
            for target, source, kind, _ in known.flows
        )


@dataclass(frozen=True, slots=True)
class ObservedDataset:
    """A dataset as an event describes it; ``None`` and empty where it says nothing.

    :param columns: name and type, nested ones by their path with dots.
    :param lifecycle: ALTER, CREATE, DROP, OVERWRITE, RENAME or TRUNCATE.
    :param stats: ``rows``, ``bytes``, ``files`` that were read or written.
    :param facets: facets of this package's own (``dataml_...``).
    """

    name: DatasetName
    columns: tuple[Column, ...] | None = None
    column_docs: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    symlinks: tuple[DatasetName, ...] = ()
    type: str | None = None
    subtype: str | None = None
    owner: str | None = None
    documentation: str | None = None
    tags: tuple[str, ...] = ()
    stats: dict[str, int] = field(default_factory=dict)
    lifecycle: str | None = None
    renamed_from: DatasetName | None = None
    facets: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRef:
    """What OpenLineage calls a job."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ParentRef:
    """The run that started this one."""

    job: JobRef
    run_id: str


@dataclass(frozen=True, slots=True)
class AirflowTask:
    """The task instance an event comes from; a run of a whole DAG has an empty task.

    :param try_number: which try, from 1.
    """

    task: TaskKey
    try_number: int = 1
    ti_id: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AirflowTask:
        """Read what a transport knew of its task."""
        index, tries = data.get("map_index"), data.get("try_number")
        return cls(
            TaskKey(
                str(data["dag_id"]), str(data["run_id"]), str(data.get("task_id") or ""),
                -1 if index is None else int(index),
            ),
            1 if tries is None else max(int(tries), 1),
            str(data["ti_id"]) if data.get("ti_id") else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ObservedEvent:
    """What one event says.

    :param type: the run's state; ``None`` for events about a dataset or a job alone.
    :param airflow: the task the event itself names (Airflow's run facet).
    :param streaming: the job never ends, so what it writes counts while it runs.
    :param problems: what could not be used, and why.
    """

    key: str
    kind: EventKind
    type: str | None
    at: datetime
    producer: str
    job: JobRef | None = None
    run_id: str | None = None
    airflow: AirflowTask | None = None
    parent: ParentRef | None = None
    integration: str | None = None
    streaming: bool = False
    sql: str | None = None
    dialect: str | None = None
    job_facets: dict[str, Any] = field(default_factory=dict)
    run_facets: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[ObservedDataset, ...] = ()
    outputs: tuple[ObservedDataset, ...] = ()
    claims: tuple[Claim, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[ObservedDataset, ...]:
        """Inputs and outputs."""
        return self.inputs + self.outputs


def event_key(event: Mapping[str, Any]) -> str:
    """Content address of an event: the same event twice is one.

    >>> event_key({"a": 1, "b": 2}) == event_key({"b": 2, "a": 1})
    True
    """
    return key_of(json.dumps(event, sort_keys=True, separators=(",", ":"), default=str))


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(event: Mapping[str, Any]) -> str:
    """Return an event as the text its key is made from.

    :raises ValueError, TypeError: something in it is no JSON.
    """
    return _CANONICAL.encode(event)


def key_of(text: str) -> str:
    """Return the content address of an event's canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def parsed(text: str) -> Any:
    """Return the JSON of a text; in half the time of the standard library's reader, which reads what nests deeper.

    :raises ValueError: it is no JSON.
    """
    # Whoever only tells an event needs none of this.
    from pydantic_core import from_json

    try:
        return from_json(text, cache_strings="keys")
    except ValueError:
        return json.loads(text)


def event_time(value: object) -> datetime:
    """Read an event's time; one without zone is UTC.

    :raises SpecError: it is no time.
    """
    try:
        at = datetime.fromisoformat(value)  # type: ignore[arg-type]  # whatever came is told below
    except (TypeError, ValueError) as err:
        msg = f"eventTime {value!r} is no time: write it as in 2026-11-24T01:00:00Z."
        raise SpecError(msg) from err
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_event(event: Mapping[str, Any], *, key: str | None = None) -> ObservedEvent:
    """Return what an OpenLineage RunEvent, DatasetEvent or JobEvent says.

    :param key: its ``event_key`` where that is known already; a third of the work.
    :raises SpecError: nothing of it can be used, and why.
    """
    # One module per half keeps both readable; the reader needs these nouns.
    from airflow_dataml.core.openlineage_reading import Reading

    return Reading(event).event(key or event_key(event))

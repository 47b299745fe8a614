"""Ports: what the steps ask of the world. Adapters answer; nothing here imports one.

Every writing method is idempotent under the key it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataml.core.ports_warehouse import ColumnTally as ColumnTally  # noqa: PLC0414 - one place to import ports from
from airflow_dataml.core.ports_warehouse import Warehouse as Warehouse  # noqa: PLC0414 - one place to import ports from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from airflow_dataml.core.branches import Branch
    from airflow_dataml.core.column_lineage import ColumnMaps
    from airflow_dataml.core.datasets import Column, Part, Version
    from airflow_dataml.core.governance import AuditEntry, Incident, Report
    from airflow_dataml.core.lineage import Direction, Edge, Graph
    from airflow_dataml.core.ports_history import History
    from airflow_dataml.core.ports_pointers import Pointers
    from airflow_dataml.core.ports_quarantine import QuarantineLedger, Samples
    from airflow_dataml.core.ports_states import States
    from airflow_dataml.core.refs import AssetKind, FactKey
    from airflow_dataml.core.retention import Held
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import NewPart
    from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult, TrainingSpec


class Runs(Protocol):
    """Task instances as the ledger knows them."""

    def begin(self, identity: RunIdentity, *, input_digest: str) -> TaskRun:
        """Record that a task starts, or recognise its retry.

        A retry keeps its generation, and so adopts what the earlier try wrote. A task that had
        finished and is run again on other input starts a new generation.
        """

    def finish(self, run: TaskRun, *, state: str = "success") -> None:
        """Record that a task reached its result: ``success`` or ``refused``, and on which input."""

    def renew(self, run: TaskRun) -> TaskRun:
        """Start the next generation, because what this one wrote says nothing."""

    def triggered_by(self, version_id: int) -> str | None:
        """Return who triggered the run that made a version; ``None`` where nobody is known."""


class Assets(Protocol):
    """The catalog's rows."""

    def register(
        self,
        *,
        name: str,
        kind: AssetKind,
        uri: str,
        owner: str | None = None,
        description: str | None = None,
        importance: str | None = None,
        tags: Sequence[str] = (),
        location: Mapping[str, Any] | None = None,
        source: str = "declared",
    ) -> None:
        """Create or refresh a catalog entry; ``location`` is merged into what is there."""

    def set_location(self, name: str, location: Mapping[str, Any]) -> None:
        """Merge facts about where and how an asset is kept."""

    def lock(self, name: str) -> dict[str, Any]:
        """Take the asset's row for this transaction and return it.

        :raises AssetNotFoundError: there is none.
        """

    def get(self, name: str) -> dict[str, Any]:
        """Return the catalog entry."""

    def list(self, *, kind: str | None = None, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Return a page of catalog entries by name."""

    def at(self, *, uri: str, table: str | None = None) -> str | None:
        """Return the asset of a uri, or else the one whose readers query a table of this database."""


class Versions(Protocol):
    """Versions, their parts and their aliases."""

    def part_of(self, fact: FactKey) -> Part | None:
        """Return the part a fact staged, if it did."""

    def part(self, part_id: int) -> Part:
        """Return a part."""

    def add_part(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        part: NewPart,
        store: str = "postgres",
        inputs: Sequence[int] = (),
        parent_id: int | None = None,
    ) -> Part:
        """Record a part that a store has made.

        :param parent_id: the version a merge was computed on.
        """

    def rewrites_of(self, part_id: int) -> tuple[Part, ...]:
        """Return the parts written anew for the merge of a batch."""

    def mark_parts(self, part_ids: Sequence[int], *, state: str) -> None:
        """Record that the rows of some parts are gone: ``dropped`` or ``released``."""

    def of_fact(self, fact: FactKey) -> Version | None:
        """Return the version a fact made, if it did."""

    def find(self, ref: str, *, branch: str | None = None) -> Version:
        """Return ``name``, ``name@number``, ``name@alias`` or ``name@time``; a bare name is what readers see.

        :param branch: where a bare name is looked for first.
        :raises AssetNotFoundError, VersionNotFoundError: with the closest names.
        """

    def head(self, asset: str, *, branch: str | None = None) -> Version | None:
        """Return what readers see: the branch's version where it has one, else the current one."""

    def as_of(self, asset: str, moment: datetime, *, alias: str = "current") -> Version | None:
        """Return the version an alias pointed at, at a time."""

    def seen(self, asset: str, *, until: int) -> list[tuple[int, datetime]]:
        """Return which versions readers saw since when, oldest first, up to one of them; compactions left out."""

    def alias(self, asset: str, name: str) -> Version | None:
        """Return the version an alias points at."""

    def by_id(self, version_id: int) -> Version:
        """Return a version."""

    def bringing(self, part_id: int) -> Version | None:
        """Return the version that a part was published with, if it was."""

    def set_profile(self, part_id: int, profile: Mapping[str, Any]) -> Part:
        """Replace a part's profile and return the part."""

    def manifest(self, version_id: int, *, profiles: bool = True) -> tuple[Part, ...]:
        """Return the parts of a version in order.

        :param profiles: with their profiles, which cost a millisecond each.
        """

    def columns(self, version_id: int) -> tuple[Column, ...]:
        """Return the schema of a version."""

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        parts: Sequence[Part] = (),
        columns: Sequence[Column] = (),
        parent_id: int | None = None,
        partition_key: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Version:
        """Write the next version of ``fact.asset``; the caller holds the asset's lock."""

    def move_alias(
        self,
        *,
        asset: str,
        name: str,
        version_id: int | None,
        run: TaskRun,
        report_id: int | None = None,
    ) -> None:
        """Point an alias at a version, or remove it, and keep the history."""

    def pin(self, version_id: int, *, holder: str, reason: str) -> None:
        """Keep a version from being collected."""

    def list(self, asset: str, *, before: int | None = None, limit: int = 50) -> list[Version]:
        """Return a page of versions, newest first."""


class Branches(Protocol):
    """Worlds beside the one everybody reads."""

    def open(self, *, name: str, schema: str, assets: Sequence[str], run: TaskRun) -> None:
        """Write down a branch, what it begins from, and make its schema."""

    def join(self, *, name: str, asset: str) -> None:
        """Write down what a dataset that joins later begins from."""

    def schema_of(self, name: str) -> str:
        """Return the schema of an open branch."""

    def is_open(self, name: str) -> bool:
        """Whether a branch of that name is open."""

    def get(self, name: str) -> Branch:
        """Return an open branch with its datasets.

        :raises BranchNotFoundError: with the closest names.
        """

    def lock(self, name: str) -> None:
        """Take the branch's row for this transaction."""

    def close(self, *, name: str, state: str, run: TaskRun) -> None:
        """Write down that a branch was merged or dropped, and drop its schema."""

    def opened_by(self, run: TaskRun) -> str | None:
        """Return the open branch that an earlier try of a task made."""

    def merged_by(self, run: TaskRun) -> tuple[int, ...]:
        """Return ids of the versions that an earlier try of a task published by merging a branch."""

    def list(self) -> list[dict[str, Any]]:
        """Return all branches, newest first."""


class Retention(Protocol):
    """What a retention plan is made from."""

    def held(self, asset: str) -> tuple[Held, ...]:
        """Return the versions whose rows are all there, with whatever holds them."""

    def sizes(self, asset: str) -> dict[int, int]:
        """Return the bytes of every live part."""

    def staged(self, asset: str) -> dict[int, datetime]:
        """Return live parts that no version has, and when they were staged."""

    def locators(self, store: str) -> tuple[str, ...]:
        """Return everything of a store that the ledger means to keep."""


class Reports(Protocol):
    """Evidence."""

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        kind: str,
        verdict: str,
        body: Mapping[str, Any],
        version_id: int | None = None,
        part_id: int | None = None,
    ) -> Report:
        """Write a report, or return the one this fact already wrote."""

    def of_fact(self, fact: FactKey, kind: str) -> Report | None:
        """Return the report a fact wrote, if it did."""

    def get(self, report_id: int) -> Report:
        """Return a report."""

    def latest(
        self, *, asset: str, kind: str, version_id: int | None = None, part_id: int | None = None
    ) -> Report | None:
        """Return the newest report of a kind."""

    def recent(
        self, *, asset: str, kind: str, version_id: int | None = None, limit: int = 50
    ) -> tuple[Report, ...]:
        """Return the newest reports of a kind, newest first."""

    def unanswered(self, *, asset: str, action: str) -> Report | None:
        """Return the newest decision for an action that no version has followed yet."""

    def list(self, *, asset: str, version_id: int | None = None, limit: int = 50) -> list[Report]:
        """Return reports, newest first; with a version, also those of the part it brought."""


class Lineage(Protocol):
    """Edges between versions and reports."""

    def add(self, edges: Iterable[Edge], *, run: TaskRun) -> None:
        """Write edges; the same edge twice is one."""

    def walk(self, start: str, *, direction: Direction, depth: int = 20, limit: int = 1000) -> Graph:
        """Return what a node was made from (upstream) or went into (downstream)."""


class Incidents(Protocol):
    """Opened problems."""

    def open(
        self,
        *,
        asset: str,
        kind: str,
        severity: str,
        title: str,
        report_id: int,
        partition_key: str | None = None,
    ) -> tuple[Incident, bool]:
        """Open an incident, or return the open one of that asset, kind and batch; whether it is new.

        Trouble that is graver than the open one raises it: severity, title and report become those given. It is
        never lowered.
        """

    def open_data(self, assets: Sequence[str]) -> Sequence[Incident]:
        """Return every open data incident of some assets."""

    def get(self, incident_id: int) -> Incident:
        """Return an incident.

        :raises NotFoundError: there is none.
        """

    def suspect(self, incident_id: int, suspects: Sequence[Mapping[str, Any]]) -> None:
        """Write down what may have caused an incident, the likeliest first, in place of what was thought before."""

    def resolve(self, incident_id: int, *, resolution: str) -> None:
        """Close an incident."""

    def list(self, *, asset: str | None = None, state: str | None = None, limit: int = 50) -> list[Incident]:
        """Return incidents, newest first."""


class Audit(Protocol):
    """The append-only, hash-chained record of decisions."""

    def add(self, *, action: str, subject: str, run: TaskRun, detail: Mapping[str, Any]) -> None:
        """Append an entry."""

    def entries(self, subject: str) -> Sequence[AuditEntry]:
        """Return what was done to a subject, oldest first, each entry hashed again."""

    def verify(self) -> tuple[int, str | None]:
        """Return how many entries there are, and the first fault or ``None``."""


class Outbox(Protocol):
    """What must reach other systems, written with the fact it tells of."""

    def add(self, *, key: str, topic: str, ordering_key: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; the same key twice is one."""

    def positions(self, topic: str, *, prefix: str) -> dict[str, dict[str, Any]]:
        """Return by ordering key the payload ``delivered`` last, those ``waiting``, and the ``newest`` event's state."""

    def deliver(self, topic: str, send: Callable[[Mapping[str, Any]], None], *, limit: int = 100) -> int:
        """Send what is due, in order per key, and return how many went out."""


class Trainer(Protocol):
    """Something that trains a model in a process of its own."""

    def check(self, spec: TrainingSpec) -> None:
        """Refuse a spec that cannot work, before any data is read."""

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        """Train, or resume, or return what an earlier try finished."""


class Scorer(Protocol):
    """A stored model, loaded without running code it brings."""

    def score(self, columns: Mapping[str, Any]) -> Any:
        """Return one score per row, ``float64 [n]``.

        A model of classes has ``classes``, their names, and gives a probability of each, ``[n, classes]``.
        """

    def score_csv(self, path: Path, *, block_rows: int = 65536) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield blocks of columns with their scores, in file order and bounded memory."""


class ScorerLoader(Protocol):
    """Opens stored models."""

    def __call__(self, model_dir: Path) -> Scorer:
        """Load the model in a folder."""


class Ledger(Protocol):
    """Everything that happened, written once."""

    @property
    def runs(self) -> Runs:
        """Task instances."""

    @property
    def assets(self) -> Assets:
        """The catalog."""

    @property
    def versions(self) -> Versions:
        """Versions, parts and aliases."""

    @property
    def branches(self) -> Branches:
        """Branches."""

    @property
    def retention(self) -> Retention:
        """Who holds which version, and what it weighs."""

    @property
    def reports(self) -> Reports:
        """Evidence."""

    @property
    def lineage(self) -> Lineage:
        """The graph."""

    @property
    def columns(self) -> ColumnMaps:
        """Which columns went into which."""

    @property
    def incidents(self) -> Incidents:
        """Opened problems."""

    @property
    def audit(self) -> Audit:
        """The chain of decisions."""

    @property
    def outbox(self) -> Outbox:
        """Events for other systems."""

    @property
    def history(self) -> History:
        """The past, for checks that learn from it."""

    @property
    def states(self) -> States:
        """What engines measured of single parts."""

    @property
    def pointers(self) -> Pointers:
        """The past of aliases and parts."""

    @property
    def quarantine(self) -> QuarantineLedger:
        """Rows that were set aside."""

    @property
    def samples(self) -> Samples:
        """A few of the rows that broke a check."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; the warehouse takes part in it."""

"""What the API answers about datasets, as types: versions, checks, profiles, differences, quarantine, branches."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_dataml.api.models import Answer


class SchemaChange(Answer):
    """One column that is not what it was."""

    column: str
    kind: Literal["added", "removed", "retyped", "moved"]
    change: Literal["additive", "compatible", "breaking"]
    old: str | None = None
    new: str | None = None
    sentence: str


class SchemaDiff(Answer):
    """Everything between two schemas; ``class`` is the worst of it."""

    worst: Literal["additive", "compatible", "breaking"] | None = Field(alias="class")
    changes: list[SchemaChange]


class SchemaColumn(Answer):
    """A column of a schema."""

    name: str
    type: str


class SchemaRow(Answer):
    """A schema an asset had, since when, who said so, and what changed to the one before it."""

    seq: int
    seen_at: datetime
    source: str
    columns: list[SchemaColumn]
    difference: SchemaDiff | None = Field(default=None, alias="schema")


class VersionRow(Answer):
    """One version: how it was made, what it weighs, who holds it, what was thought of it.

    :param own: bytes that collecting it alone would free.
    :param restored: the version whose rows a rollback brought back.
    :param state: ``None`` for a version that never had rows.
    """

    version_id: int
    number: int
    rows: int | None = None
    batch_rows: int | None = None
    fingerprint: str | None = None
    schema_hash: str | None = None
    partition_key: str | None = None
    created_at: datetime
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    metrics: dict[str, Any] | None = None
    dataset: str | None = None
    aliases: list[str]
    verdicts: dict[str, str | None] | None = None
    mode: str | None = None
    restored: str | None = None
    branch: str | None = None
    merged: str | None = None
    parent: int | None = None
    difference: SchemaDiff | None = Field(default=None, alias="schema")
    parts: int = 0
    bytes: int = 0
    own: int | None = None
    holders: list[str]
    state: Literal["retained", "collected", "released"] | None = None


class CheckCell(Answer):
    """What one check observed and expected, once."""

    id: str | None = None
    name: str
    type: str | None = None
    column: str | None = None
    verdict: str
    observed: Any = None
    threshold: str | None = None
    unit: str | None = None
    detail: str | None = None
    low: float | None = None
    high: float | None = None
    center: float | None = None


class CheckReport(Answer):
    """One verification: of a version, or of a batch that was refused."""

    report_id: int
    verdict: str
    created_at: datetime
    version: int | None = None
    partition_key: str | None = None
    engine: str | None = None
    scope: str | None = None
    summary: str | None = None
    broken: bool | None = None
    quarantine: int | None = None
    checks: list[CheckCell]


class Bars(Answer):
    """A histogram; ``counts`` has one list for each version."""

    kind: Literal["number", "moment"]
    low: float
    high: float
    counts: list[list[int]]
    below: list[int]
    above: list[int]


class Values(Answer):
    """The most frequent values of a column that has few."""

    kind: Literal["values"]
    names: list[str]
    counts: list[list[int]]
    other: list[int]


Chart = Annotated[Bars | Values, Field(discriminator="kind")]


class ColumnNumbers(Answer):
    """The numbers of a column in one version.

    :param share: of its values that are missing.
    """

    type: str
    nulls: int | None = None
    share: float | None = None
    distinct: float | None = None
    nonfinite: int | None = None
    sampled: Any = None
    length: dict[str, int | None] | None = None
    masked: bool = False
    min: Any = None
    max: Any = None
    mean: float | None = None
    std: float | None = None


class ColumnProfile(ColumnNumbers):
    """One column of a version; ``nulls`` is ``None`` where it was not profiled."""

    name: str
    chart: Chart | None = None


class Profile(Answer):
    """The columns of a version; ``missing`` says why there are no numbers."""

    version: int
    rows: int | None = None
    columns: list[ColumnProfile]
    missing: str | None = None


class Side(Answer):
    """One of two versions that are compared; ``kept`` says whether its rows are all there."""

    ref: str
    number: int
    rows: int | None = None
    fingerprint: str | None = None
    created_at: datetime
    partition_key: str | None = None
    kept: bool | None = None


class ColumnPair(Answer):
    """A column in both versions; ``psi`` is the population stability index."""

    name: str
    old: ColumnNumbers | None = None
    new: ColumnNumbers | None = None
    psi: float | None = None
    chart: Chart | None = None


class Manifest(Answer):
    """What the parts of two versions tell of their rows."""

    shared: int
    old_parts: int
    old_rows: int
    new_parts: int
    new_rows: int


class StoredDiff(Answer):
    """A comparison of rows that a task or a person made."""

    report_id: int
    created_at: datetime
    body: dict[str, Any]


class Comparison(Answer):
    """Everything known between two versions without reading rows."""

    old: Side
    new: Side
    difference: SchemaDiff = Field(alias="schema")
    columns: list[ColumnPair]
    missing: str | None = None
    manifest: Manifest | None = None
    equal: bool
    rows: StoredDiff | None = None
    command: str


class QuarantineRow(Answer):
    """Rows of one batch that were set aside, and what became of them."""

    quarantine_id: int
    asset: str
    part_id: int
    rows: int
    tested: int
    reasons: dict[str, int]
    state: Literal["open", "replayed", "discarded"]
    created_at: datetime
    partition_key: str | None = None
    branch: str | None = None
    report_id: int | None = None
    closed_at: datetime | None = None
    version: str | None = None
    note: str | None = None


class BranchDataset(Answer):
    """Where a dataset stands on a branch; distances are ``None`` where they are not known."""

    asset: str
    base: int | None = None
    head: int | None = None
    current: int | None = None
    ahead: int | None = None
    behind: int | None = None
    report_id: int | None = None
    verdict: str | None = None


class BranchRow(Answer):
    """A branch; an open one with its datasets."""

    branch_id: int
    name: str
    place: str = Field(alias="schema")
    state: Literal["open", "merged", "dropped"]
    created_at: datetime
    closed_at: datetime | None = None
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    datasets: list[BranchDataset]

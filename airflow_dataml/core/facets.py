"""What a task tells lineage, as facts; ``core.facets_rendering`` writes them as OpenLineage has it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_dataml.core.expectations import counts
from airflow_dataml.core.quality import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.facets_naming import LineageName

Lifecycle = Literal["ALTER", "CREATE", "DROP", "OVERWRITE", "RENAME", "TRUNCATE"]
DatasetType = Literal["TABLE", "VIEW", "FILE", "MODEL"]
# What a value may be a secret by the name of; Airflow masks values by key, and here the key is a value.
_SECRET = re.compile(
    r"pass(word|wd|phrase)?|secret|token|api_?key|private_?key|credential|authorization", re.I
)
HIDDEN = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFact:
    """A version of ours, and its asset, as the ledger has them.

    :param location: the catalog's facts about where the asset is kept.
    :param parent: number of the version it was made on.
    :param flows: of each version it was made from, by id: which columns went into which.
    """

    version_id: int
    asset: str
    kind: str
    number: int
    rows: int | None = None
    fingerprint: str | None = None
    schema_hash: str | None = None
    parent: int | None = None
    partition_key: str | None = None
    columns: tuple[Column, ...] = ()
    column_docs: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    location: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    description: str | None = None
    documentation: str | None = None
    importance: str | None = None
    tags: tuple[str, ...] = ()
    bytes: int | None = None
    files: int | None = None
    created_at: str | None = None
    staged_by: str | None = None
    flows: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The version as people write it."""
        return f"{self.asset}@{self.number}"


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """Columns of one input that went into an output.

    :param flows: target column (empty: all of them), source column, ``direct`` or ``indirect``, and how.
    """

    source: LineageName
    flows: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFact:
    """A dataset or model that a task read or wrote, under its name in OpenLineage.

    :param logical: its name in every environment, which is not the one it has in its store.
    :param version: which version; ``None`` where none was written, or nothing is known of one.
    :param rows: rows that this task read or wrote, where that is not the whole version.
    :param checks: what was found when its rows were checked, as assertions.
    :param metrics: numbers of its columns.
    :param subset: which of its rows: ``partitions``, or ``location``.
    :param columns: of what has no version.
    """

    name: LineageName
    logical: LineageName | None = None
    version: VersionFact | None = None
    type: DatasetType | None = None
    subtype: str | None = None
    store: str | None = None
    rows: int | None = None
    owner: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    checks: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, Any] | None = None
    change: Lifecycle | None = None
    subset: Mapping[str, Any] | None = None
    uses: tuple[ColumnUse, ...] = ()
    model: Mapping[str, Any] | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLineage:
    """Everything a task tells lineage.

    :param kind: what kind of work it is, such as ``INGESTION`` or ``TRAINING``.
    :param handed_over_by: tasks whose staged rows this one took.
    :param hands_over: whether what it made goes to a later task and nowhere else yet.
    :param tests: gates and evaluations.
    :param decision: what was decided, and why.
    """

    kind: str = "TASK"
    inputs: tuple[DatasetFact, ...] = ()
    outputs: tuple[DatasetFact, ...] = ()
    sql: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[Mapping[str, Any], ...] = ()
    decision: Mapping[str, Any] | None = None
    handed_over_by: tuple[str, ...] = ()
    hands_over: bool = False
    source: Mapping[str, str] | None = None

    def with_inputs(self, more: Iterable[DatasetFact]) -> Self:
        """Return the lineage with more inputs; of one dataset in one version what says more is kept."""
        return replace(self, inputs=_once((*more, *self.inputs)))

    def with_outputs(self, more: Iterable[DatasetFact]) -> Self:
        """Return the lineage with more outputs."""
        return replace(self, outputs=_once((*more, *self.outputs)))


def _once(datasets: Iterable[DatasetFact]) -> tuple[DatasetFact, ...]:
    found: dict[tuple[LineageName, int | None], DatasetFact] = {}
    versioned: set[LineageName] = set()
    for one in datasets:
        found.setdefault((one.name, one.version.number if one.version else None), one)
        if one.version:
            versioned.add(one.name)
    return tuple(one for (name, number), one in found.items() if number is not None or name not in versioned)


def assertions(body: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return a check report's results as OpenLineage's assertions.

    A check that has too little data to say has found nothing, and is not among them. What was observed of a
    masked column stays in the ledger.
    """
    masked = frozenset(body.get("mask", ()))
    checks = [CheckResult.from_dict(check) for check in body.get("checks", ())]
    return tuple(_assertion(check, body, masked) for check in checks if counts(check))


def _assertion(check: CheckResult, body: Mapping[str, Any], masked: Collection[str]) -> dict[str, Any]:
    warns = check.level == "warn" or check.verdict is Verdict.WARN
    shown = check.column not in masked
    said = {
        "assertion": check.type,
        "success": check.verdict is Verdict.PASS,
        "column": check.column,
        "severity": "warn" if warns else "error",
        "name": check.name,
        "expected": check.threshold or None,
        "actual": None if check.observed is None or not shown else str(check.observed),
        "description": check.sentence if shown else None,
        "params": {
            "check": check.id,
            "verdict": check.verdict.value,
            "unit": check.unit,
            "engine": body.get("engine"),
            "scope": body.get("scope"),
        },
    }
    return without_nothing(said)


def outcome(name: str, verdict: str, **said: Any) -> dict[str, Any]:
    """Return one gate or evaluation as OpenLineage's test has it.

    :param verdict: ours; what could not be evaluated has not passed.
    :param said: ``type``, ``expected``, ``actual``, ``description``, ``params``, ``severity``.
    """
    status = {"pass": "pass", "warn": "pass", "unknown": "skip"}.get(verdict, "fail")
    texts = {
        key: value if key == "params" else str(value) for key, value in said.items() if value is not None
    }
    return {"name": name, "status": status, "severity": "warn" if verdict == "warn" else "error"} | texts


def column_metrics(
    profile: Mapping[str, Any] | None, *, masked: Collection[str] = ()
) -> dict[str, Any] | None:
    """Return the numbers of a profile's columns; of masked ones counts alone.

    >>> column_metrics({"rows": 3, "columns": {"km": {"type": "integer", "nulls": 1, "min": 1, "max": 2, "sum": 3}}})
    {'km': {'nullCount': 1, 'count': 2, 'sum': 3, 'min': 1, 'max': 2}}
    """
    if not profile or not profile.get("columns"):
        return None
    rows = profile["rows"]
    found = {}
    for name, column in profile["columns"].items():
        shown = name not in masked and not _SECRET.search(name)
        numbers = {key: _number(column.get(key)) for key in ("sum", "min", "max")} if shown else {}
        found[name] = without_nothing(
            {
                "nullCount": int(column["nulls"]),
                "distinctCount": None if column.get("distinct") is None else round(column["distinct"]),
                "count": rows - int(column["nulls"]),
                **numbers,
            }
        )
    return found


def parameters(values: Mapping[str, Any], *, prefix: str = "") -> dict[str, str]:
    """Return settings as flat texts; whatever may be a secret by its name is hidden.

    >>> parameters({"seed": 7, "module_arguments": {"width": 3, "api_token": "x"}})
    {'seed': '7', 'module_arguments.width': '3', 'module_arguments.api_token': '***'}
    """
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if _SECRET.search(str(key)):
            found[name] = HIDDEN
        elif isinstance(value, dict):
            found |= parameters(value, prefix=f"{name}.")
        elif value is not None:
            found[name] = str(value)
    return found


def without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping without what is ``None``."""
    return {key: value for key, value in values.items() if value is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None

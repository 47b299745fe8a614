"""What an event says its outputs were made from: the lineage facet first, then column lineage."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_dataml.core.column_lineage import ColumnMap, FlowKind, Via
from airflow_dataml.core.openlineage import ALL_COLUMNS, Claim, DatasetName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.core.column_lineage import Method
    from airflow_dataml.core.openlineage_reading import Reading

# An explicit statement of the producer, column lineage of an engine that planned the query, and that of
# Airflow's SQL parser, which knows no schemas and is right for one column in eight.
DECLARED, ENGINE, AIRFLOW_SQL = 1.0, 0.95, 0.12
_AIRFLOW = "https://github.com/apache/airflow"
_FIELD_MOST = 400
_VIA: dict[str, Via] = {
    "FILTER": "filter", "JOIN": "join", "GROUP_BY": "group", "SORT": "sort", "WINDOW": "window",
    "CONDITION": "condition", "CONDITIONAL": "condition",
}  # fmt: skip

_Sources: TypeAlias = dict[DatasetName, set[tuple[str, str, FlowKind, Via]]]
_Mapped: TypeAlias = tuple[tuple[DatasetName, ColumnMap | None], ...]
_T = TypeVar("_T")
_KEPT = 4096
# What nearly every column says of itself.
_COPIED = [{"type": "DIRECT", "subtype": "IDENTITY"}]
_MAPPINGS: dict[bytes, _Mapped] = {}


class ClaimReading:
    """The claims of one event while it is read."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._explicit: dict[DatasetName, _Sources] = {}
        self._columns: dict[DatasetName, _Mapped] = {}
        self._names: dict[tuple[Any, Any], DatasetName | None] = {}

    def claims(self) -> tuple[Claim, ...]:
        """Return one claim per output; an explicit one stands for what column lineage says."""
        said = {dst: Claim(dst, known) for dst, known in self._columns.items()}
        for dst, found in self._explicit.items():
            said[dst] = Claim(dst, _mapped(found, "declared", DECLARED), complete=True)
        return tuple(said.values())

    def dataset(self, dst: DatasetName, facets: Mapping[str, Any], what: str) -> None:
        """Read the facets of an output."""
        lineage, columns = facets.get("lineage"), facets.get("columnLineage")
        if isinstance(lineage, dict):
            self._entry(dst, lineage, f"{what}.lineage")
        if isinstance(columns, dict):
            self._column_lineage(dst, columns, f"{what}.columnLineage")

    def job(self, lineage: Mapping[str, Any]) -> None:
        """Read the lineage facet of the job."""
        for at, entry in _objects(lineage.get("entries")):
            # A target that is a job has no asset that could be an end of an edge.
            if entry.get("type") != "JOB":
                what = f"job.lineage.entries[{at}]"
                name = self._reading.name(entry, what)
                if name:
                    self._entry(name, entry, what)

    def _entry(self, dst: DatasetName, entry: Mapping[str, Any], what: str) -> None:
        sources = self._explicit.setdefault(dst, {})
        targets = {name: one.get("inputs") for name, one in _entries(entry.get("fields"))}
        for column, inputs in [(ALL_COLUMNS, entry.get("inputs")), *targets.items()]:
            for at, source in _objects(inputs):
                # A job that feeds a dataset is no asset either.
                if source.get("type") != "JOB":
                    self._source(sources, column, source, f"{what}.{column or 'inputs'}[{at}]")

    def _column_lineage(self, dst: DatasetName, facet: Mapping[str, Any], what: str) -> None:
        if not isinstance(facet.get("fields"), dict):
            self._reading.problems.append(f"{what} has no fields: left out")
            return
        guessed = str(facet.get("_producer", "")).startswith(_AIRFLOW)
        # A job says the same of its columns in every run.
        text = marshal.dumps((guessed, facet["fields"], facet.get("dataset")), 2)
        known = _MAPPINGS.get(text)
        if known is None:
            sources: _Sources = {}
            before = len(self._reading.problems)
            for column, entry in _entries(facet["fields"]):
                for at, source in _objects(entry.get("inputFields")):
                    self._source(sources, column, source, f"{what}.{column}[{at}]")
            for at, source in _objects(facet.get("dataset")):
                self._source(sources, ALL_COLUMNS, source, f"{what}.dataset[{at}]")
            known = _mapped(sources, "facet", AIRFLOW_SQL if guessed else ENGINE)
            if len(self._reading.problems) == before:
                remember(_MAPPINGS, text, known)
        if known:
            self._columns[dst] = known

    def _source(self, sources: _Sources, column: str, source: Mapping[str, Any], what: str) -> None:
        name = self._name(source, what)
        if name is None:
            return
        flows = sources.setdefault(name, set())
        field = source.get("field")
        if field is None:
            return
        if not _usable(field) or (column and not _usable(column)):
            self._reading.problems.append(f"{what}: {field!r} into {column!r} are no column names: left out")
            return
        kind, via = _kind(source.get("transformations"))
        flows.add(
            (column, field, "indirect", via if via != "value" else "filter")
            if not column
            else (column, field, kind, via)
        )

    def _name(self, source: Mapping[str, Any], what: str) -> DatasetName | None:
        pair = (source.get("namespace"), source.get("name"))
        try:
            return self._names[pair]
        except (KeyError, TypeError):
            name = self._reading.name(source, what)
            if name:
                self._names[pair] = name
            return name


def _mapped(found: _Sources, method: Method, confidence: float) -> _Mapped:
    return tuple(
        (src, ColumnMap(tuple(sorted(flows)), method, confidence) if flows else None)
        for src, flows in found.items()
    )


def remember(kept: dict[bytes, _T], text: bytes, value: _T) -> None:
    """Keep what a text was read as; a cache that is full begins anew."""
    if len(kept) >= _KEPT:
        kept.clear()
    kept[text] = value


def _usable(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _FIELD_MOST and "\x00" not in name


def _entries(items: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(items, dict):
        yield from ((name, one) for name, one in items.items() if isinstance(one, dict) and name)


def _objects(items: object) -> list[tuple[int, dict[str, Any]]]:
    return (
        [(at, one) for at, one in enumerate(items) if isinstance(one, dict)]
        if isinstance(items, list)
        else []
    )


def _kind(transformations: object) -> tuple[FlowKind, Via]:
    """Return how a column takes part; one that does so directly as well counts as direct."""
    if transformations == _COPIED:
        return "direct", "value"
    told = _objects(transformations)
    if not told or any(str(one.get("type")).upper() == "DIRECT" for _, one in told):
        return "direct", "value"
    return "indirect", _VIA.get(str(told[0][1].get("subtype")).upper(), "filter")

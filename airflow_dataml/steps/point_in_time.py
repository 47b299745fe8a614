"""Join in time: stage rows with what was true, and known, at the time of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airflow_dataml.core.point_in_time import (
    SPINE,
    Known,
    PointInTimeJoin,
    check_columns,
    known_when,
    point_in_time_sql,
)
from airflow_dataml.core.refs import VersionRef
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Query
from airflow_dataml.steps.column_maps import column_maps
from airflow_dataml.steps.ingest import stage_source
from airflow_dataml.steps.read import require_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_dataml.core.column_lineage import ColumnParser
    from airflow_dataml.core.datasets import Column, Part, StagedPart, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.ingest import Target


@dataclass(slots=True)
class _Inputs:
    """What the names in the query stand for."""

    bound: dict[str, tuple[Sequence[Part], Sequence[Column]]] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)

    def add(self, name: str, version: Version, parts: Sequence[Part], columns: Sequence[Column]) -> None:
        require_rows(version, parts)
        self.bound[name] = (parts, columns)
        self.versions[name] = version


def stage_point_in_time(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    spine: str,
    time_column: str,
    joins: Sequence[PointInTimeJoin],
    columns: Sequence[str] = (),
    known_at: str | None = None,
    parser: ColumnParser | None = None,
) -> StagedPart:
    """Stage the rows of a dataset, each with what others say of its own time.

    :param spine: the rows, ``name`` or a version of it.
    :param time_column: when a row of it happened.
    :param columns: the columns of it to keep; all unless given.
    :param known_at: a time; every bare name stands for what its readers saw then. A rerun with the same time
        gives the same rows, whatever was corrected since.
    :raises NotFoundError: a dataset, a version or a column is not there.
    :raises VersionNotFoundError: rows that are needed were collected.
    :raises SpecError: two columns would have one name.
    """
    inputs = _Inputs()
    pinned = ledger.versions.find(_at(spine, known_at), branch=target.branch)
    shape = ledger.versions.columns(pinned.version_id)
    inputs.add(SPINE, pinned, ledger.versions.manifest(pinned.version_id), shape)
    versions = [ledger.versions.find(_at(join.dataset, known_at), branch=target.branch) for join in joins]
    theirs = [[c.name for c in ledger.versions.columns(one.version_id)] for one in versions]
    check_columns(
        spine=[c.name for c in shape], joins=zip(joins, theirs, strict=True), time_column=time_column
    )
    known = [
        _known(ledger, inputs, place, join, version)
        for place, (join, version) in enumerate(zip(joins, versions, strict=True))
    ]
    query = point_in_time_sql(
        time_column=time_column,
        columns=list(columns) or [c.name for c in shape],
        joins=list(zip(joins, known, strict=True)),
    )
    source = Query(query, inputs.bound)
    return stage_source(
        ledger=ledger,
        store=store,
        identity=identity,
        target=target,
        source=source,
        digest=digest_of(query=query, inputs={n: v.version_id for n, v in inputs.versions.items()}),
        origin="a point-in-time join",
        inputs=tuple({v.version_id: v for v in inputs.versions.values()}.values()),
        columns=partial(column_maps, ledger=ledger, query=source, versions=inputs.versions, parser=parser),
    )


def _at(ref: str, known_at: str | None) -> str:
    return f"{ref}@{known_at}" if known_at and "@" not in ref else ref


def _known(
    ledger: Ledger, inputs: _Inputs, place: int, join: PointInTimeJoin, version: Version
) -> list[Known]:
    columns = ledger.versions.columns(version.version_id)
    if join.known == "finally":
        name = f"feature_{place}"
        inputs.add(name, version, ledger.versions.manifest(version.version_id), columns)
        return [Known(name)]
    asset = VersionRef.parse(join.dataset).asset
    seen: list[tuple[list[int], datetime]] = []
    parts: dict[int, Part] = {}
    last: dict[int, int] = {}
    for version_id, moment in ledger.versions.seen(asset, until=version.version_id):
        manifest = ledger.versions.manifest(version_id, profiles=False)
        seen.append(([part.part_id for part in manifest], moment))
        parts |= {part.part_id: part for part in manifest}
        last |= dict.fromkeys((part.part_id for part in manifest), version_id)
    found = []
    for number, ((since, until), ids) in enumerate(known_when(seen=seen).items()):
        name = f"feature_{place}_{number}"
        holder = version if until is None else ledger.versions.by_id(last[ids[0]])
        inputs.add(name, holder, [parts[one] for one in ids], columns)
        found.append(Known(name, since, until))
    return found

"""The switch: one commit after which readers of a Delta table see exactly the parts of a version.

A manifest is absolute, so it also replaces what an unfinished publication of ours left in the table.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.delta.files import split_locator
from airflow_dataml.adapters.delta.log import ASSET, COPIES, FACT, DeltaLog
from airflow_dataml.adapters.delta.types import arrow_type
from airflow_dataml.core.errors import DataMLError, SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.stores import NewPart, Switched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.delta.files import Folder
    from airflow_dataml.adapters.delta.log import Commit
    from airflow_dataml.adapters.delta.parts import PartFiles
    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.stores import Change, Place

Copies = dict[int, str]


def switch(
    files: PartFiles,
    *,
    place: Place,
    change: Change,
    columns: Sequence[Column],
    parts: Sequence[Part],
    over_others: bool = False,
) -> Switched:
    """Commit a version, or find the commit that an earlier try made for it.

    It costs one commit, whatever the size of the data. Only where the table's columns change other than
    by new ones, or a file has a type the table no longer has, files are written anew.

    :param over_others: replace what somebody else wrote to the table.
    :raises SpecError: the table is not this dataset's, or the batch has rows of another partition key.
    :raises StaleVersionError: somebody else wrote to the table.
    :raises GateError: a row breaks a constraint that the table got after the batch was staged.
    :raises NotFoundError: a file of the version is gone.
    """
    folder = files.folder(place.location)
    _check_parts(folder, place, parts)
    _check_partition(files, place, change)
    log = files.log(folder.uri)
    head = _head(log, place, change) if log and not over_others else None
    if log and head and head.fact == change.fact and _shows(log, head.copies, columns, parts):
        return _switched(files, place, head.version, head.copies, columns, parts)
    if log and (to := _restorable(files, log, place, change, columns, parts)) is not None:
        made = log.restore(to, mark=_mark(place, change, {}))
        return _switched(files, place, made, {}, columns, parts)
    copies = _copies(log, change, columns, parts)
    for part in parts:
        if part.part_id in copies:
            schema = _cast(part, columns)
            folder.write(copies[part.part_id], schema, files.aligned(part, schema))
    made = _commit(files, log, place, change, copies, columns, parts)
    return _switched(files, place, made, copies, columns, parts)


def _commit(
    files: PartFiles,
    log: DeltaLog | None,
    place: Place,
    change: Change,
    copies: Copies,
    columns: Sequence[Column],
    parts: Sequence[Part],
) -> int:
    folder = files.folder(place.location)
    seen = log.files if log else {}
    wanted = _names(parts, copies)
    adds = {name: folder.statistics(name) for name in wanted if name not in seen}
    mark = _mark(place, change, copies)
    if log is None:
        return DeltaLog.create(folder.uri, files.options, columns=columns, adds=adds, mark=mark)
    for name in adds:
        files.check_later_constraints(name, log)
    return log.commit(
        columns=columns,
        adds=adds,
        removes={name: size for name, size in seen.items() if name not in wanted},
        mark=mark,
        moved=change.mode != "compact",
    )


def _switched(
    files: PartFiles,
    place: Place,
    version: int,
    copies: Mapping[int, str],
    columns: Sequence[Column],
    parts: Sequence[Part],
) -> Switched:
    manifest = [
        _copied(files, place, part, copies[part.part_id], columns) if part.part_id in copies else part
        for part in parts
    ]
    return Switched(tuple(manifest), {"delta_version": version, "table": place.location})


def _copied(files: PartFiles, place: Place, part: Part, name: str, columns: Sequence[Column]) -> NewPart:
    """The successor of a part whose rows were written anew, of other types or only elsewhere."""
    folder, schema = files.folder(place.location), _cast(part, columns)
    fingerprint, profile = part.fingerprint, part.profile
    if schema != part.columns:
        made = files.describe(place=place, name=name, columns=schema, grids=_grids(profile))
        fingerprint, profile = made.fingerprint, made.profile
    return NewPart(
        locator=folder.locator(name),
        columns=schema,
        fingerprint=fingerprint,
        profile=profile,
        bytes=folder.size(name),
        partition_key=part.partition_key,
        role=part.role,
        replaces=(part.part_id,),
    )


def _head(log: DeltaLog, place: Place, change: Change) -> Commit | None:
    """Return our newest commit, on a table that is ours.

    A first publication that was not finished left a table the ledger knows nothing of: one commit, with
    this dataset's name in it.
    """
    if not place.ours:
        newest = next(log.commits(1), None)
        if (
            newest is None
            or newest.asset != place.asset
            or not (newest.version == 0 or newest.fact == change.fact)
        ):
            msg = f"{place.location} is a Delta table that {place.asset!r} did not publish and it would be replaced: choose another uri, or move the table away first."
            raise SpecError(msg)
    return log.head(place.asset)


def _check_parts(folder: Folder, place: Place, parts: Sequence[Part]) -> None:
    for part in parts:
        if split_locator(part.locator)[0] != folder.uri:
            msg = f"part {part.part_id} of {place.asset!r} lies in {part.locator}, not in the Delta table {folder.uri}: publish with mode='replace' to move the dataset."
            raise SpecError(msg)


def _check_partition(files: PartFiles, place: Place, change: Change) -> None:
    """Refuse a batch with rows of another partition; its partition column alone is read."""
    column, batch = place.layout.partition_column, change.batch
    if change.mode != "partition" or batch is None or column not in {c.name for c in batch.columns}:
        return
    compute = load("pyarrow.compute", extra="delta")
    for rows in files.read(batch, [column]):
        for value in compute.unique(rows.column(column)).to_pylist():
            if (str(value).lower() if isinstance(value, bool) else str(value)) != batch.partition_key:
                msg = f"the batch of {place.asset!r} for partition key {batch.partition_key!r} has rows with {column} = {value!r}: correct the batch, or its partition key."
                raise SpecError(msg)


def _shows(
    log: DeltaLog, copies: Mapping[int, str], columns: Sequence[Column], parts: Sequence[Part]
) -> bool:
    """Whether readers of the table see these parts, and nothing else."""
    return log.same_columns(columns) and set(log.files) == set(_names(parts, copies))


def _restorable(
    files: PartFiles,
    log: DeltaLog,
    place: Place,
    change: Change,
    columns: Sequence[Column],
    parts: Sequence[Part],
) -> int | None:
    """The commit to restore: where a rollback takes columns away, which no other commit does without copies.

    A restoration brings back constraints and properties too, so these must not have changed.
    """
    to = change.to or {}
    if change.mode != "rollback" or to.get("table") != place.location or log.same_columns(columns):
        return None
    version = to.get("delta_version")
    try:
        then = log.at(version) if isinstance(version, int) else None
    except DataMLError:
        return None
    if then is None or then.configuration != log.configuration or not _shows(then, {}, columns, parts):
        return None
    return version


def _copies(log: DeltaLog | None, change: Change, columns: Sequence[Column], parts: Sequence[Part]) -> Copies:
    """Which parts have to be written anew, and where."""
    grows = log is None or log.same_columns(columns) or log.fresh_columns(columns)
    seen = log.files if log else {}
    return {
        part.part_id: _copy_name(change, part)
        for part in parts
        if _cast_differs(part, columns) or (not grows and split_locator(part.locator)[1] in seen)
    }


def _copy_name(change: Change, part: Part) -> str:
    digest = hashlib.sha256(f"{change.fact}~{part.part_id}".encode()).hexdigest()[:16]
    return f"dataml-{digest}.parquet"


def _cast(part: Part, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The part's own columns, with the types of the table where a Delta table has others for them."""
    wanted = {c.name: c for c in columns}
    return tuple(
        wanted[c.name] if c.name in wanted and arrow_type(wanted[c.name]) != arrow_type(c) else c
        for c in part.columns
    )


def _cast_differs(part: Part, columns: Sequence[Column]) -> bool:
    return _cast(part, columns) != part.columns


def _names(parts: Sequence[Part], copies: Mapping[int, str]) -> list[str]:
    return [copies.get(part.part_id) or split_locator(part.locator)[1] for part in parts]


def _mark(place: Place, change: Change, copies: Mapping[int, str]) -> dict[str, Any]:
    """What a commit says of itself, so that it is found again."""
    mark: dict[str, Any] = {FACT: change.fact, ASSET: place.asset}
    return mark | ({COPIES: {str(part_id): name for part_id, name in copies.items()}} if copies else {})


def _grids(profile: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {
        name: (column["grid"][0], column["grid"][1])
        for name, column in profile.get("columns", {}).items()
        if column.get("grid")
    }

"""Diff: what is between two versions of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.diffs import (
    VersionDiff,
    VersionSide,
    common_columns,
    distribution_deltas,
    masked,
    profile_of,
)
from airflow_dataml.core.errors import NotFoundError, SpecError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.core.stores import RowDiff
from airflow_dataml.steps.read import require_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_dataml.core.datasets import Column, Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.stores import DatasetStore


def diff_versions(
    *,
    ledger: Ledger,
    store: DatasetStore,
    old: str,
    new: str,
    keys: Sequence[str] | None = None,
    samples: int = 5,
    branch: str | None = None,
    mask: Collection[str] = (),
) -> VersionDiff:
    """Compare schema, rows and distributions of two versions.

    Rows are read of the parts only one of them has; of equal fingerprints none are. Where rows are gone,
    schema and distributions are compared all the same and the diff says what was not.

    :param old: ``name`` (current), ``name@number``, ``name@alias`` or ``name@time``; so too ``new``.
    :param keys: columns that name a row; those of the dataset's layout unless given, and with ``()`` a
        changed row is one deleted and one inserted.
    :param samples: rows of each kind to show; they are data, so think of ``mask`` where others read them.
    :param branch: where a bare name of ``new`` is looked for first.
    :param mask: columns whose values are not shown.
    :raises SpecError: a key or a masked column does not exist, or keys do not name one row each.
    :raises NotFoundError: there is no such version.
    """
    before, after = ledger.versions.find(old), ledger.versions.find(new, branch=branch)
    schemas = [ledger.versions.columns(v.version_id) for v in (before, after)]
    names = list(dict.fromkeys(c.name for schema in reversed(schemas) for c in schema))
    for what, wanted in (("masked column", mask), ("key column", keys or ())):
        for name in wanted:
            if name not in names:
                raise SpecError(str(NotFoundError.from_available(what, name, names)))
    manifests = [ledger.versions.manifest(v.version_id) for v in (before, after)]
    columns = common_columns(*schemas)
    chosen = _keys(ledger, after, columns) if keys is None else tuple(keys)
    rows, unread = _rows(store, (before, after), manifests, columns, keys=chosen, samples=samples)
    profiles = [profile_of([part.profile for part in parts]) for parts in manifests]
    diff = VersionDiff(
        old=VersionSide.of(before),
        new=VersionSide.of(after),
        schema=diff_schemas(*schemas),
        rows=rows,
        columns=distribution_deltas(*profiles, columns=names),
        unread=unread,
    )
    return masked(diff, mask)


def _keys(ledger: Ledger, version: Version, columns: Sequence[Column]) -> tuple[str, ...]:
    keys = Layout.from_location(ledger.assets.get(version.asset)["location"]).keys
    return keys if set(keys) <= {c.name for c in columns} else ()


def _rows(
    store: DatasetStore,
    versions: tuple[Version, Version],
    manifests: Sequence[Sequence[Part]],
    columns: Sequence[Column],
    *,
    keys: tuple[str, ...],
    samples: int,
) -> tuple[RowDiff | None, str | None]:
    """The row diff, or why there is none."""
    before, after = versions
    shared = {p.part_id for p in manifests[0]} & {p.part_id for p in manifests[1]}
    if _equal(before, after):
        return RowDiff(keys, 0, 0, 0, samples=_none(), shared_parts=len(manifests[1])), None
    if not columns:
        return None, "the two have no column in common"
    for version, parts in zip(versions, manifests, strict=True):
        own = [p for p in parts if p.part_id not in shared]
        if foreign := {p.store for p in own} - {store.name}:
            return None, f"{version.ref} is kept as {', '.join(sorted(foreign))} and not as {store.name}"
        try:
            if own or not parts:
                require_rows(version, own)
        except VersionNotFoundError as err:
            return None, str(err).rstrip(".")
    old, new = manifests
    return store.compare(columns=columns, keys=keys, old=old, new=new, samples=samples), None


def _equal(before: Version, after: Version) -> bool:
    """Whether two versions are known to hold the same; sums over several ways of hashing say nothing."""
    known = before.fingerprint is not None and not before.fingerprint.startswith("mixed")
    alike = (before.fingerprint, before.schema_hash) == (after.fingerprint, after.schema_hash)
    return before.version_id == after.version_id or (known and alike)


def _none() -> dict[str, list[object]]:
    return {"inserted": [], "updated": [], "deleted": []}

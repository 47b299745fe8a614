"""Diff: what is between two versions of a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.diff_gate import DiffGate
from airflow_dataml.core.diff_text import summary
from airflow_dataml.core.diffs import (
    VersionDiff,
    VersionSide,
    common_columns,
    distribution_deltas,
    masked,
)
from airflow_dataml.core.errors import NotFoundError, SpecError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.profile_view import version_profile
from airflow_dataml.core.rollbacks import path_of
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.core.stores import RowDiff
from airflow_dataml.steps.read import require_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_dataml.core.datasets import Column, Part, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)


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
    profiles = [version_profile(*side) for side in zip(schemas, manifests, strict=True)]
    diff = VersionDiff(
        old=VersionSide.of(before),
        new=VersionSide.of(after),
        schema=diff_schemas(*schemas),
        rows=rows,
        columns=distribution_deltas(*profiles, columns=_profiled(names, schemas, profiles)),
        unread=unread,
    )
    return masked(diff, mask)


def keep_diff(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    old: str,
    new: str,
    gate: DiffGate | None = None,
    branch: str | None = None,
    keys: Sequence[str] | None = None,
    samples: int = 0,
    mask: Collection[str] = (),
    hide: Collection[str] = (),
) -> Report:
    """Compare two versions and keep the diff as a report on the new one; a retry adopts its earlier try's.

    Parameters and errors are those of ``diff_versions``; what refuses is the caller's to raise.

    :param gate: what may differ; the report's verdict and ``reasons`` say whether it held.
    :param samples: rows of each kind to keep; they stay in the ledger for ever.
    :param hide: columns to mask as well, as far as a version has them.
    """
    before, after = ledger.versions.find(old), ledger.versions.find(new, branch=branch)
    rules = gate or DiffGate()
    have = {c.name for v in (before, after) for c in ledger.versions.columns(v.version_id)}
    unseen = sorted({*mask, *(name for name in hide if name in have)})
    said = {"keys": None if keys is None else list(keys), "samples": samples, "mask": unseen}
    digest = digest_of(
        old=before.version_id, new=after.version_id, gate=rules.model_dump(mode="json"), **said
    )
    run = ledger.runs.begin(identity, input_digest=digest)
    report = ledger.reports.of_fact(run.fact(after.asset), "diff")
    if report is not None:
        log.info("An earlier try compared %s with %s (report %d); kept", old, new, report.report_id)
        return report
    found = diff_versions(
        ledger=ledger, store=store, old=before.ref, new=after.ref, keys=keys, samples=samples, mask=unseen
    )
    return record_diff(ledger=ledger, run=run, found=found, gate=rules)


def record_diff(*, ledger: Ledger, run: TaskRun, found: VersionDiff, gate: DiffGate | None = None) -> Report:
    """Write a diff that was made as a report on the newer version, with the verdict of a gate."""
    rules, after = gate or DiffGate(), ledger.versions.find(found.new.ref)
    verdict, reasons = rules.judge(found)
    body = found.to_dict() | {
        "summary": "; ".join(reasons) or summary(found),
        "reasons": list(reasons),
        "gate": rules.model_dump(mode="json", exclude_defaults=True),
    }
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(after.asset),
            kind="diff",
            verdict=verdict,
            body=body,
            version_id=after.version_id,
        )
        ledger.runs.finish(run)
    log.info("%s -> %s: %s, %s", found.old.ref, found.new.ref, verdict, body["summary"])
    return report


def diff_facts(report: Report) -> dict[str, Any]:
    """Return what later tasks need to know of a kept diff."""
    rows = report.body["rows"] or {}
    return {
        "report": report.report_id,
        "verdict": report.verdict,
        "old": report.body["old"]["ref"],
        "new": report.body["new"]["ref"],
        "same": report.body["same"],
        **{kind: rows.get(kind) for kind in ("inserted", "updated", "deleted")},
        "summary": report.body["summary"],
    }


def version_before(ledger: Ledger, version: Version, *, branch: str | None = None) -> Version | None:
    """Return what readers saw before they saw a version; nothing if it was the first they saw."""
    moves = ledger.pointers.moves(version.asset, branch or CURRENT)
    if branch is not None:
        heads = ledger.branches.get(branch).heads
        moves = [*(h.base_id for h in heads if h.asset == version.asset), *moves]
    if version.version_id not in moves:
        return None
    path = path_of(moves[: moves.index(version.version_id) + 1])
    return ledger.versions.by_id(path[-2]) if len(path) > 1 else None


def _profiled(
    names: Sequence[str], schemas: Sequence[Sequence[Column]], profiles: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The columns whose distribution is known in each version that has them."""
    unknown = {
        column.name
        for schema, profile in zip(schemas, profiles, strict=True)
        for column in schema
        if column.name not in profile["columns"]
    }
    return [name for name in names if name not in unknown]


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

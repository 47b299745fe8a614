"""Compact: many small parts become one; the content stays what it was."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import GateError, StaleVersionError, VersionNotFoundError
from airflow_dataml.core.retention import plan_compaction
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.publish import grids_of, switch
from airflow_dataml.steps.read import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.retention import CompactionPolicy
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Place

log = logging.getLogger(__name__)


def compact(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    place: Place,
    policy: CompactionPolicy,
) -> Version:
    """Write the small parts of what readers see together, as a new version of equal content.

    The parts are written before the dataset is locked; readers and publishers wait for the switch alone.

    :returns: the new version, or the one there is when nothing is worth the while.
    :raises VersionNotFoundError: readers of the place see nothing yet, or nothing any more.
    :raises StaleVersionError: a batch replaced one of the parts meanwhile, or retention took it; the next run
        sees the new state.
    :raises GateError: a part would have come out with other content; nothing was changed.
    """
    branch = None if place.alias == CURRENT else place.alias
    parent = ledger.versions.head(place.asset, branch=branch)
    if parent is None:
        msg = f"{place.asset!r} has nothing published at {place.location}, so there is nothing to compact."
        raise VersionNotFoundError(msg)
    manifest = ledger.versions.manifest(parent.version_id)
    groups = plan_compaction(manifest, policy)
    run = ledger.runs.begin(
        identity, input_digest=digest_of(version=parent.version_id, policy=policy.model_dump(mode="json"))
    )
    done = ledger.versions.of_fact(run.fact(place.asset))
    if done is not None or not groups:
        log.info("%s has nothing to compact", parent.ref) if done is None else None
        ledger.runs.finish(run)
        return done or parent
    columns = ledger.versions.columns(parent.version_id)
    if any(part is not None and part.state != "live" for part in _earlier(ledger, run, place, groups)):
        # Retention gave up what an earlier try wrote.
        run = ledger.runs.renew(run)
    made = [_write(ledger, store, run, place, group, parent) for group in groups]
    with ledger.transaction():
        ledger.assets.lock(place.asset)
        head = ledger.versions.head(place.asset, branch=branch) or parent
        _require_live(ledger, made)
        parts = _substituted(ledger.versions.manifest(head.version_id), made)
        version = switch(
            ledger,
            store,
            run,
            place=place,
            change=Change("compact", str(run.fact(place.asset))),
            parent=head,
            parts=parts,
            columns=ledger.versions.columns(head.version_id) or columns,
            facts={"mode": "compact", "compacted": {str(p.part_id): list(p.replaces) for p in made}},
        )
        if version.fingerprint != head.fingerprint:
            msg = f"compacting {head.ref} came to {version.fingerprint}, not {head.fingerprint}; nothing was changed."
            raise GateError(msg)
        ledger.runs.finish(run)
    log.info("Compacted %s into %s: %d parts, were %d", head.ref, version.ref, len(parts), len(manifest))
    return version


def _earlier(
    ledger: Ledger, run: TaskRun, place: Place, groups: Sequence[Sequence[Part]]
) -> list[Part | None]:
    return [ledger.versions.part_of(_fact(run, place, group)) for group in groups]


def _fact(run: TaskRun, place: Place, group: Sequence[Part]) -> FactKey:
    return run.fact(place.asset).of(f"compact{group[0].part_id}")


def _require_live(ledger: Ledger, made: Sequence[Part]) -> None:
    """Refuse parts that retention gave up between being written and published."""
    if gone := [p.part_id for p in made if ledger.versions.part(p.part_id).state != "live"]:
        msg = f"parts {gone}, which were to replace smaller ones, were collected before they were published: run it again."
        raise StaleVersionError(msg)


def _write(
    ledger: Ledger, store: DatasetStore, run: TaskRun, place: Place, group: Sequence[Part], parent: Version
) -> Part:
    fact = _fact(run, place, group)
    found = ledger.versions.part_of(fact)
    if found is not None:
        return found
    log.info("Writing %d parts of %s as one", len(group), parent.ref)
    with reading(ledger, [parent]), ledger.transaction():
        new = store.compact(
            fact=fact,
            place=place,
            columns=ledger.versions.columns(parent.version_id),
            parts=group,
            grids=grids_of(ledger, place.asset),
        )
        return ledger.versions.add_part(
            run=run,
            fact=fact,
            part=replace(new, partition_key=group[0].partition_key, replaces=tuple(p.part_id for p in group)),
            store=store.name,
            inputs=sorted({source for part in group for source in part.inputs}),
            parent_id=parent.version_id,
        )


def _substituted(current: Sequence[Part], made: Sequence[Part]) -> list[Part]:
    """Put each new part where the first of those it stands for was."""
    here = {part.part_id for part in current}
    first = {part.replaces[0]: part for part in made}
    gone = {old for part in made for old in part.replaces}
    if lost := gone - here:
        msg = f"parts {sorted(lost)} were replaced while they were being compacted: run it again."
        raise StaleVersionError(msg)
    return [first.get(p.part_id, p) for p in current if p.part_id in first or p.part_id not in gone]

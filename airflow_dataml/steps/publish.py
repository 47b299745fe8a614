"""Publish: a verified part becomes part of the current version, in one transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT, Part
from airflow_dataml.core.errors import QualityGateError, StaleVersionError
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change, Place
from airflow_dataml.steps.manifests import outcome_of, require_compatible
from airflow_dataml.steps.settle import require_replayable, settle, standing_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.datasets import Column, StagedPart, Version
    from airflow_dataml.core.layout import Layout
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Grids, NewPart

log = logging.getLogger(__name__)


def publish_part(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    staged: StagedPart,
    place: Place,
    require_check: bool = True,
    allow_breaking: bool = False,
) -> Version:
    """Make a staged part current: what readers see, version, lineage, alias and audit move together.

    Of a batch whose rows at fault were set aside, the rest is published.

    :param place: what readers name; it is locked for the length of this transaction only.
    :param require_check: refuse a part that no passed check speaks for.
    :param allow_breaking: publish though columns are gone or of another type.
    :raises QualityGateError: the part was refused, never checked, or would break its readers.
    :raises StaleVersionError: the checks or the merge looked at a version that is no longer current, or the batch
        brings back rows that somebody else did.
    """
    run = ledger.runs.begin(identity, input_digest=digest_of(part=staged.part_id, view=place.location))
    with ledger.transaction():
        version = publish_within(
            ledger, store, run, staged, place, require_check=require_check, allow_breaking=allow_breaking
        )
        ledger.runs.finish(run)
    return version


def publish_within(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    staged: StagedPart,
    place: Place,
    *,
    require_check: bool,
    allow_breaking: bool = False,
) -> Version:
    """Make a staged part current within the caller's transaction, or return the version that it is in already."""
    ledger.assets.lock(staged.asset)
    batch = standing_for(ledger, staged)
    version = ledger.versions.of_fact(run.fact(staged.asset)) or ledger.versions.bringing(batch.part_id)
    if version is not None:
        log.info("An earlier try published %s; kept", version.ref)
        return version
    replayed = require_replayable(ledger, staged)
    version = _publish(
        ledger, store, run, batch, place, require_check=require_check, allow_breaking=allow_breaking
    )
    settle(ledger, run, version=version, staged=batch, replayed=replayed, alias=place.alias)
    log.info("Published %s: %s rows, fingerprint %s", version.ref, version.rows, version.fingerprint)
    return version


def _publish(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    staged: StagedPart,
    place: Place,
    *,
    require_check: bool,
    allow_breaking: bool,
) -> Version:
    outcome = outcome_of(ledger, staged, profiles=False)
    if require_check:
        _gate(ledger, staged, outcome.parent)
    require_compatible(ledger, outcome, allow_breaking=allow_breaking)
    fresh = {staged.part_id, *staged.rewrites}
    parts = [settle_profile(ledger, store, p) if p.part_id in fresh else p for p in outcome.parts]
    facts: dict[str, Any] = {
        "mode": staged.mode,
        "part_id": outcome.part.part_id,
        "batch_rows": outcome.part.rows,
    }
    if outcome.diff.changes:
        facts["schema"] = outcome.diff.to_dict()
    change = Change(mode=staged.mode, fact=str(run.fact(staged.asset)), batch=outcome.part, keys=staged.keys)
    return switch(
        ledger,
        store,
        run,
        place=place,
        change=change,
        parent=outcome.parent,
        parts=parts,
        columns=outcome.columns,
        facts=facts,
    )


def switch(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    *,
    place: Place,
    change: Change,
    parent: Version | None,
    parts: Sequence[Part],
    columns: Sequence[Column],
    facts: Mapping[str, Any],
) -> Version:
    """Make a new version of these parts the one readers see; the caller holds the asset's lock.

    :param parent: what readers see now.
    :param facts: what the new version should know besides what the store says of it.
    """
    place = under_lock(ledger, place)
    switched = store.switch(place=place, change=change, columns=columns, parts=parts)
    fact = run.fact(place.asset)
    known = entered(ledger, store, run, place.asset, switched.parts)
    inputs = change.batch.inputs if change.batch else ()
    version = ledger.versions.add(
        run=run,
        fact=fact,
        parts=known,
        columns=columns,
        parent_id=parent.version_id if parent else None,
        partition_key=change.batch.partition_key if change.batch else None,
        facts={**facts, **switched.facts, "location": place.location},
    )
    sources = dict.fromkeys((*inputs, *(source for part in known for source in part.inputs)))
    maps = ledger.columns.of_parts([part.part_id for part in known]) if sources else {}
    node = version_node(version.version_id)
    ledger.lineage.add(
        (Edge(version_node(source), node, "derived", maps.get(source)) for source in sources), run=run
    )
    move_pointer(ledger, run, version, place, action="publish")
    return version


def move_pointer(
    ledger: Ledger, run: TaskRun, version: Version, place: Place, *, action: str, **detail: Any
) -> None:
    """Point a place at a version: alias, audit, and the end of a data incident; the store has switched."""
    ledger.versions.move_alias(asset=version.asset, name=place.alias, version_id=version.version_id, run=run)
    if not place.ours:
        published = ledger.assets.get(version.asset)["location"].get("published", [])
        ledger.assets.set_location(version.asset, {"published": sorted({*published, place.location})})
    if place.alias == CURRENT and action == "publish":
        aside = ledger.quarantine.reports(version.asset)
        for incident in ledger.incidents.open_data([version.asset]):
            about_it = incident.partition_key == version.partition_key
            if about_it and not aside.get(incident.report_id):
                ledger.incidents.resolve(
                    incident.incident_id, resolution=f"the batch came again and passed: {version.ref}"
                )
    ledger.audit.add(
        action=action,
        subject=version.ref,
        run=run,
        detail={
            "rows": version.rows,
            "fingerprint": version.fingerprint,
            "partition_key": version.partition_key,
            **({"branch": place.alias} if place.alias != CURRENT else {}),
            **detail,
        },
    )


def settle_profile(ledger: Ledger, store: DatasetStore, part: Part) -> Part:
    """Bring a part's histograms to the dataset's edges; the first published part chooses them.

    A staged part is profiled on edges of its own, so a batch that is refused never decides how later
    ones are seen.
    """
    grids = dict(ledger.assets.lock(part.asset)["location"].get("grids", {}))
    own = {
        name: column["grid"] for name, column in part.profile.get("columns", {}).items() if column.get("grid")
    }
    fresh = {name: grid for name, grid in own.items() if name not in grids}
    if fresh:
        ledger.assets.set_location(part.asset, {"grids": grids | fresh})
    if all(grids.get(name, grid) == grid for name, grid in own.items()):
        return part
    edges: Grids = {name: (low, high) for name, (low, high) in (own | grids).items()}
    return ledger.versions.set_profile(part.part_id, store.profile(part, edges))


def grids_of(ledger: Ledger, asset: str) -> Grids:
    """Return the edges of the histograms a dataset has published so far."""
    published = ledger.assets.get(asset)["location"].get("grids", {})
    return {name: (low, high) for name, (low, high) in published.items()}


def place_of(
    ledger: Ledger, asset: str, location: str, layout: Layout, *, branch: str | None = None
) -> Place:
    """Return a dataset's home, and whether what stands there is ours."""
    facts = ledger.assets.get(asset)["location"]
    head = ledger.versions.alias(asset, CURRENT)
    ours = location in facts.get("published", ()) or (
        head is not None and head.facts.get("table") == location
    )
    return Place(asset=asset, location=location, layout=layout, alias=branch or CURRENT, ours=ours)


def entered(
    ledger: Ledger, store: DatasetStore, run: TaskRun, asset: str, parts: Sequence[Part | NewPart]
) -> list[Part]:
    """Write down the parts that a switch itself made; what they stand for says what they were made from."""
    return [
        part
        if isinstance(part, Part)
        else ledger.versions.add_part(
            run=run,
            fact=run.fact(asset).of(f"switch{number}"),
            part=part,
            store=store.name,
            inputs=sorted({i for old in part.replaces for i in ledger.versions.part(old).inputs}),
        )
        for number, part in enumerate(parts)
    ]


def under_lock(ledger: Ledger, place: Place) -> Place:
    """Return a place as it is now that the asset is locked: another task may just have made the view."""
    branch = None if place.alias == CURRENT else place.alias
    if branch is not None:
        # Before its view is made: whoever drops the branch waits for this, or this finds it dropped.
        ledger.branches.join(name=branch, asset=place.asset)
    return place_of(ledger, place.asset, place.location, place.layout, branch=branch)


def _gate(ledger: Ledger, staged: StagedPart, parent: Version | None) -> None:
    report = ledger.reports.latest(asset=staged.asset, kind="check", part_id=staged.part_id)
    if report is None:
        msg = f"the staged batch of {staged.asset!r} was never checked, so it is not published: run a quality check on it first."
        raise QualityGateError(msg)
    if Verdict(report.verdict).blocks:
        msg = f"the staged batch of {staged.asset!r} was refused (report {report.report_id}, verdict {report.verdict}); it is not published."
        raise QualityGateError(msg, report.body)
    checked_on = report.body.get("parent_id")
    if report.body.get("scope") == "result" and checked_on != (parent.version_id if parent else None):
        msg = (
            f"the checks of {staged.asset!r} looked at the batch on top of version id {checked_on}, and "
            f"{parent.ref if parent else 'nothing'} is current now: run the batch again."
        )
        raise StaleVersionError(msg)

"""Publish: a verified part becomes part of the current version, in one transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import next_manifest, schema_hash
from airflow_dataml.core.errors import QualityGateError, SpecError, StaleVersionError
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.datasets import Part, StagedPart, Version, WriteMode
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)


def publish_part(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    staged: StagedPart,
    view: Relation,
    require_check: bool = True,
) -> Version:
    """Make a staged part current: view, version, lineage, alias and audit move together.

    :param view: what readers query; it is locked for the length of this transaction only.
    :param require_check: refuse a part that no passed check speaks for.
    :raises QualityGateError: the part was refused, or never checked.
    :raises StaleVersionError: the checks looked at the result on top of a version that is no longer current.
    """
    run = ledger.runs.begin(identity, input_digest=digest_of(part=staged.part_id, view=str(view)))
    with ledger.transaction():
        ledger.assets.lock(staged.asset)
        fact = run.fact(staged.asset)
        version = ledger.versions.of_fact(fact) or ledger.versions.bringing(staged.part_id)
        if version is None:
            version = _publish(ledger, warehouse, run, staged, view, require_check=require_check)
            log.info("Published %s: %s rows, fingerprint %s", version.ref, version.rows, version.fingerprint)
        else:
            log.info("An earlier try published %s; kept", version.ref)
        ledger.runs.finish(run)
    return version


def _publish(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    staged: StagedPart,
    view: Relation,
    *,
    require_check: bool,
) -> Version:
    part = ledger.versions.part(staged.part_id)
    if part.asset != staged.asset:
        msg = f"part {part.part_id} belongs to {part.asset!r} and was handed over as one of {staged.asset!r}."
        raise SpecError(msg)
    parent = ledger.versions.alias(staged.asset, "current")
    if require_check:
        _gate(ledger, staged, parent)
    current = ledger.versions.manifest(parent.version_id) if parent else ()
    _same_schema(staged, part, current)
    part = settle_profile(ledger, warehouse, part)
    facts = {"mode": staged.mode}
    return switch(ledger, warehouse, run, part, parent, view=view, mode=staged.mode, facts=facts)


def switch(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    part: Part,
    parent: Version | None,
    *,
    view: Relation,
    mode: WriteMode,
    facts: Mapping[str, Any],
) -> Version:
    """Make a part current: view, version, lineage, alias and audit; the caller holds the asset's lock.

    :param parent: the version that is current now.
    :param facts: what the new version should know besides its table, its part and the batch's rows.
    """
    current = ledger.versions.manifest(parent.version_id) if parent else ()
    manifest = next_manifest(current, part, mode=mode)
    # Only the view this dataset was published as before may be replaced.
    ours = parent is not None and parent.facts.get("table") == str(view)
    warehouse.point_view(view, part.columns, manifest, ours=ours)
    version = ledger.versions.add(
        run=run,
        fact=run.fact(part.asset),
        parts=manifest,
        columns=part.columns,
        parent_id=parent.version_id if parent else None,
        partition_key=part.partition_key,
        facts={"table": str(view), "part_id": part.part_id, "batch_rows": part.rows, **facts},
    )
    _record_publication(ledger, run, version, manifest)
    return version


def settle_profile(ledger: Ledger, warehouse: Warehouse, part: Part) -> Part:
    """Bring a part's histograms to the dataset's edges; the first published part chooses them.

    A staged part is profiled on edges of its own, so a batch that is refused never decides how later
    ones are seen.
    """
    grids = dict(ledger.assets.lock(part.asset)["location"].get("grids", {}))
    own = {name: column["grid"] for name, column in part.profile["columns"].items() if column.get("grid")}
    fresh = {name: grid for name, grid in own.items() if name not in grids}
    if fresh:
        ledger.assets.set_location(part.asset, {"grids": grids | fresh})
    if all(grids.get(name, grid) == grid for name, grid in own.items()):
        return part
    edges = {name: (low, high) for name, (low, high) in (own | grids).items()}
    return ledger.versions.set_profile(part.part_id, warehouse.profile(part.relation, part.columns, edges))


def _record_publication(ledger: Ledger, run: TaskRun, version: Version, manifest: tuple[Part, ...]) -> None:
    """Write what follows from a new dataset version: lineage, pointer, audit, and the end of a data incident."""
    inputs = dict.fromkeys(source for part in manifest for source in part.inputs)
    ledger.lineage.add(
        (Edge(version_node(source), version_node(version.version_id), "derived") for source in inputs),
        run=run,
    )
    ledger.versions.move_alias(asset=version.asset, name="current", version_id=version.version_id, run=run)
    for incident in ledger.incidents.open_data([version.asset]):
        if incident.partition_key == version.partition_key:
            ledger.incidents.resolve(
                incident.incident_id, resolution=f"the batch came again and passed: {version.ref}"
            )
    ledger.audit.add(
        action="publish",
        subject=version.ref,
        run=run,
        detail={
            "rows": version.rows,
            "fingerprint": version.fingerprint,
            "partition_key": version.partition_key,
        },
    )


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


def _same_schema(staged: StagedPart, part: Part, current: tuple[Part, ...]) -> None:
    if (
        not current
        or staged.mode == "replace"
        or schema_hash(part.columns) == schema_hash(current[-1].columns)
    ):
        return
    old, new = dict.fromkeys(current[-1].columns), dict.fromkeys(part.columns)
    gone, came = [c for c in old if c not in new], [c for c in new if c not in old]
    msg = (
        f"the batch of {staged.asset!r} has another schema than the current version: gone "
        f"{[f'{c.name} {c.type}' for c in gone]}, new {[f'{c.name} {c.type}' for c in came]}. "
        "Publish with mode='replace' to change the schema."
    )
    raise QualityGateError(msg)

"""Snapshot: a version of a table somebody else writes."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.core.stores import NewPart, Place, Query
from airflow_dataml.steps.publish import grids_of

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.ports_observer import Observation, TableObserver
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Rows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """What is to be looked at.

    :param source: the table's name, as its owner calls it.
    :param rows: the rows themselves, where the table is in another system.
    :param freshness: column whose latest value says how fresh the table is.
    :param copy: keep the rows, so that the version can be read and compared later.
    :param always: make a version even of an unchanged table.
    """

    asset: str
    source: str
    rows: Rows | None = None
    freshness: str | None = None
    copy: bool = False
    always: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot came to.

    :param new: whether the table had changed; else the version is the one that was known.
    """

    version: Version
    new: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        facts = self.version.facts
        return {
            "version": self.version.ref,
            "new": self.new,
            "rows": self.version.rows,
            "fingerprint": self.version.fingerprint,
            "freshness": facts.get("freshness"),
        }


def take_snapshot(
    *,
    ledger: Ledger,
    store: DatasetStore,
    observer: TableObserver,
    identity: RunIdentity,
    observed: Observed,
) -> Snapshot:
    """Read a table and write what it is as a version, unless it is what the last version says.

    Without a copy the version has fingerprint, schema and profile, and its rows stay with their owner: it
    can be compared by these, and not be read.

    :raises SpecError: there is no such table or column.
    """
    asset = observed.asset
    landed = observer.landed(observed.rows) if observed.rows else nullcontext(Relation.parse(observed.source))
    with landed as relation:
        found = observer.observe(relation, grids=grids_of(ledger, asset), freshness=observed.freshness)
        digest = digest_of(
            source=observed.source,
            content=found.fingerprint.text,
            schema=[(c.name, c.type) for c in found.columns],
            copy=observed.copy,
        )
        run = ledger.runs.begin(identity, input_digest=digest)
        with ledger.transaction():
            ledger.assets.lock(asset)
            snapshot = _snapshot(ledger, store, run, observed, relation, found)
            ledger.runs.finish(run)
    return snapshot


def _snapshot(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    observed: Observed,
    relation: Relation,
    found: Observation,
) -> Snapshot:
    done = ledger.versions.of_fact(run.fact(observed.asset))
    if done is not None:
        log.info("An earlier try wrote %s; kept", done.ref)
        return Snapshot(done, new=True)
    head = ledger.versions.head(observed.asset)
    if head is not None and not observed.always and _unchanged(ledger, head, observed, found):
        log.info("%s is what %s says; no new version", observed.source, head.ref)
        return Snapshot(head, new=False)
    part = _part(ledger, store, run, observed, relation, found)
    version = ledger.versions.add(
        run=run,
        fact=run.fact(observed.asset),
        parts=[part],
        columns=part.columns,
        parent_id=head.version_id if head else None,
        partition_key=run.identity.partition_key,
        facts=_facts(ledger, observed, found, head, part),
    )
    ledger.versions.move_alias(asset=version.asset, name=CURRENT, version_id=version.version_id, run=run)
    detail = {"source": observed.source, "rows": version.rows, "fingerprint": version.fingerprint}
    ledger.audit.add(action="snapshot", subject=version.ref, run=run, detail=detail)
    log.info(
        "%s is %s: %s rows, fingerprint %s", observed.source, version.ref, version.rows, version.fingerprint
    )
    return Snapshot(version, new=True)


def _unchanged(ledger: Ledger, head: Version, observed: Observed, found: Observation) -> bool:
    """Whether a version says what was found; one without rows does not do where a copy is wanted."""
    if (
        head.fingerprint != found.fingerprint.text
        or ledger.versions.columns(head.version_id) != found.columns
    ):
        return False
    live = all(part.state == "live" for part in ledger.versions.manifest(head.version_id))
    return live or not observed.copy


def _part(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    observed: Observed,
    relation: Relation,
    found: Observation,
) -> Part:
    fact = run.fact(observed.asset)
    grids = grids_of(ledger, observed.asset)
    if observed.copy:
        place = Place(observed.asset, observed.source, Layout())
        source = Query(f"SELECT * FROM {relation.quoted}")
        new = store.stage(fact=fact, place=place, source=source, grids=grids, on_progress=log.info)
        part = ledger.versions.add_part(
            run=run, fact=fact, part=replace(new, role="snapshot"), store=store.name
        )
    else:
        # Not the bare name: nobody shall read, or drop, the owner's table for this version's rows.
        new = NewPart(
            locator=f"external:{observed.source}",
            columns=found.columns,
            fingerprint=found.fingerprint,
            profile=found.profile,
            role="snapshot",
        )
        part = ledger.versions.add_part(run=run, fact=fact, part=new, store=store.name)
        ledger.versions.mark_parts([part.part_id], state="released")
    fresh = {
        name: column["grid"]
        for name, column in part.profile.get("columns", {}).items()
        if column.get("grid") and name not in grids
    }
    if fresh:
        known = ledger.assets.get(observed.asset)["location"].get("grids", {})
        ledger.assets.set_location(observed.asset, {"grids": fresh | known})
    return part


def _facts(
    ledger: Ledger, observed: Observed, found: Observation, head: Version | None, part: Part
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "mode": "snapshot",
        "source": observed.source,
        "part_id": part.part_id,
        "batch_rows": part.rows,
        "copied": observed.copy,
    }
    if observed.freshness:
        facts |= {"freshness": found.freshness, "freshness_column": observed.freshness}
    if found.statistics:
        facts["statistics"] = found.statistics
    diff = diff_schemas(ledger.versions.columns(head.version_id), part.columns) if head else None
    if diff and diff.changes:
        facts["schema"] = diff.to_dict()
    return facts

"""Release: readers come to see dataset versions and models together, in one transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Fingerprint, StagedPart
from airflow_dataml.core.errors import SpecError, StaleVersionError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import VersionRef
from airflow_dataml.core.release import Release, ReleaseEntry, require_distinct
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.aliases import CHAMPION, move_aliases, succession
from airflow_dataml.steps.approved import require_approval
from airflow_dataml.steps.manifests import outcome_of
from airflow_dataml.steps.model_rollback import require_champion, require_model
from airflow_dataml.steps.publish import move_pointer, publish_within, under_lock
from airflow_dataml.steps.rollback import require_live
from airflow_dataml.steps.settle import standing_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.release import DatasetTarget, ReleaseRequest
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Place

    # Takes all places at once, so that no reader of several is met half-way.
    Hold = Callable[[Sequence[Place]], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Released:
    """What a release came to.

    :param versions: what readers see now of each asset, by name of the asset.
    :param reports: ids of the decisions, by name of the asset; none where nothing moved.
    """

    release: Release
    versions: tuple[Version, ...]
    reports: Mapping[str, int]

    @property
    def moved(self) -> tuple[Version, ...]:
        """The versions that readers did not see before."""
        new = {entry.asset for entry in self.release.moves}
        return tuple(version for version in self.versions if version.asset in new)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        return self.release.to_dict() | {"reports": dict(self.reports)}


@dataclass(frozen=True, slots=True)
class _Item:
    entry: ReleaseEntry
    version: Version | None
    left: Version | None
    target: DatasetTarget | None = None


def release(
    *, ledger: Ledger, store: DatasetStore, identity: RunIdentity, wanted: ReleaseRequest, hold: Hold
) -> Released:
    """Switch what readers of several assets see, all or nothing.

    A retry finds what its earlier try released.

    :param hold: keeps readers off the places of several datasets until the transaction ends.
    :raises SpecError: no reason, no asset, an asset twice, a version of another asset or one nobody saw, or a
        dataset of a store that does not take part in the ledger's transactions.
    :raises VersionNotFoundError: there is no such version, or its rows are gone.
    :raises StaleVersionError, AliasMovedError: somebody moved an asset in between, or the content is not
        what was approved.
    :raises QualityGateError: a staged part was not checked or is refused.
    :raises ApprovalDeniedError: people had to approve it and did not, or not in time.
    """
    if not wanted.reason.strip():
        msg = "a release needs a reason: write reason='what it is for'."
        raise SpecError(msg)
    require_distinct(wanted.assets)
    _require_ours(ledger, store, wanted)
    run = ledger.runs.begin(identity, input_digest=wanted.digest)
    expected = {name: _seen(ledger, wanted, name) for name in wanted.assets} | dict(wanted.expected or {})
    with ledger.transaction():
        for name in wanted.assets:
            ledger.assets.lock(name)
        found = _kept(ledger, run, wanted.assets) or _release(ledger, store, run, wanted, expected, hold)
        ledger.runs.finish(run)
    return found


def plan_release(*, ledger: Ledger, store: DatasetStore, wanted: ReleaseRequest) -> Release:
    """Return what a release would come to now, and move nothing; its hash is what approvals are bound to.

    :raises SpecError, VersionNotFoundError: see ``release``.
    """
    require_distinct(wanted.assets)
    _require_ours(ledger, store, wanted)
    expected = {name: _seen(ledger, wanted, name) for name in wanted.assets}
    return Release.of(item.entry for item in _planned(ledger, wanted, expected))


def _require_ours(ledger: Ledger, store: DatasetStore, wanted: ReleaseRequest) -> None:
    for name in wanted.models or {}:
        require_model(ledger, name)
    for one in wanted.datasets:
        asset = ledger.assets.get(one.place.asset)
        kept_in = asset["location"].get("store", "postgres")
        if asset["kind"] in ("model", "external") or kept_in != store.name:
            what = asset["kind"] if asset["kind"] in ("model", "external") else f"dataset kept in {kept_in}"
            msg = f"{one.place.asset!r} is a {what}, and a release moves datasets that {store.name} keeps, with the ledger: publish it by itself."
            raise SpecError(msg)
        if isinstance(one.to, StagedPart) and one.to.branch is not None:
            msg = f"the batch of {one.to.asset!r} was staged for branch {one.to.branch!r}, and a release is everybody's: merge the branch."
            raise SpecError(msg)


def _head(ledger: Ledger, wanted: ReleaseRequest, name: str) -> Version | None:
    if name in (wanted.models or {}):
        return ledger.versions.alias(name, CHAMPION)
    return ledger.versions.head(name)


def _seen(ledger: Ledger, wanted: ReleaseRequest, name: str) -> str | None:
    head = _head(ledger, wanted, name)
    return head.ref if head else None


def _kept(ledger: Ledger, run: TaskRun, assets: Sequence[str]) -> Released | None:
    reports = [ledger.reports.of_fact(run.fact(name), "decision") for name in assets]
    known = [report for report in reports if report is not None]
    if not known:
        return None
    done = Release.from_dict(known[0].body["facts"]["release"])
    log.info("An earlier try released %s; kept", done.release_hash)
    return _released(ledger, done, known)


def _released(ledger: Ledger, done: Release, reports: Sequence[Report]) -> Released:
    versions = tuple(ledger.versions.find(entry.version or entry.asset) for entry in done.entries)
    return Released(done, versions, {report.asset: report.report_id for report in reports})


def _release(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    wanted: ReleaseRequest,
    expected: Mapping[str, str | None],
    hold: Hold,
) -> Released:
    items = _planned(ledger, wanted, expected)
    plan = Release.of(item.entry for item in items)
    if wanted.approved not in (None, plan.release_hash):
        msg = f"release {wanted.approved} was approved and this one is {plan.release_hash}: ask for its own approval."
        raise StaleVersionError(msg)
    if not plan.moves:
        log.warning("Readers see what release %s has already; nothing was moved", plan.release_hash)
        return _released(ledger, plan, ())
    if wanted.approval is not None:
        asking = run.identity.triggered_by
        require_approval(ledger=ledger, release=plan, policy=wanted.approval, triggered_by=asking)
    places = [item.target.place for item in items if item.target and item.entry.moves]
    hold(places)
    versions = [_version_of(ledger, store, run, wanted, item) for item in items]
    done = Release.of(
        replace(item.entry, version=version.ref) for item, version in zip(items, versions, strict=True)
    )
    reports = [
        _decided(ledger, run, item, version, done, wanted.reason.strip())
        for item, version in zip(items, versions, strict=True)
    ]
    log.info("Released %s: %s", done.release_hash, ", ".join(version.ref for version in versions))
    return _released(ledger, done, reports)


def _planned(ledger: Ledger, wanted: ReleaseRequest, expected: Mapping[str, str | None]) -> list[_Item]:
    items = [
        *(_dataset(ledger, one) for one in wanted.datasets),
        *(_model(ledger, name, to) for name, to in (wanted.models or {}).items()),
    ]
    for item in items:
        name, left = item.entry.asset, item.left
        if item.target is None:
            require_champion(name, left, expected[name], what="released")
        elif item.entry.left != expected[name]:
            msg = f"readers of {name!r} see {item.entry.left or 'nothing'} and {expected[name] or 'nothing'} was expected, so nothing was released: look at it again."
            raise StaleVersionError(msg)
    return sorted(items, key=lambda item: item.entry.asset)


def _model(ledger: Ledger, name: str, to: str) -> _Item:
    version, champion = _named(ledger, name, to), ledger.versions.alias(name, CHAMPION)
    left = champion.ref if champion else None
    return _Item(
        ReleaseEntry(name, "model", version.facts["artifact_digest"], version.ref, left), version, champion
    )


def _dataset(ledger: Ledger, one: DatasetTarget) -> _Item:
    name = one.place.asset
    head = ledger.versions.head(name)
    left = head.ref if head else None
    version = (
        _named(ledger, name, one.to)
        if isinstance(one.to, str)
        else ledger.versions.bringing(standing_for(ledger, one.to).part_id)
    )
    if version is None and isinstance(one.to, StagedPart):
        parts = outcome_of(ledger, standing_for(ledger, one.to), profiles=False).parts
        content = sum((part.fingerprint for part in parts), Fingerprint()).text
        return _Item(ReleaseEntry(name, "dataset", content, None, left), None, head, one)
    if version is None or version.version_id not in ledger.pointers.moves(name, one.place.alias):
        msg = f"{one.to} was never what readers of {one.place.location} saw: publish it, or release what was staged."
        raise SpecError(msg)
    return _Item(
        ReleaseEntry(name, "dataset", version.fingerprint or "", version.ref, left), version, head, one
    )


def _named(ledger: Ledger, name: str, to: str) -> Version:
    if VersionRef.parse(to).asset != name:
        msg = f"{name!r} cannot be released as {to!r}: write {name}@<number>."
        raise SpecError(msg)
    return ledger.versions.find(to)


def _version_of(
    ledger: Ledger, store: DatasetStore, run: TaskRun, wanted: ReleaseRequest, item: _Item
) -> Version:
    """The version an entry leads to; a dataset's place shows it from here on."""
    version, target = item.version, item.target
    if target is not None and isinstance(target.to, StagedPart) and version is None:
        return publish_within(ledger, store, run, target.to, target.place, require_check=wanted.require_check)
    if version is None:
        msg = f"the version of {item.entry.asset!r} to release is not known: name one."
        raise SpecError(msg)
    if target is not None and item.entry.moves:
        parts = ledger.versions.manifest(version.version_id)
        require_live(ledger, version, parts)
        columns = ledger.versions.columns(version.version_id)
        change = Change("rollback", str(run.fact(version.asset)), to=version.facts)
        store.switch(place=under_lock(ledger, target.place), change=change, columns=columns, parts=parts)
    return version


def _decided(
    ledger: Ledger, run: TaskRun, item: _Item, version: Version, done: Release, reason: str
) -> Report:
    """Write the decision on one asset, and move its pointer."""
    facts: dict[str, Any] = {"left": item.entry.left, "to": version.ref}
    facts |= {"release_hash": done.release_hash, "release": done.to_dict()}
    report = ledger.reports.add(
        run=run,
        fact=run.fact(version.asset),
        kind="decision",
        verdict=Verdict.PASS,
        body=Decision("release", (reason,), facts).to_dict() | {"version": version.ref},
        version_id=version.version_id,
    )
    told: dict[str, Any] = {"left": item.entry.left, "reason": reason, "release_hash": done.release_hash}
    told["report"] = report.report_id
    if not item.entry.moves:
        return report
    if item.target is not None and item.version is not None:
        move_pointer(ledger, run, version, item.target.place, action="release", **told)
        return report
    if item.target is None:
        moves = succession(ledger, version, item.left)
        move_aliases(ledger, run, model=version.asset, moves=moves, report_id=report.report_id)
    ledger.audit.add(action="release", subject=version.ref, run=run, detail=told)
    return report

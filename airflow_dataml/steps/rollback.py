"""Roll back: readers see an earlier version again; no row is written."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT, Part
from airflow_dataml.core.errors import SpecError, VersionNotFoundError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import VersionRef
from airflow_dataml.core.rollbacks import path_of
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.publish import entered, move_pointer, under_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Place

log = logging.getLogger(__name__)
PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback came to.

    :param version: what readers see now.
    :param left: what they saw before; ``None`` where they saw this version already.
    """

    version: Version
    left: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        return {
            "version": self.version.ref,
            "left": self.left,
            "rows": self.version.rows,
            "fingerprint": self.version.fingerprint,
        }


def roll_back(
    *, ledger: Ledger, store: DatasetStore, identity: RunIdentity, place: Place, to: str, reason: str
) -> RolledBack:
    """Make readers of a place see an earlier version again, in one transaction.

    A retry finds what its earlier try decided, so going back to ``previous`` goes back once.

    :param place: what readers name; of a branch, or what everybody reads.
    :param to: ``name@number``, ``name@time``, or ``previous``: what led to the version readers see, passing
        over those of equal content, such as a compaction makes.
    :param reason: why; kept as a decision and in the audit chain.
    :raises SpecError: there is no reason, the table is somebody else's, or its readers never saw that version.
    :raises VersionNotFoundError: there is no such version, or its rows are gone.
    """
    if not reason.strip():
        msg = f"rolling back {place.asset!r} needs a reason: write reason='what was wrong with it'."
        raise SpecError(msg)
    run = ledger.runs.begin(identity, input_digest=digest_of(to=to, view=place.location))
    with ledger.transaction():
        if ledger.assets.lock(place.asset)["kind"] == "external":
            msg = (
                f"{place.asset!r} is written by somebody else, and what its readers see is not ours to move."
            )
            raise SpecError(msg)
        done = ledger.reports.of_fact(run.fact(place.asset), "decision")
        if done is None:
            found = _roll_back(ledger, store, run, under_lock(ledger, place), to=to, reason=reason.strip())
        else:
            found = RolledBack(ledger.versions.by_id(int(done.version_id or 0)), done.body["facts"]["left"])
            log.info("An earlier try rolled back to %s; kept", found.version.ref)
        ledger.runs.finish(run)
    return found


def _roll_back(
    ledger: Ledger, store: DatasetStore, run: TaskRun, place: Place, *, to: str, reason: str
) -> RolledBack:
    branch = None if place.alias == CURRENT else place.alias
    head = ledger.versions.head(place.asset, branch=branch)
    target = _target(ledger, place, head, to)
    if head is None or target.version_id == head.version_id:
        log.warning("%s is what readers of %s see already; nothing was moved", target.ref, place.location)
        return RolledBack(target, None)
    parts = ledger.versions.manifest(target.version_id)
    require_live(ledger, target, parts)
    change = Change("rollback", str(run.fact(place.asset)), to=target.facts)
    columns = ledger.versions.columns(target.version_id)
    switched = store.switch(place=place, change=change, columns=columns, parts=parts)
    version = _shown(ledger, run, store, target, head, switched.parts, switched.facts, place)
    facts = {"left": head.ref, "to": target.ref, "place": place.location}
    report = ledger.reports.add(
        run=run,
        fact=run.fact(place.asset),
        kind="decision",
        verdict=Verdict.PASS,
        body=Decision("roll_back", (reason,), facts).to_dict(),
        version_id=version.version_id,
    )
    move_pointer(
        ledger, run, version, place, action="roll back", left=head.ref, reason=reason, report=report.report_id
    )
    log.info("Rolled %s back from %s to %s: %s", place.location, head.ref, version.ref, reason)
    return RolledBack(version, head.ref)


def _target(ledger: Ledger, place: Place, head: Version | None, to: str) -> Version:
    moves = _moves(ledger, place)
    if to in (PREVIOUS, f"{place.asset}@{PREVIOUS}"):
        return _previous(ledger, place, head, moves)
    if VersionRef.parse(to).asset != place.asset:
        msg = (
            f"{place.asset!r} cannot be rolled back to {to!r}: write {place.asset}@<number>, or {PREVIOUS!r}."
        )
        raise SpecError(msg)
    target = ledger.versions.find(to)
    if target.version_id not in moves:
        msg = f"{target.ref} was never what readers of {place.location} saw, so there is no going back to it: publish it instead."
        raise SpecError(msg)
    return target


def _moves(ledger: Ledger, place: Place) -> list[int | None]:
    """Where the pointer stood; a branch begins at its base."""
    moves = ledger.pointers.moves(place.asset, place.alias)
    if place.alias == CURRENT:
        return moves
    heads = ledger.branches.get(place.alias).heads
    return [*(h.base_id for h in heads if h.asset == place.asset), *moves]


def _previous(ledger: Ledger, place: Place, head: Version | None, moves: Sequence[int | None]) -> Version:
    for version_id in reversed(path_of(moves)[:-1]):
        version = ledger.versions.by_id(version_id)
        if head is None or version.fingerprint is None or version.fingerprint != head.fingerprint:
            return version
    now = head.ref if head else "nothing"
    msg = f"{place.location} shows {now}, and nothing else led to it: there is no previous version to go back to."
    raise VersionNotFoundError(msg)


def require_live(ledger: Ledger, version: Version, parts: Sequence[Part]) -> None:
    """Refuse a version whose rows are gone.

    :raises VersionNotFoundError: they were never kept, collected, or given back.
    """
    gone = [p for p in parts if p.state != "live"]
    if parts and not gone:
        return
    if not parts:
        why = "its rows were never kept"
    else:
        since = ledger.pointers.gone_since([p.part_id for p in gone])
        moment = f" on {since:%Y-%m-%d %H:%M} UTC" if since else ""
        released = any(p.state == "released" for p in gone)
        why = f"its rows {'went back to their owner' if released else 'were collected by retention'}{moment}"
    msg = f"{version.ref} is known, and {why}: roll back to a version whose rows are still there (dataml dataset size {version.asset})."
    raise VersionNotFoundError(msg)


def _shown(
    ledger: Ledger,
    run: TaskRun,
    store: DatasetStore,
    target: Version,
    head: Version,
    parts: Sequence[Any],
    facts: dict[str, Any],
    place: Place,
) -> Version:
    """The version readers see: the old one, or a new one of its content where the store wrote its files anew."""
    if all(isinstance(part, Part) for part in parts):
        return target
    return ledger.versions.add(
        run=run,
        fact=run.fact(place.asset),
        parts=entered(ledger, store, run, place.asset, parts),
        columns=ledger.versions.columns(target.version_id),
        parent_id=head.version_id,
        partition_key=target.partition_key,
        facts={"mode": "rollback", "of": target.ref, **facts, "location": place.location},
    )

"""Reconcile: what the ledger decided goes to the registry, what others changed there is written down."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import check_alias
from airflow_dataml.core.registry_drift import GONE, REGISTERED, AliasPosition, check_policy
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.adopt_model import bring_versions
from airflow_dataml.steps.aliases import CHAMPION, MLFLOW_TOPIC, move_aliases, succession
from airflow_dataml.steps.model_rollback import require_model
from airflow_dataml.steps.registry_state import (
    LOCATION,
    Noted,
    alias_positions,
    in_ledger,
    note_outside,
    sender,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.registry_drift import Outside, OutsidePolicy
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What reconciling one model came to.

    :param delivered: what the ledger had decided and the registry had not had yet.
    :param outside: what somebody else changed in the registry and is there still.
    :param new: what of the changes found was not known before.
    :param settled: what was put back, or taken over.
    :param report: the newest report on the differences, if there ever was one.
    """

    model: str
    policy: OutsidePolicy
    delivered: int
    outside: tuple[Outside, ...]
    new: tuple[Outside, ...]
    settled: tuple[Outside, ...]
    report: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        return {
            "model": self.model,
            "on_outside_change": self.policy,
            "delivered": self.delivered,
            "outside": [one.to_dict() | {"said": one.said} for one in self.outside],
            "new": [one.to_dict() | {"said": one.said} for one in self.new],
            "settled": [one.to_dict() | {"said": one.said} for one in self.settled],
            "report": self.report,
        }


def models_to_reconcile(ledger: Ledger) -> Iterator[str]:
    """Yield the models of which the registry has something, by name."""
    page = ledger.assets.list(kind="model", limit=_PAGE)
    while page:
        for asset in page:
            name = str(asset["name"])
            if any(
                (v.facts.get("registry") or {}).get("version") for v in ledger.versions.list(name, limit=1)
            ):
                yield name
        page = ledger.assets.list(kind="model", after=str(page[-1]["name"]), limit=_PAGE)


def reconcile_model(
    *,
    ledger: Ledger,
    registry: ModelRegistry,
    identity: RunIdentity,
    model: str,
    on_outside_change: str = "record",
) -> Reconciled:
    """Deliver what is ours, write down what others changed, and do about it what the policy says.

    The same change is written down once, however often this runs.

    :param on_outside_change: ``record`` leaves the registry as it is, the ledger still decides;
        ``restore`` puts aliases and tags back through the outbox; ``adopt`` takes the change over as a
        decision made outside. Each leaves an entry in the audit chain.
    :raises PolicyError: it is another word.
    :raises RegistryError: the registry does not answer; nothing was decided.
    """
    policy = check_policy(on_outside_change)
    require_model(ledger, model)
    registry.check()
    run = ledger.runs.begin(identity, input_digest=digest_of(model=model, policy=policy))
    delivered = ledger.outbox.deliver(MLFLOW_TOPIC, sender(ledger, registry))
    noted = note_outside(ledger=ledger, registry=registry, run=run, model=model)
    waiting = _queue_again(ledger, run, model, noted)
    settled: tuple[Outside, ...] = ()
    if policy == "restore":
        settled = _restore(ledger, run, model, noted)
    elif policy == "adopt":
        settled = _adopt(ledger, registry, run, model, noted)
    if waiting or settled:
        delivered += ledger.outbox.deliver(MLFLOW_TOPIC, sender(ledger, registry))
        after = note_outside(ledger=ledger, registry=registry, run=run, model=model)
        noted = replace(after, new=(*noted.new, *after.new))
    ledger.runs.finish(run)
    report = noted.report.report_id if noted.report else None
    settled = tuple(one for one in settled if one not in noted.outside)
    return Reconciled(model, policy, delivered, noted.outside, noted.new, settled, report)


def _queue_again(ledger: Ledger, run: TaskRun, model: str, noted: Noted) -> int:
    """Queue decisions that were refused while somebody else's change stood, now that it is gone."""
    changed = {one.name for one in noted.outside if one.what == "alias"}
    queued = 0
    with ledger.transaction():
        ledger.assets.lock(model)
        for alias, position in alias_positions(ledger, model).items():
            target = ledger.versions.alias(model, alias)
            wanted = _number(target)
            if (
                position.newest == "dead"
                and alias not in changed
                and noted.found.aliases.get(alias) != wanted
            ):
                _queue(ledger, run, model, alias, wanted, over=noted.found.aliases.get(alias))
                queued += 1
    return queued


def _restore(ledger: Ledger, run: TaskRun, model: str, noted: Noted) -> tuple[Outside, ...]:
    """Queue what puts aliases and tags back; a version that was deleted cannot come back."""
    settled = tuple(one for one in noted.outside if one.what != "version")
    with ledger.transaction():
        ledger.assets.lock(model)
        positions = alias_positions(ledger, model)
        for one in settled:
            if one.what == "alias":
                wanted = _wanted(ledger, model, one, positions.get(one.name, AliasPosition()))
                over = None if one.found is None else int(one.found)
                _queue(ledger, run, model, one.name, wanted, over=over)
            else:
                _queue_tag(ledger, run, model, one)
            _audit(ledger, run, model, "restore in registry", one)
    for one in noted.outside:
        if one.what == "version":
            log.warning("Of model %s, %s: a registry cannot undo that; adopt it or leave it", model, one.said)
    return settled


def _adopt(
    ledger: Ledger, registry: ModelRegistry, run: TaskRun, model: str, noted: Noted
) -> tuple[Outside, ...]:
    """Take over what was changed outside, as a decision that says so."""
    if not noted.outside:
        return ()
    if any(one.what == "version" and one.found == REGISTERED for one in noted.outside):
        bring_versions(ledger=ledger, registry=registry, run=run, found=noted.found)
    settled = []
    with ledger.transaction():
        ledger.assets.lock(model)
        known = in_ledger(ledger, model)
        moves = _moves(ledger, model, [one for one in noted.outside if one.what == "alias"], known)
        if moves:
            _decide(ledger, run, model, noted, moves)
        _take_over(ledger, model, noted)
        for one in noted.outside:
            if one.what != "alias" or one.name in moves:
                settled.append(one)
                _audit(ledger, run, model, "adopt from registry", one)
    return tuple(settled)


def _moves(
    ledger: Ledger, model: str, changes: Sequence[Outside], known: dict[int, Version]
) -> dict[str, Version | None]:
    """Return where the ledger's aliases go; what was said outside of one goes before what follows from another."""
    moves: dict[str, Version | None] = {}
    for one in changes:
        target = known.get(int(one.found)) if one.found is not None else None
        try:
            check_alias(one.name)
        except SpecError as err:
            log.warning("Alias %r of %s stays the registry's own: %s", one.name, model, err)
            continue
        if one.found is not None and target is None:
            log.warning("Alias %r of %s is at a version that is not in the ledger; left", one.name, model)
            continue
        if one.name == CHAMPION and target is not None:
            champion = ledger.versions.alias(model, CHAMPION)
            if champion is None or champion.version_id != target.version_id:
                moves = succession(ledger, target, champion) | moves
        moves[one.name] = target
    return moves


def _decide(ledger: Ledger, run: TaskRun, model: str, noted: Noted, moves: dict[str, Version | None]) -> None:
    reasons = tuple(one.said for one in noted.outside if one.what == "alias" and one.name in moves)
    decision = Decision("adopt_outside", reasons, {"made": "outside", "drift": _report_id(noted)})
    champion = moves.get(CHAMPION) or ledger.versions.alias(model, CHAMPION)
    report = ledger.reports.add(
        run=run,
        fact=run.fact(model).of(f"adopt-{_report_id(noted)}"),
        kind="decision",
        verdict=Verdict.UNKNOWN,
        body=decision.to_dict() | {"version": champion.ref if champion else None},
        version_id=champion.version_id if champion else None,
    )
    move_aliases(ledger, run, model=model, moves=moves, report_id=report.report_id)


def _take_over(ledger: Ledger, model: str, noted: Noted) -> None:
    """Keep tags and deletions as what is expected from now on."""
    taken: dict[str, Any] = dict((ledger.assets.get(model)["location"] or {}).get(LOCATION) or {})
    tags: dict[str, Any] = dict(taken.get("version_tags") or {})
    gone = {int(one.name) for one in noted.outside if one.what == "version" and one.found == GONE}
    changed = {one.version for one in noted.outside if one.what == "version_tag"}
    tags |= {
        str(version.version): dict(version.tags)
        for version in noted.found.versions
        if version.version in changed
    }
    if any(one.what == "model_tag" for one in noted.outside):
        taken["tags"] = dict(noted.found.tags)
    taken |= {"version_tags": tags, "gone": sorted(gone | set(taken.get("gone") or ()))}
    ledger.assets.set_location(model, {LOCATION: taken})


def _queue(
    ledger: Ledger, run: TaskRun, model: str, alias: str, wanted: int | None, *, over: int | None
) -> None:
    ledger.outbox.add(
        key=f"{run.fact(model)}/{alias}/over-{over}",
        topic=MLFLOW_TOPIC,
        ordering_key=f"{model}/{alias}",
        payload={"model": model, "alias": alias, "version": wanted, "over": over},
    )


def _queue_tag(ledger: Ledger, run: TaskRun, model: str, one: Outside) -> None:
    place = f"{model}/{one.version or ''}/tag/{one.name}"
    ledger.outbox.add(
        key=f"{run.fact(model)}/{place}/over-{one.found}",
        topic=MLFLOW_TOPIC,
        ordering_key=place,
        payload={
            "model": model,
            "version": one.version,
            "tag": one.name,
            "value": one.ours,
            "over": one.found,
        },
    )


def _wanted(ledger: Ledger, model: str, one: Outside, position: AliasPosition) -> int | None:
    """Return where an alias belongs: where we left it, or where the ledger has been going since."""
    if position.newest == "delivered" or position.newest is None:
        return None if one.ours is None else int(one.ours)
    return _number(ledger.versions.alias(model, one.name))


def _number(version: Version | None) -> int | None:
    return None if version is None else int(version.facts["registry"]["version"])


def _report_id(noted: Noted) -> int:
    return noted.report.report_id if noted.report else 0


def _audit(ledger: Ledger, run: TaskRun, model: str, action: str, one: Outside) -> None:
    detail = one.to_dict() | {"registry": one.found, "ledger": one.ours}
    ledger.audit.add(action=action, subject=model, run=run, detail=detail)

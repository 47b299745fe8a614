"""Retain: the rows of versions nobody holds are given back to the disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.retention import RetentionPlan, plan_retention
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.retention import RetentionPolicy
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What lay in a store without belonging to anything.

    :param strays: locator -> bytes.
    """

    strays: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"strays": self.strays, "bytes_freed": sum(self.strays.values())}


def retention_of(*, ledger: Ledger, asset: str, policy: RetentionPolicy) -> RetentionPlan:
    """Return what a collection would do; nothing is touched.

    :raises AssetNotFoundError: there is no such dataset.
    """
    ledger.assets.get(asset)
    return plan_retention(
        asset,
        ledger.retention.held(asset),
        sizes=ledger.retention.sizes(asset),
        staged=ledger.retention.staged(asset),
        policy=policy,
    )


def collect(
    *, ledger: Ledger, store: DatasetStore, identity: RunIdentity, asset: str, policy: RetentionPolicy
) -> RetentionPlan:
    """Delete the rows no version needs any more, and say which.

    The ledger forgets them first, in one transaction with the audit entry; a crash before they are
    deleted leaves strays that ``sweep`` takes.

    :raises AssetNotFoundError: there is no such dataset.
    """
    run = ledger.runs.begin(
        identity, input_digest=digest_of(asset=asset, policy=policy.model_dump(mode="json"))
    )
    with ledger.transaction():
        ledger.assets.lock(asset)
        plan = retention_of(ledger=ledger, asset=asset, policy=policy)
        going = (*plan.parts, *plan.abandoned)
        parts = [ledger.versions.part(part_id) for part_id in going]
        if parts:
            ledger.versions.mark_parts(going, state="dropped")
            detail = {
                "versions": list(plan.collected),
                "parts": list(plan.parts),
                "abandoned": list(plan.abandoned),
                "bytes": plan.bytes_freed,
            }
            ledger.audit.add(action="collect", subject=asset, run=run, detail=detail)
        ledger.runs.finish(run)
    freed = store.drop(parts)
    log.info("Collected %d versions of %s: %d parts, %d bytes", len(plan.collected), asset, len(parts), freed)
    return plan


def sweep(*, ledger: Ledger, store: DatasetStore, identity: RunIdentity, dry_run: bool = False) -> Sweep:
    """Delete what lies in a store and belongs to nothing: the leavings of tasks that were killed."""
    lying = store.strays(ledger.retention.locators(store.name))
    # Asked again: what was staged between the two questions is in the ledger by now, and is no stray.
    known = set(ledger.retention.locators(store.name))
    found = Sweep({locator: size for locator, size in lying.items() if locator not in known})
    if dry_run or not found.strays:
        return found
    run = ledger.runs.begin(identity, input_digest=digest_of(strays=sorted(found.strays)))
    with ledger.transaction():
        store.drop_strays(sorted(found.strays))
        ledger.audit.add(action="sweep", subject=store.name, run=run, detail=found.to_dict())
        ledger.runs.finish(run)
    log.info("Swept %d strays of %s", len(found.strays), store.name)
    return found

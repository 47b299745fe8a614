"""How a model stands: what a decision on its next version looks at, from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_dataml.core.retraining import FIX_DATA, RETRAIN, Asked, Standing, Watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.retraining import RetrainPolicy

# Decisions are small, and a model of which more matter to one policy retrains all the time.
DECISIONS = 500
# Windows of a champion are looked through for those that count; some were looked at twice or cannot be trusted.
SPARE_WINDOWS = 20


def standing_of(
    *, ledger: Ledger, model: str, champion: Version | None, policy: RetrainPolicy, monitor: Report | None
) -> Standing:
    """Return how a model stands, as far as a policy asks.

    :param champion: the version that was watched; ``None`` where it is not known here.
    :param monitor: the newest window, which is not among those returned.
    """
    decisions = ledger.reports.recent(asset=model, kind="decision", limit=DECISIONS)
    batches, rows = _unlearnt(ledger, model, policy)
    return Standing(
        now=datetime.now(UTC),
        champion=champion.ref if champion else model,
        trained_at=champion.created_at if champion else None,
        new_batches=batches,
        new_rows=rows,
        windows=_windows(ledger, champion, policy, monitor, decisions),
        asked=tuple(
            Asked(one.report_id, one.created_at, one.body.get("monitor"), _batch(one, champion))
            for one in decisions
            if one.body["action"] == RETRAIN
        ),
        monitor=monitor.report_id if monitor else None,
        partition_key=monitor.body["partition_key"] if monitor else None,
    )


def _batch(decision: Report, champion: Version | None) -> str | None:
    """The batch that led to a decision on this champion; the same batch says another thing of another one."""
    ours = champion is not None and decision.version_id == champion.version_id
    return decision.body.get("partition_key") if ours else None


def _windows(
    ledger: Ledger,
    champion: Version | None,
    policy: RetrainPolicy,
    monitor: Report | None,
    decisions: Sequence[Report],
) -> tuple[Watched, ...]:
    """Earlier windows of the champion with trusted data, newest first, each batch as it was last looked at."""
    if monitor is None or champion is None or (policy.m == 1 and policy.still_in_decline):
        return ()
    broken = {one.body.get("monitor") for one in decisions if one.body["action"] == FIX_DATA}
    # How long a decline is nobody knows beforehand.
    limit = policy.m + SPARE_WINDOWS if policy.still_in_decline else DECISIONS
    reports = ledger.reports.recent(
        asset=champion.asset, kind="monitor", version_id=champion.version_id, limit=limit
    )
    seen, windows = {monitor.body["partition_key"]}, []
    for one in reports:
        key = one.body["partition_key"]
        if one.report_id >= monitor.report_id or one.body.get("branch") or key in seen:
            continue
        seen.add(key)
        if not one.body["feed_broken"] and one.report_id not in broken:
            kinds = tuple(kind for kind, texts in one.body["findings"].items() if texts)
            windows.append(Watched(one.report_id, kinds, key))
    return tuple(windows)


def _unlearnt(ledger: Ledger, model: str, policy: RetrainPolicy) -> tuple[int, int]:
    """Batches, and their rows, later than any that the newest version learnt from."""
    if policy.new_rows is None and policy.new_batches is None:
        return 0, 0
    newest = next((v for v in ledger.versions.list(model) if v.facts.get("plan")), None)
    head = ledger.versions.head(newest.facts["plan"]["dataset"]) if newest else None
    if newest is None or head is None:
        return 0, 0
    last = max(newest.facts["plan"]["partitions"])
    parts = ledger.versions.manifest(head.version_id, profiles=False)
    came = [p for p in parts if p.partition_key and p.partition_key > last]
    return len({p.partition_key for p in came}), sum(p.rows for p in came)

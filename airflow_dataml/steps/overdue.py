"""Overdue: whether a dataset's next version has come, is still awaited, or never came."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_dataml.core.overdue import REPORT_KIND, outlook
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from airflow_dataml.core.overdue import Outlook, OverduePolicy
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity

log = logging.getLogger(__name__)


def look_out(
    *, ledger: Ledger, identity: RunIdentity, dataset: str, policy: OverduePolicy, since: int | None = None
) -> Outlook:
    """Look whether a dataset is late; open an incident if so, close it if its version came after all.

    :param since: number of the version that was the newest when the wait began.
    :raises AssetNotFoundError: no dataset of that name is in the catalog.
    """
    ledger.assets.get(dataset)
    found = outlook(ledger.history.publications(dataset, limit=policy.window), policy, since=since)
    log.info("%s", found.sentence)
    with ledger.transaction():
        _close(ledger, found)
        if found.lateness == "overdue":
            _open(ledger, identity, found)
    return found


def _open(ledger: Ledger, identity: RunIdentity, found: Outlook) -> None:
    run = ledger.runs.begin(identity, input_digest=digest_of(dataset=found.asset, newest=found.newest))
    report = ledger.reports.add(
        run=run,
        fact=run.fact(found.asset),
        kind=REPORT_KIND,
        verdict="fail",
        body=found.to_dict() | {"summary": found.sentence},
    )
    ledger.incidents.open(
        asset=found.asset,
        kind="data",
        severity="high",
        title=f"the batch that never came: {found.sentence}",
        report_id=report.report_id,
    )
    ledger.runs.finish(run)


def _close(ledger: Ledger, found: Outlook) -> None:
    """Close what was opened for a version that has come since."""
    for incident in ledger.incidents.open_data([found.asset]):
        late = found.last is None or found.last <= incident.opened_at
        if not late and ledger.reports.get(incident.report_id).kind == REPORT_KIND:
            resolution = f"it came after all: {found.asset}@{found.newest}"
            ledger.incidents.resolve(incident.incident_id, resolution=resolution)

"""Settle: what a publication means for rows that were set aside, now or before."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import StaleVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.datasets import Part, StagedPart, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.quarantine import Quarantined, QuarantineState
    from airflow_dataml.core.runs import TaskRun

log = logging.getLogger(__name__)


def standing_for(ledger: Ledger, staged: StagedPart) -> StagedPart:
    """Return what is to be published of a batch: the batch, or the rest where rows were set aside."""
    rest = ledger.quarantine.rest_of(staged.part_id)
    return staged if rest is None else as_rest(staged, rest)


def as_rest(staged: StagedPart, rest: Part) -> StagedPart:
    """Return a batch as handed over, with the part that holds the rest of its rows."""
    return replace(
        staged,
        part_id=rest.part_id,
        relation=rest.locator,
        rows=rest.rows,
        fingerprint=rest.fingerprint.text,
    )


def require_replayable(ledger: Ledger, staged: StagedPart) -> tuple[Quarantined, ...]:
    """Return whose rows a batch brings back, or refuse to bring them back twice.

    :raises StaleVersionError: some were replayed or discarded since the batch was staged.
    """
    replayed = ledger.quarantine.replayed_by(staged.part_id)
    for one in replayed:
        if one.state != "open":
            msg = f"quarantine {one.quarantine_id} of {one.asset!r} {one.whereabouts}; its rows are not published again."
            raise StaleVersionError(msg)
    return replayed


def settle(
    ledger: Ledger,
    run: TaskRun,
    *,
    version: Version,
    staged: StagedPart,
    replayed: tuple[Quarantined, ...],
    alias: str,
) -> None:
    """Close what a new version replays or supersedes, and open an incident for what it leaves out.

    :param staged: what was published.
    :param alias: the pointer that moved.
    """
    own = ledger.quarantine.of_rest(staged.part_id)
    for one in replayed:
        close(ledger, run, one, state="replayed", version=version)
    for one in _superseded(ledger, staged):
        if own is None or one.quarantine_id != own.quarantine_id:
            note = f"superseded by {version.ref}"
            close(ledger, run, one, state="discarded", note=note, superseded=True)
    if own is not None and own.state == "open" and own.report_id is not None and alias == CURRENT:
        said = ledger.reports.get(own.report_id).body.get("quarantine", {})
        ledger.incidents.open(
            asset=own.asset,
            kind="data",
            severity=said.get("severity", "low"),
            title=own.sentence,
            report_id=own.report_id,
            partition_key=own.partition_key,
        )


def close(
    ledger: Ledger,
    run: TaskRun,
    one: Quarantined,
    *,
    state: QuarantineState,
    version: Version | None = None,
    note: str | None = None,
    superseded: bool = False,
) -> None:
    """Write down what became of quarantined rows, and end their incident.

    It stays open while other rows of the same batch are, unless new ones take the place of all of them.
    """
    ledger.quarantine.close(
        one.quarantine_id, state=state, version_id=version.version_id if version else None, note=note
    )
    ended = f"{one.rows:,} rows were replayed as {version.ref}" if version else f"discarded: {note}"
    reports = ledger.quarantine.reports(one.asset)
    for incident in ledger.incidents.open_data([one.asset]):
        ours = incident.partition_key == one.partition_key and incident.report_id in reports
        if ours and (superseded or not reports[incident.report_id]):
            ledger.incidents.resolve(incident.incident_id, resolution=ended)
    detail = {"quarantine": one.quarantine_id, "rows": one.rows, "why": ended}
    ledger.audit.add(
        action="replay" if version else "discard",
        subject=version.ref if version else one.asset,
        run=run,
        detail=detail,
    )
    log.info("Quarantine %d of %s: %s", one.quarantine_id, one.asset, ended)


def _superseded(ledger: Ledger, staged: StagedPart) -> Iterator[Quarantined]:
    """What was left out of rows that the published batch replaces."""
    if staged.mode not in ("partition", "replace"):
        return
    for one in ledger.quarantine.open_of(staged.asset):
        same = staged.mode == "replace" or one.partition_key == staged.partition_key
        if same and one.branch == staged.branch:
            yield one

"""Reported: windows of a model served elsewhere come in as counts, in the bins of what they will be compared with."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.monitor_policy import FIRST
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.reported import REFERENCE, read_window
from airflow_dataml.core.reported_counting import check_fits
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.reported_reference import (
    KIND,
    counting_of,
    fact_of,
    find_window_report,
    last_report,
    reference_report,
    revised,
    served_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.reported import ReportedWindow
    from airflow_dataml.core.runs import RunIdentity

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a reported window.

    :param known: the same numbers had been reported before.
    """

    model: str
    window: str
    report: int
    known: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def report_window(*, ledger: Ledger, identity: RunIdentity, model: str, given: Any) -> Received:
    """Keep the counts of one window of a model served elsewhere, once; ``observe_reported`` looks at them.

    All of it is checked before anything is written. The same numbers again change nothing; the same counts with more
    labels are kept beside the first.

    :param model: ``name``, which is its champion, ``name@number`` or ``name@alias``.
    :param given: as ``core.window_counts.count_window`` makes it (``core.reported.ReportedWindow``).
    :raises NotFoundError: there is no such model.
    :raises SpecError: counts do not add up, are in other bins, or the window was reported with other numbers.
    """
    window = read_window(given)
    version = served_version(ledger, model)
    with ledger.transaction():
        ledger.assets.lock(version.asset)
        key = None if window.role == REFERENCE else window.window
        before = find_window_report(ledger, version, key)
        if before is not None and _same(window, before, version):
            return Received(version.ref, window.window, before.report_id, known=True)
        against = before.body["against"] if before else _checked(ledger, version, window)
        report = _write(ledger, identity, version, window, before, against)
    log.info("Window %s of %s was reported: %d rows", window.window, version.ref, window.rows)
    return Received(version.ref, window.window, report.report_id, known=False)


def _same(window: ReportedWindow, before: Report, version: Version) -> bool:
    """Whether nothing is new; labels may be.

    :raises SpecError: the numbers are others.
    """
    said, what = before.body, f"window {window.window!r} of {version.ref}"
    if told := [
        name
        for name, value in window.counts.items()
        if value != (said | {"window": said["partition_key"]})[name]
    ]:
        msg = f"{what} was reported before (report {before.report_id}) with other numbers ({', '.join(told)}). Nothing was written."
        raise SpecError(msg)
    labels = window.labels.model_dump(mode="json") if window.labels else None
    if labels is None or labels == said["labels"]:
        return True
    if (wrong := window.labels_after(said["labels"])) is not None:
        msg = f"labels of {what} were reported before (report {before.report_id}), and {wrong}. Nothing was written."
        raise SpecError(msg)
    return False


def _checked(ledger: Ledger, version: Version, window: ReportedWindow) -> str:
    """Refuse counts in other bins than those of their reference; return what that is called."""
    opens = window.role == REFERENCE or (
        window.reference == FIRST and reference_report(ledger, version, FIRST) is None
    )
    if not opens:
        asked = counting_of(ledger, version, window.reference)
        check_fits(window, asked)
        return asked.against
    spec = version.facts.get("spec") or {}
    names = {f["name"] for f in spec.get("features") or ()}
    if names and names != set(window.features):
        wrong = sorted(names ^ set(window.features))
        msg = f"features {wrong[:10]} are not those that {version.ref} has, or are missing: report all of {sorted(names)[:20]}. Nothing was written."
        raise SpecError(msg)
    return f"{version.ref} itself"


def _write(
    ledger: Ledger,
    identity: RunIdentity,
    version: Version,
    window: ReportedWindow,
    before: Report | None,
    against: str,
) -> Report:
    counts = window.counts
    run = ledger.runs.begin(
        identity, input_digest=digest_of(reported=window.model_dump(mode="json"), model=version.ref)
    )
    body = _place(last_report(ledger, version), window, before) | {
        "partition_key": window.window,
        "model": version.ref,
        "role": window.role,
        "reference": window.reference,
        "against": against,
        "rows": window.rows,
        "features": counts["features"],
        "score": counts["score"],
        "labels": window.labels.model_dump(mode="json") if window.labels else None,
        "revision": before.body["revision"] + 1 if before else 0,
        "previous": before.report_id if before else None,
        "summary": f"{window.rows:,} rows of window {window.window} were counted elsewhere, in the bins of {against}",
    }
    key = None if window.role == REFERENCE else window.window
    report = ledger.reports.add(
        run=run,
        fact=revised(fact_of(version, key), before),
        kind=KIND,
        verdict=Verdict.PASS,
        body=body,
        version_id=version.version_id,
    )
    ledger.lineage.add(
        [Edge(version_node(version.version_id), report_node(report.report_id), "scored_by")], run=run
    )
    detail = {"window": window.window, "role": window.role, "rows": window.rows, "report": report.report_id}
    ledger.audit.add(action="report window", subject=version.ref, run=run, detail=detail)
    ledger.runs.finish(run)
    return report


def _place(last: Report | None, window: ReportedWindow, before: Report | None) -> dict[str, Any]:
    """The first window of the model, the one before this, and the newest, by their partition keys."""
    known: Mapping[str, Any] = last.body if last else {"first": None, "newest": None}
    if before is not None:
        return {"first": before.body["first"], "before": before.body["before"], "newest": known["newest"]}
    if window.role == REFERENCE:
        return {"first": known["first"], "before": None, "newest": known["newest"]}
    return {"first": known["first"] or window.window, "before": known["newest"], "newest": window.window}

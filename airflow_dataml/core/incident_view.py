"""An incident as a story: what happened to it, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One moment of an incident.

    :param what: ``opened``, the state it was moved to, ``report`` or ``resolved``.
    :param who: the task or the person; ``None`` where nobody is on record.
    :param report: the report that was written then.
    """

    at: datetime
    what: str
    who: str | None = None
    words: str | None = None
    verdict: str | None = None
    report: int | None = None


def timeline(
    incident: Mapping[str, Any],
    *,
    opened_by: str | None,
    entries: Iterable[Mapping[str, Any]],
    since: Iterable[Mapping[str, Any]],
) -> list[Event]:
    """Return the moments of an incident, oldest first.

    :param entries: what people did, of the audit chain.
    :param since: later reports of the kind that opened it, which say whether it goes on.
    """
    events = [
        Event(incident["opened_at"], "opened", opened_by, incident["title"], report=incident["report_id"])
    ]
    for entry in entries:
        detail = entry["detail"] if isinstance(entry["detail"], dict) else {}
        state = str(detail.get("to") or entry["action"])
        said = [str(detail[name]).replace("_", " ") for name in ("reason", "words") if detail.get(name)]
        told = [f"to {detail['assignee']}" if detail.get("assignee") else "", *said]
        events.append(
            Event(entry["at"], state, entry["actor"], ": ".join(part for part in told if part) or None)
        )
    for report in since:
        batch = f"batch {report['partition_key']}" if report.get("partition_key") else ""
        words = ": ".join(part for part in (batch, report.get("words") or "") if part)
        events.append(
            Event(report["at"], "report", None, words or None, report["verdict"], report["report_id"])
        )
    # A release closes the incidents of the model it replaces, with no person behind it.
    if incident["resolved_at"] and not any(event.what == "resolved" for event in events):
        events.append(Event(incident["resolved_at"], "resolved", None, incident["resolution"]))
    return sorted(events, key=lambda event: event.at)

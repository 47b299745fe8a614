"""The batch that never came: when a dataset's next version is due, and whether it is late."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.anomaly import due_by
from airflow_dataml.core.contract_expectations import SeasonKey  # noqa: TC001 - pydantic reads the annotation

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.core.anomaly import Expected
    from airflow_dataml.core.history import Publications

Lateness = Literal["on_time", "came", "overdue", "unknown"]
REPORT_KIND = "overdue"


class OverduePolicy(BaseModel):
    """When a dataset's next version counts as one that never came.

    :param false_alarm_rate: share of ordinary versions that may come later than they are due.
    :param min_history: below this many gaps between versions nothing is due.
    :param season: ``auto`` finds out whether the rhythm follows the days of the week, which takes four weeks of
        versions; ``weekly`` says so, ``none`` that it does not.
    :param window: how many past versions to learn from, at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_alarm_rate: float = Field(0.01, gt=0, lt=0.5)
    min_history: int = Field(14, ge=10)
    season: SeasonKey = "auto"
    window: int = Field(365, ge=11, le=10_000)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a dataset's next version.

    :param newest: number of the last version, as somebody who waits knew it first.
    :param last: when it came.
    :param due: when the next one is surely due; ``None`` where the past does not say.
    :param gap: seconds between two versions, as the past foretells them.
    """

    asset: str
    lateness: Lateness
    newest: int | None
    last: datetime | None
    due: datetime | None
    now: datetime
    gap: Expected

    @property
    def sentence(self) -> str:
        """What it means, in one line."""
        ref = f"{self.asset}@{self.newest}"
        if self.lateness == "unknown" or self.due is None or self.last is None:
            return f"when the next version of {self.asset} is due is unknown: {self.gap.detail or 'there is none yet'}"
        due, last = (time.isoformat(sep=" ", timespec="minutes") for time in (self.due, self.last))
        if self.lateness == "came":
            return f"{ref} came at {last}"
        late = "" if self.lateness == "overdue" else "not yet overdue: "
        rate = f"{self.gap.false_alarm_rate:g} of ordinary versions are later"
        return f"{late}no version of {self.asset} since {ref} of {last}; the next was due by {due} ({rate})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        times = {
            name: value.isoformat() if value else None
            for name, value in (("last", self.last), ("due", self.due), ("now", self.now))
        }
        return asdict(self) | times | {"gap": self.gap.to_dict()}


def outlook(seen: Publications, policy: OverduePolicy, *, since: int | None) -> Outlook:
    """Return what is known of a dataset's next version.

    :param since: number of the version that was the newest when somebody began to wait; a newer one has come.
    """
    times = seen.times[-policy.window :]
    due, gap = due_by(
        times,
        false_alarm_rate=policy.false_alarm_rate,
        min_history=policy.min_history,
        season=policy.season,
    )
    came = since is not None and seen.newest is not None and seen.newest > since
    lateness: Lateness = (
        "came" if came else "unknown" if due is None else "overdue" if seen.now >= due else "on_time"
    )
    return Outlook(seen.asset, lateness, seen.newest, times[-1] if times else None, due, seen.now, gap)

"""Waiting for news of a model: what is awaited, and what came."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import check_name
from airflow_dataml.core.retrain_policy import FINDINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["DECAY", "DRIFT", "AwaitedIncident", "AwaitedReport", "News", "answer_of", "report_facts"]

DRIFT = ("prediction_drift", "input_drift", "attribution_drift")
DECAY = ("decay", "estimated_decay")
SEVERITIES = ("low", "medium", "high")
_CONFIG = ConfigDict(frozen=True, extra="forbid")


class _Awaited(BaseModel):
    """Something that is awaited of one asset.

    :param asset: logical name.
    :param newer_than: number of the newest that is known already; only later ones count.
    """

    model_config = _CONFIG

    asset: str
    newer_than: int = Field(default=0, ge=0)

    @classmethod
    def parse(cls, asset: str, **said: Any) -> Self:
        """Read what a person wrote in a DAG.

        :raises SpecError: a field cannot be read.
        """
        try:
            return cls.model_validate({"asset": check_name(asset), **said})
        except ValidationError as err:
            first = err.errors()[0]
            name = ".".join(map(str, first["loc"]))
            msg = f"waiting for news of {asset!r}: {name}={first['input']!r} is not usable: {first['msg']}."
            raise SpecError(msg) from err

    def after(self, number: int) -> Self:
        """Return the same, of later ones alone."""
        return self.model_copy(update={"newer_than": max(number, self.newer_than, 0)})

    @property
    def key(self) -> str:
        """What tells apart those who await different things of an asset."""
        said = repr(sorted(self.model_dump(exclude={"newer_than"}).items()))
        return hashlib.sha256(said.encode()).hexdigest()[:12]


class AwaitedReport(_Awaited):
    """A monitor report that found something.

    :param findings: it must have found one of these.
    :param verdicts: its verdict must be one of these; any will do where there are none.
    """

    findings: tuple[str, ...] = Field(min_length=1)
    verdicts: tuple[Literal["pass", "warn", "fail", "unknown"], ...] = ()

    @field_validator("findings")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(value) - set(FINDINGS)):
            msg = f"{unknown} is nothing a monitor finds; write some of {', '.join(FINDINGS)}"
            raise ValueError(msg)
        return value

    def __str__(self) -> str:
        return f"a monitor report of {self.asset!r} that found {' or '.join(self.findings)}"


class AwaitedIncident(_Awaited):
    """An incident that is open, or that none is.

    :param kinds: ``data``, ``drift``, ``decay``; any where there are none.
    :param severity: the least that counts.
    :param until: wait for an ``open`` one, or until all are ``resolved``.

    >>> AwaitedIncident(asset="rides", severity="medium").severities
    ('medium', 'high')
    """

    kinds: tuple[Literal["data", "drift", "decay"], ...] = ()
    severity: Literal["low", "medium", "high"] = "low"
    until: Literal["open", "resolved"] = "open"

    @property
    def severities(self) -> tuple[str, ...]:
        """All severities that count."""
        return SEVERITIES[SEVERITIES.index(self.severity) :]

    def __str__(self) -> str:
        what = f"{' or '.join(self.kinds)} incident" if self.kinds else "incident"
        if self.until == "resolved":
            return f"the end of every {what} of {self.asset!r}"
        return f"an open {what} of {self.asset!r}"


@dataclass(frozen=True, slots=True)
class News:
    """A report or an incident, as somebody who waits for it sees it.

    :param number: id of the report, or of the incident.
    :param facts: what an event tells besides; plain JSON, small.
    """

    asset: str
    number: int
    facts: dict[str, Any] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return what an event carries."""
        return {"asset": self.asset, "number": self.number, **self.facts}


def answer_of(awaited: AwaitedReport | AwaitedIncident, page: Sequence[News]) -> dict[str, Any] | None:
    """Return what is told of a page of news; ``None`` while it is not what is awaited.

    >>> answer_of(AwaitedIncident(asset="rides", until="resolved"), [])
    {'asset': 'rides', 'number': None}
    """
    if isinstance(awaited, AwaitedIncident) and awaited.until == "resolved":
        return None if page else {"asset": awaited.asset, "number": None}
    return page[0].payload() if page else None


def report_facts(
    verdict: str, partition_key: str | None, found: Sequence[str], summary: str | None, at: datetime
) -> dict[str, Any]:
    """Return what an event tells of a monitor report.

    :param found: kinds of findings.
    """
    return {
        "verdict": verdict,
        "partition_key": partition_key,
        "found": list(found),
        "summary": (summary or "")[:500],
        "created_at": at.isoformat(),
    }

"""One look at a challenger: its gates, slices and groups, and the evidence that all looks have left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.fairness import judge_fairness, rate_evidence
from airflow_dataml.core.metric_gates import judge_gates
from airflow_dataml.core.sequential import Evidence, confidence_sequence, error_at_look
from airflow_dataml.core.slices import (
    gather,
    judge_slices,
    read_groups,
    slice_evidence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.evaluation import PromotionPolicy
    from airflow_dataml.core.metric_gates import Finding, Scored
    from airflow_dataml.core.slices import Group
    from airflow_dataml.core.statistics import Interval


@dataclass(frozen=True, slots=True)
class Look:
    """What all looks at one challenger and one champion have found so far; kept in the newest report.

    :param number: counted from 1.
    :param horizon: rows at which the confidence sequence is to be narrowest: half of what the planned looks bring
        if they go on as the first, which fixes it.
    :param total: sums of the loss differences.
    :param rules: the slice and fairness rules the groups belong to.
    :param since: time from which on the rows of this look are; ``until`` the time before which they all are.
    """

    number: int
    horizon: float
    total: Evidence
    slices: tuple[Group, ...] = ()
    groups: tuple[Group, ...] = ()
    rules: Any = None
    since: str | None = None
    until: str | None = None
    previous: int | None = None

    def during(self, *, since: str, until: str, previous: int | None) -> Look:
        """Return the look with its window, and the report of the look before."""
        return replace(self, since=since, until=until, previous=previous)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "number": self.number,
            "horizon": self.horizon,
            "total": self.total.to_dict(),
            "slices": [one.to_dict() for one in self.slices],
            "groups": [one.to_dict() for one in self.groups],
            "rules": self.rules,
            "since": self.since,
            "until": self.until,
            "previous": self.previous,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        read = {
            "total": Evidence.from_dict(data["total"]),
            "slices": tuple(read_groups(data["slices"])),
            "groups": tuple(read_groups(data["groups"])),
        }
        return cls(**(dict(data) | read))


@dataclass(frozen=True, slots=True)
class Judged:
    """What the conditions of a policy found, and what is kept for the next look.

    :param difference: the confidence sequence of the loss difference; ``None`` where only one look is meant.
    """

    gates: tuple[Finding, ...]
    slices: tuple[Finding, ...]
    fairness: tuple[Finding, ...]
    difference: Interval | None = None
    look: Look | None = None


def judge_rows(
    rows: Scored, *, losses: tuple[Any, Any], policy: PromotionPolicy, before: Look | None
) -> Judged:
    """Judge every condition of a policy on the rows of one look, and on the evidence of those before.

    Losses and rates add up over looks. A gate's metric does not: it is judged on the rows of this look, at the part
    of the error this look may spend, and so are fairness groups.

    :param losses: of every row, the challenger's and the opponent's.
    """
    error = 1 - policy.confidence
    look = _next_look(rows, losses, policy, before)
    repeated = policy.looks is not None
    spent = error_at_look(error, look.number) if repeated else error
    # One look: the two-sided interval. Several: each end of the sequence holds with the whole confidence.
    slices = judge_slices(
        policy.slices, look.slices, error=error if repeated else error / 2, sequence=repeated
    )
    return Judged(
        gates=tuple(judge_gates(policy.gates, rows, error=spent)),
        slices=tuple(slices),
        fairness=tuple(judge_fairness(policy.fairness, look.groups, error=spent)),
        difference=confidence_sequence(look.total, error=error, horizon=look.horizon) if repeated else None,
        look=look if repeated else None,
    )


def _next_look(rows: Scored, losses: tuple[Any, Any], policy: PromotionPolicy, before: Look | None) -> Look:
    rules = policy.model_dump(mode="json", include={"slices", "fairness"})
    planned = policy.looks or 1
    new = Evidence.of(losses[0] - losses[1])
    # Groups of other rules are begun anew, with rows that no earlier look has seen.
    same = before if before is not None and before.rules == rules else None
    slices = gather(
        policy.slices,
        rows.columns,
        slice_evidence(*losses),
        before=same.slices if same else None,
        looks=planned,
    )
    groups = (
        gather(
            policy.fairness,
            rows.columns,
            rate_evidence(rows),
            before=same.groups if same else None,
            looks=planned,
        )
        if policy.fairness
        else []
    )
    return Look(
        number=before.number + 1 if before else 1,
        horizon=before.horizon if before else max(new.n, 1) * planned / 2,
        total=new + before.total if before else new,
        slices=tuple(slices),
        groups=tuple(groups),
        rules=rules,
    )

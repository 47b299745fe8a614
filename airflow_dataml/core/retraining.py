"""What follows from news about a model: a new version, a repair of its data, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.governance import Decision
from airflow_dataml.core.retrain_policy import Freeze, RetrainBudget, RetrainPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Asked",
    "Freeze",
    "RetrainBudget",
    "RetrainPolicy",
    "Standing",
    "Watched",
    "asked_for",
    "decide_retrain",
    "limited",
    "wanted",
]

RETRAIN, WAIT, FIX_DATA = "retrain", "wait", "fix_data"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Watched:
    """An earlier window of the champion, its data trusted.

    :param monitor: id of its report.
    :param kinds: what was found.
    :param partition_key: the batch that was looked at.
    """

    monitor: int
    kinds: tuple[str, ...]
    partition_key: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A retraining that was asked for.

    :param report: the decision.
    :param monitor: the window that led to it; ``None`` where none did.
    :param partition_key: that window's batch, which may have been looked at again since; ``None`` where it was one
        of another champion.
    """

    report: int
    at: datetime
    monitor: int | None = None
    partition_key: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands, besides what the newest window found.

    :param champion: the version, as ``name@number``.
    :param trained_at: when it was made.
    :param new_batches: batches of the dataset it learns from that its newest version has not seen; their rows.
    :param windows: earlier windows of this champion, newest first.
    :param asked: retrainings asked for, newest first.
    :param monitor: the report on the newest window; ``None`` where no window is decided on.
    :param partition_key: that window's batch.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    champion: str = "the champion"
    trained_at: datetime | None = None
    new_batches: int = 0
    new_rows: int = 0
    windows: tuple[Watched, ...] = ()
    asked: tuple[Asked, ...] = ()
    monitor: int | None = None
    partition_key: str | None = None


def decide_retrain(
    *,
    findings: Mapping[str, Sequence[str]],
    feed_broken: Sequence[str],
    policy: RetrainPolicy,
    pending: bool,
    standing: Standing | None = None,
) -> Decision:
    """Retrain, fix the data, or wait; with the reasons in words.

    :param findings: what was found, by kind.
    :param feed_broken: why the data of the window cannot be trusted; a broken feed never retrains.
    :param pending: whether a retraining was asked for and has not led to a version yet.
    :param standing: the model's past; without it, only what this window says counts.

    >>> quiet = decide_retrain(findings={}, feed_broken=(), policy=RetrainPolicy(max_age="P30D"), pending=False,
    ...     standing=Standing(now=datetime(2026, 3, 1, tzinfo=UTC), champion="late@2", trained_at=datetime(2026, 1, 1, tzinfo=UTC)))
    >>> quiet.action, quiet.reasons
    ('retrain', ('late@2 is 59.0 days old (at most 30.0 days)',))
    """
    standing = standing or Standing()
    reasons = tuple(f"{kind}: {text}" for kind, texts in findings.items() for text in texts)
    if feed_broken:
        return Decision(FIX_DATA, (*feed_broken, *reasons))
    declines, said = _decline(policy, standing, tuple(kind for kind, texts in findings.items() if texts))
    due = _due(policy, standing)
    told = (*reasons, *said, *due)
    if not declines and not due:
        return Decision(WAIT, told or ("no drift and no decay beyond the tolerances",))
    if held := _held(policy, standing, pending):
        return Decision(WAIT, (*told, *held))
    return Decision(RETRAIN, told, {"strategy": policy.strategy, "action": policy.action})


def _decline(policy: RetrainPolicy, standing: Standing, found: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether what the newest windows found asks for a new version, and what is to be said about it."""
    hits = [bool(wanted(policy, kinds)) for kinds in (found, *(w.kinds for w in standing.windows))][
        : policy.m
    ]
    if not any(hits):
        return False, ()
    count = f"found in {sum(hits)} of the last {len(hits)} windows"
    if sum(hits) < policy.k:
        return False, (f"{count}, asked for are {policy.k} of {policy.m}",)
    if not policy.still_in_decline and (before := _asked_in_this_decline(policy, standing, hits[0])):
        since = (
            f"decision {before.report} of {before.at:%Y-%m-%d} asked for a retraining in this decline already"
        )
        return False, (f"{since}, and a decline that goes on does not ask again",)
    return True, (f"{count} (asked for: {policy.k} of {policy.m})",) if policy.m > 1 else ()


def _asked_in_this_decline(policy: RetrainPolicy, standing: Standing, goes_on: bool) -> Asked | None:
    windows = {one.monitor: one for one in standing.asked if one.monitor is not None}
    batches = {one.partition_key: one for one in standing.asked if one.partition_key}
    # Looked at again, a batch is still the same news.
    if mine := batches.get(standing.partition_key or "") or windows.get(standing.monitor or 0):
        return mine
    for window in standing.windows if goes_on else ():
        if not wanted(policy, window.kinds):
            return None
        if asked := batches.get(window.partition_key or "") or windows.get(window.monitor):
            return asked
    return None


def wanted(policy: RetrainPolicy, kinds: Sequence[str]) -> tuple[str, ...]:
    """Return which findings ask for a new version.

    >>> wanted(RetrainPolicy(), ("input_drift", "decay"))
    ('decay',)
    """
    return tuple(kind for kind in kinds if kind in policy.on)


def _due(policy: RetrainPolicy, standing: Standing) -> tuple[str, ...]:
    """Why a new version is due, whatever was found."""
    due = []
    trained = standing.trained_at
    if policy.max_age is not None and trained is not None:
        last = max([trained, *(one.at for one in standing.asked[:1])])
        if standing.now - last > policy.max_age:
            age = _days(standing.now - trained)
            due.append(f"{standing.champion} is {age} old (at most {_days(policy.max_age)})")
    for asked, came, what in (
        (policy.new_batches, standing.new_batches, "batches"),
        (policy.new_rows, standing.new_rows, "rows"),
    ):
        if asked is not None and came >= asked:
            due.append(
                f"{came:,} {what} came that the newest version has not learnt from (asked for: {asked:,})"
            )
    return tuple(due)


def _held(policy: RetrainPolicy, standing: Standing, pending: bool) -> tuple[str, ...]:
    """Why no retraining is asked for now although there is a reason to."""
    held, now = [], standing.now
    if pending:
        held.append("a retraining is already under way")
    last = standing.asked[0] if standing.asked else None
    if last is not None and now - last.at < policy.min_interval:
        held.append(
            f"decision {last.report} asked for a retraining {_days(now - last.at)} ago, "
            f"and {_days(policy.min_interval)} must lie between two"
        )
    if policy.budget is not None:
        spent = sum(now - one.at < policy.budget.within for one in standing.asked)
        if spent >= policy.budget.retrainings:
            held.append(
                f"{spent} retrainings were asked for within {_days(policy.budget.within)}, "
                f"and the budget is {policy.budget.retrainings}"
            )
    day = now.astimezone(UTC).date()
    held += [f"{day} is frozen: {freeze}" for freeze in policy.freeze if freeze.covers(day)]
    return tuple(held)


def asked_for(body: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return strategy and action that a decision asks for, from its report; decisions of old ask for the usual.

    >>> asked_for({"action": "retrain", "facts": {"strategy": "distil", "action": "challenger"}}), asked_for(None)
    (('distil', 'challenger'), ('same', 'promote'))
    """
    facts = (body or {}).get("facts") or {}
    return str(facts.get("strategy", "same")), str(facts.get("action", "promote"))


def limited(decision: Decision, *, allowed: str, asked_by: int | None) -> Decision:
    """Hold a decision on a promotion to what the decision that asked for the version allows.

    >>> limited(Decision("promote", ("it is better",)), allowed="challenger", asked_by=7)
    Decision(action='keep', reasons=('it is better', 'decision 7 asked for a challenger and no more'), facts={})
    """
    if allowed == "promote" or (allowed == "challenger" and decision.action != "promote"):
        return decision
    what = "a challenger and no more" if allowed == "challenger" else "a version to be registered and no more"
    return replace(
        decision, action="keep", reasons=(*decision.reasons, f"decision {asked_by} asked for {what}")
    )


def _days(span: timedelta) -> str:
    return f"{span / _DAY:.1f} days"

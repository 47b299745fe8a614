"""Roll back a model: an earlier version is champion again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import AliasMovedError, SpecError, VersionNotFoundError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import VersionRef
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.aliases import CHAMPION, PREVIOUS, move_aliases, succession

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelRolledBack:
    """What the rollback of a model came to.

    :param version: the champion now.
    :param left: the one it replaced, which is ``previous`` now; ``None`` where there was none.
    :param report: the decision.
    """

    version: Version
    left: str | None
    report: Report

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        return {"version": self.version.ref, "left": self.left, "report": self.report.report_id}


def roll_back_model(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    model: str,
    reason: str,
    to: str = PREVIOUS,
    expected: str | None = None,
) -> ModelRolledBack:
    """Make an earlier version champion again and the champion ``previous``, in one transaction.

    A retry finds what its earlier try decided. MLflow follows through the outbox.

    :param to: ``previous``, ``model@number`` or ``model@alias``: any registered version of the model.
    :param reason: why; kept as a decision and in the audit chain.
    :param expected: the champion that is to be replaced; the one at the start of this call unless given.
    :raises SpecError: there is no reason, it is no model or another's version, or champion already.
    :raises VersionNotFoundError: there is no such version, or no previous one.
    :raises AliasMovedError: another champion than the expected one was found.
    """
    if not reason.strip():
        msg = f"rolling back {model!r} needs a reason: write reason='what was wrong with it'."
        raise SpecError(msg)
    require_model(ledger, model)
    run = ledger.runs.begin(identity, input_digest=digest_of(to=to))
    if expected is None:
        champion = ledger.versions.alias(model, CHAMPION)
        expected = champion.ref if champion else None
    with ledger.transaction():
        ledger.assets.lock(model)
        report = ledger.reports.of_fact(run.fact(model), "decision")
        if report is None:
            report = _roll_back(ledger, run, model, to=to, reason=reason.strip(), expected=expected)
        else:
            log.info("An earlier try rolled back to %s; kept", report.body["version"])
        ledger.runs.finish(run)
    version = ledger.versions.by_id(int(report.version_id or 0))
    return ModelRolledBack(version, report.body["facts"]["left"], report)


def require_model(ledger: Ledger, name: str) -> None:
    """Refuse what is not a model.

    :raises AssetNotFoundError: there is nothing of that name.
    :raises SpecError: it is something else.
    """
    kind = ledger.assets.get(name)["kind"]
    if kind != "model":
        msg = f"{name!r} is a {kind} and no model, so it has no champion."
        raise SpecError(msg)


def require_champion(
    model: str, champion: Version | None, expected: str | None, *, what: str = "rolled back"
) -> None:
    """Refuse to replace another champion than the one that was meant.

    :raises AliasMovedError: somebody moved the alias in between.
    """
    if (champion.ref if champion else None) != expected:
        msg = (
            f"the champion of {model!r} is {champion.ref if champion else 'gone'} and {expected or 'none'} "
            f"was expected, so it was not {what}: look at it again."
        )
        raise AliasMovedError(msg)


def _roll_back(
    ledger: Ledger, run: TaskRun, model: str, *, to: str, reason: str, expected: str | None
) -> Report:
    champion = ledger.versions.alias(model, CHAMPION)
    require_champion(model, champion, expected)
    target = _target(ledger, model, to)
    if champion is not None and champion.version_id == target.version_id:
        msg = f"{target.ref} is the champion of {model!r} already: there is nothing to roll back to it."
        raise SpecError(msg)
    left = champion.ref if champion else None
    decision = Decision("roll_back", (reason,), {"left": left, "to": target.ref})
    report = ledger.reports.add(
        run=run,
        fact=run.fact(model),
        kind="decision",
        verdict=Verdict.PASS,
        body=decision.to_dict() | {"version": target.ref},
        version_id=target.version_id,
    )
    moves = succession(ledger, target, champion)
    move_aliases(ledger, run, model=model, moves=moves, report_id=report.report_id)
    ledger.audit.add(
        action="roll back",
        subject=target.ref,
        run=run,
        detail={"left": left, "reason": reason, "report": report.report_id},
    )
    log.info("Rolled %s back from %s to %s: %s", model, left, target.ref, reason)
    return report


def _target(ledger: Ledger, model: str, to: str) -> Version:
    if to in (PREVIOUS, f"{model}@{PREVIOUS}"):
        previous = ledger.versions.alias(model, PREVIOUS)
        if previous is None:
            msg = f"{model!r} has no previous champion to go back to: name a version, such as {model}@1."
            raise VersionNotFoundError(msg)
        return previous
    if VersionRef.parse(to).asset != model:
        msg = f"{model!r} cannot be rolled back to {to!r}: write {model}@<number>, or {PREVIOUS!r}."
        raise SpecError(msg)
    return ledger.versions.find(to)

"""Evaluate: a challenger and the champion on the same pinned holdout."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of
from airflow_dataml.core.errors import ConflictError, SpecError
from airflow_dataml.core.evaluation import LOSS_OF_TASK, compare, verdict_of
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.looks import Look
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import TrainingPlan, plan_of
from airflow_dataml.steps.class_scores import in_one_order, repeated
from airflow_dataml.steps.estimated_counts import fit_classes, fit_loss_model, loss_columns
from airflow_dataml.steps.holdout import (
    Window,
    export_holdout,
    last_look,
    require_columns,
    score_holdout,
    time_scoring,
    window_of,
)
from airflow_dataml.steps.models import open_model, tidy
from airflow_dataml.steps.training_rows import class_shares, mean_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.evaluation import Comparison, PromotionPolicy
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Scorer, ScorerLoader, Warehouse
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
BASELINE = "the mean of the training rows"


@dataclass(frozen=True, slots=True)
class Bench:
    """What evaluation and scoring need besides the ledger."""

    registry: ModelRegistry
    scorers: ScorerLoader
    work_dir: Path

    def open(self, version: Version) -> Scorer:
        """Load a model version; see ``steps.models.open_model``."""
        return open_model(
            version=version, registry=self.registry, scorers=self.scorers, work_dir=self.work_dir
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models and the rules between them."""

    challenger: Version
    champion: Version | None
    policy: PromotionPolicy

    @property
    def trained_on(self) -> TrainingPlan:
        """What the challenger was trained on."""
        return TrainingPlan.from_dict(self.challenger.facts["plan"])


def evaluate_model(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    challenger: str,
    policy: PromotionPolicy,
    bench: Bench,
) -> Report:
    """Measure a model version against the champion and keep the report.

    Without a champion the opponent is the training rows' mean label, the least any model must beat. With
    ``policy.looks`` every evaluation of the same two judges the rows that came since the one before, together with
    what earlier ones have found; where no row came, what was found stays.

    :param challenger: the version, as ``name@number`` or ``name@candidate``.
    :raises NotFoundError: a column of a slice or a fairness group is not in the dataset.
    :raises SpecError: there is no row to measure on.
    :raises ConflictError: another task looked at the same two models meanwhile.
    """
    version = ledger.versions.find(challenger)
    champion = ledger.versions.alias(version.asset, "champion")
    digest = digest_of(
        challenger=version.version_id,
        champion=champion.version_id if champion else None,
        policy=policy.model_dump(mode="json"),
    )
    run = ledger.runs.begin(identity, input_digest=digest)
    fact = run.fact(version.asset)
    report = ledger.reports.of_fact(fact, "evaluation")
    if report is not None:
        log.info("An earlier try evaluated %s (report %d); kept", version.ref, report.report_id)
        return report
    plan = plan_of(version, what="an evaluation")
    pair = Pair(version, champion, policy)
    window: Window | None = Window(plan)
    if policy.looks is not None:
        window = window_of(ledger, warehouse, version, champion, plan)
    if window is None:
        return _keep_looking(ledger, run, pair, plan)
    folder = bench.work_dir / fact.digest
    comparison = _compare(ledger, warehouse, pair, window, bench, folder / "holdout.csv")
    tidy(folder)
    body = comparison.to_dict() | {
        "challenger_ref": version.ref,
        "champion_ref": champion.ref if champion else None,
        "champion_id": champion.version_id if champion else None,
        "dataset": window.plan.version,
        "cut": window.plan.cut,
        "policy": policy.model_dump(mode="json"),
    }
    verdict, reason = verdict_of(body, policy)
    return _record(ledger, run, pair, window, body, verdict, reason)


def _keep_looking(ledger: Ledger, run: TaskRun, pair: Pair, plan: TrainingPlan) -> Report:
    """Repeat what the last look found, because no row has come since."""
    last = last_look(ledger, pair.challenger, pair.champion)
    policy = pair.policy.model_dump(mode="json")
    if last is None or last.body["policy"] != policy:
        since = f"since report {last.report_id}" if last else f"from {plan.cut} on"
        msg = f"{plan.dataset} has no labelled row {since}: there is nothing to judge {pair.challenger.ref} by; wait for the next batch."
        raise SpecError(msg)
    look = Look.from_dict(last.body["look"])
    window = Window(plan, look.until, look, last)
    reason = f"no row came since report {last.report_id}: {last.body['summary']}"
    return _record(ledger, run, pair, window, dict(last.body), last.verdict, reason)


def _compare(
    ledger: Ledger, warehouse: Warehouse, pair: Pair, window: Window, bench: Bench, path: Path
) -> Comparison:
    version, champion, policy = pair.challenger, pair.champion, pair.policy
    plan, spec = window.plan, version.facts["spec"]
    require_columns(ledger, plan, policy.columns)
    wanted = _columns(spec) + (_columns(champion.facts["spec"]) if champion else ()) + policy.columns
    export_holdout(ledger, warehouse, version, plan, wanted, path)
    scorer = bench.open(version)
    kept = tuple(dict.fromkeys((*policy.columns, *loss_columns(spec))))
    labels, scores, columns = score_holdout(scorer, spec["target"], path, kept)
    learnt = fit_classes(labels, scores, classes_of(scorer))
    loss_model = fit_loss_model(spec, labels, scores, columns)
    who, said, theirs, timings = _opponent(ledger, warehouse, pair, bench, path, len(labels))
    unseen: dict[str, Any] | None = None
    classes: tuple[str, ...] = ()
    if spec["task"] == "multiclass":
        both = in_one_order(labels, (scores, classes_of(scorer)), (said, theirs))
        labels, scores, said, unseen = both.labels, both.challenger, both.opponent, both.unseen
        classes = both.known
    comparison = compare(
        metric=LOSS_OF_TASK[spec["task"]],
        labels=labels,
        challenger=(version.ref, scores),
        opponent=(who, said),
        policy=policy,
        columns={name: columns[name] for name in policy.columns},
        timings=(time_scoring(scorer, path), timings),
        before=window.before,
        classes=classes,
    )
    comparison = replace(
        comparison,
        unseen_classes=unseen,
        calibration=comparison.calibration or learnt,
        loss_model=loss_model,
    )
    if comparison.look is None or window.until is None:
        return comparison
    previous = window.report.report_id if window.report else None
    look = comparison.look.during(since=plan.cut, until=window.until, previous=previous)
    return replace(comparison, look=look)


def _opponent(
    ledger: Ledger, warehouse: Warehouse, pair: Pair, bench: Bench, path: Path, rows: int
) -> tuple[str, Any, tuple[str, ...], list[float]]:
    """Who the challenger is measured against: its name, what it says of the rows, its classes, and its timings.

    :raises SpecError: the champion gives one score and the challenger classes, or the other way round.
    """
    champion, spec = pair.champion, pair.challenger.facts["spec"]
    if champion is None:
        known = {"ledger": ledger, "warehouse": warehouse, "plan": pair.trained_on, "target": spec["target"]}
        if spec["task"] == "multiclass":
            return BASELINE, *repeated(class_shares(**known), rows), []
        return BASELINE, [mean_label(**known)] * rows, (), []
    tasks = spec["task"], champion.facts["spec"]["task"]
    if "multiclass" in tasks and tasks[0] != tasks[1]:
        msg = f"{pair.challenger.ref} is a {tasks[0]} model and {champion.ref} a {tasks[1]} one: train it under a name of its own."
        raise SpecError(msg)
    other = bench.open(champion)
    said = score_holdout(other, spec["target"], path)[1]
    return champion.ref, said, classes_of(other), time_scoring(other, path)


def _columns(spec: dict[str, Any]) -> tuple[str, ...]:
    features: Sequence[dict[str, Any]] = spec["features"]
    return tuple(f["name"] for f in features)


def _record(
    ledger: Ledger,
    run: TaskRun,
    pair: Pair,
    window: Window,
    body: dict[str, Any],
    verdict: str,
    reason: str,
) -> Report:
    version, champion = pair.challenger, pair.champion
    with ledger.transaction():
        if window.until is not None:
            _see_nobody_looked(ledger, pair, window)
        report = ledger.reports.add(
            run=run,
            fact=run.fact(version.asset),
            kind="evaluation",
            verdict=verdict,
            body=body | {"summary": reason},
            version_id=version.version_id,
        )
        node = report_node(report.report_id)
        sources = [window.plan.version_id, version.version_id, *([champion.version_id] if champion else [])]
        ledger.lineage.add((Edge(version_node(source), node, "evaluated_on") for source in sources), run=run)
        ledger.runs.finish(run)
    log.info("Evaluation of %s: %s. %s", version.ref, verdict, reason)
    return report


def _see_nobody_looked(ledger: Ledger, pair: Pair, window: Window) -> None:
    """Two looks side by side would each begin where the other does, and one of them would be forgotten."""
    ledger.assets.lock(pair.challenger.asset)
    last = last_look(ledger, pair.challenger, pair.champion)
    seen = window.report.report_id if window.report else None
    if (last.report_id if last else None) != seen:
        msg = f"another task looked at {pair.challenger.ref} meanwhile (report {last.report_id if last else None}): evaluate again."
        raise ConflictError(msg)

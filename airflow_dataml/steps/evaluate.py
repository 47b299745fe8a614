"""Evaluate: a challenger and the champion on the same pinned holdout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.evaluation import LOSS_OF_TASK, compare, verdict_of
from airflow_dataml.core.features import as_numbers
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.models import open_model, tidy
from airflow_dataml.steps.train import export_rows, mean_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.evaluation import Comparison, PromotionPolicy
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, ScorerLoader, Warehouse
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

    Without a champion the opponent is the training rows' mean label, the least any model must beat.

    :param challenger: the version, as ``name@number`` or ``name@candidate``.
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
    plan = TrainingPlan.from_dict(version.facts["plan"])
    folder = bench.work_dir / fact.digest
    comparison = _compare(ledger, warehouse, version, champion, plan, policy, bench, folder)
    tidy(folder)
    body = comparison.to_dict() | {
        "challenger_ref": version.ref,
        "champion_ref": champion.ref if champion else None,
        "champion_id": champion.version_id if champion else None,
        "dataset": plan.version,
        "cut": plan.cut,
        "policy": policy.model_dump(mode="json"),
    }
    return _record(ledger, run, version, champion, plan, body, policy)


def _compare(
    ledger: Ledger,
    warehouse: Warehouse,
    version: Version,
    champion: Version | None,
    plan: TrainingPlan,
    policy: PromotionPolicy,
    bench: Bench,
    folder: Path,
) -> Comparison:
    spec = version.facts["spec"]
    wanted = _columns(spec) + (_columns(champion.facts["spec"]) if champion else ())
    path = folder / "holdout.csv"
    export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=plan,
        columns=wanted,
        target=spec["target"],
        side="holdout",
        path=path,
    )
    labels, scores = _score(version, spec["target"], path, bench)
    if champion is not None:
        opponent: tuple[str, Any] = (champion.ref, _score(champion, spec["target"], path, bench)[1])
    else:
        mean = mean_label(ledger=ledger, warehouse=warehouse, plan=plan, target=spec["target"])
        opponent = (BASELINE, [mean] * len(labels))
    return compare(
        metric=LOSS_OF_TASK[spec["task"]],
        labels=labels,
        challenger=(version.ref, scores),
        opponent=opponent,
        policy=policy,
    )


def _score(version: Version, target: str, path: Path, bench: Bench) -> tuple[list[float], list[float]]:
    scorer = open_model(
        version=version, registry=bench.registry, scorers=bench.scorers, work_dir=bench.work_dir
    )
    labels: list[float] = []
    scores: list[float] = []
    for columns, block in scorer.score_csv(path):
        labels.extend(as_numbers(target, columns[target]).tolist())
        scores.extend(block.tolist())
    return labels, scores


def _columns(spec: dict[str, Any]) -> tuple[str, ...]:
    features: Sequence[dict[str, Any]] = spec["features"]
    return tuple(f["name"] for f in features)


def _record(
    ledger: Ledger,
    run: TaskRun,
    version: Version,
    champion: Version | None,
    plan: TrainingPlan,
    body: dict[str, Any],
    policy: PromotionPolicy,
) -> Report:
    verdict, reason = verdict_of(body, policy)
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(version.asset),
            kind="evaluation",
            verdict=verdict,
            body=body | {"summary": reason},
            version_id=version.version_id,
        )
        node = report_node(report.report_id)
        sources = [plan.version_id, version.version_id, *([champion.version_id] if champion else [])]
        ledger.lineage.add((Edge(version_node(source), node, "evaluated_on") for source in sources), run=run)
        ledger.runs.finish(run)
    log.info("Evaluation of %s: %s. %s", version.ref, verdict, reason)
    return report

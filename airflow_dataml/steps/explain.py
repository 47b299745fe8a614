"""Explain: what a model version's scores rest on, measured on its pinned holdout."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of, codes_of
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.explanation import attribution_drift, summary_of, verdict_of
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_numbers
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import plan_of
from airflow_dataml.steps.attribution import Case, explain_case
from airflow_dataml.steps.models import tidy
from airflow_dataml.steps.training_rows import export_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.explanation import ExplanationSpec, Permuter
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Scorer, Warehouse
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.windows import TrainingPlan
    from airflow_dataml.steps.evaluate import Bench

log = logging.getLogger(__name__)
_EXTRA = "monitoring"
# How far back an explanation to compare with is looked for.
_EARLIER = 10


def explain_model(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    version: str,
    spec: ExplanationSpec,
    bench: Bench,
    permuter: Permuter,
) -> Report:
    """Explain a model version on its holdout and keep the report; a retry keeps what an earlier try wrote.

    It is compared with the explanation of the champion, else of the version before it that has one.

    :param version: as ``name@number`` or ``name@alias``.
    :raises SpecError: the version was not trained by us, or the holdout has no row.
    :raises NotFoundError: a column of ``slices`` is no feature of the model.
    """
    found = ledger.versions.find(version)
    plan, trained = plan_of(found, what="an explanation"), found.facts["spec"]
    features = tuple(f["name"] for f in trained["features"])
    for name in spec.slices:
        if name not in features:
            what = f"feature of {found.ref}"
            raise NotFoundError.from_available(what, name, features)
    digest = digest_of(version=found.version_id, spec=spec.model_dump(mode="json"))
    run = ledger.runs.begin(identity, input_digest=digest)
    fact = run.fact(found.asset)
    report = ledger.reports.of_fact(fact, "explanation")
    if report is not None:
        log.info("An earlier try explained %s (report %d); kept", found.ref, report.report_id)
        return report
    folder = bench.work_dir / fact.digest
    case = holdout_case(ledger, warehouse, found, spec, bench, folder / "holdout.csv")
    tidy(folder)
    body = explain_case(case, spec, permuter) | {
        "version": found.ref,
        "dataset": plan.version,
        "cut": plan.cut,
        "spec": spec.model_dump(mode="json"),
    }
    against = _against(ledger, found)
    if against is not None:
        drift = attribution_drift(against.body["features"], body["features"])
        body["drift"] = drift.to_dict() | {"against": against.body["version"], "report": against.report_id}
    return _record(ledger, run, found, plan, body, spec, against)


def holdout_case(
    ledger: Ledger,
    warehouse: Warehouse,
    version: Version,
    spec: ExplanationSpec,
    bench: Bench,
    path: Path,
) -> Case:
    """Return the rows that a version did not learn from, scored by it; at most ``spec.max_rows`` of them.

    :param path: where they are written for a while.
    :raises SpecError: the version was not trained by us, or nothing was held out.
    """
    plan, trained = plan_of(version, what="an explanation"), version.facts["spec"]
    features = tuple(f["name"] for f in trained["features"])
    columns = (*features, *plan.key_columns)
    rows = export_rows(
        ledger=ledger,
        warehouse=warehouse,
        plan=plan,
        columns=columns,
        target=trained["target"],
        side="holdout",
        path=path,
    )
    if not rows:
        msg = f"the holdout of {version.ref} has no labelled row of {plan.version} from {plan.cut} on: nothing can be measured."
        raise SpecError(msg)
    scorer = bench.open(version)
    read, scores = _sample(scorer, path, (*columns, trained["target"]), rows, spec)
    return Case(
        scorer=scorer,
        metric=LOSS_OF_TASK[trained["task"]],
        kinds={f["name"]: f["kind"] for f in trained["features"]},
        columns={name: read[name] for name in features},
        keys={name: read[name] for name in plan.key_columns},
        labels=_labels(scorer, trained["target"], read[trained["target"]]),
        scores=scores,
        holdout_rows=rows,
    )


def _labels(scorer: Scorer, target: str, column: Any) -> Any:
    classes = classes_of(scorer)
    return codes_of(column, classes) if classes else as_numbers(target, column)


def _sample(
    scorer: Scorer, path: Path, names: Sequence[str], rows: int, spec: ExplanationSpec
) -> tuple[dict[str, Any], Any]:
    """Read at most ``max_rows`` of a file's rows, the same ones every time."""
    np = load("numpy", extra=_EXTRA)
    drawn = np.arange(rows)
    if rows > spec.max_rows:
        drawn = np.sort(np.random.default_rng(spec.seed).choice(rows, spec.max_rows, replace=False))
    blocks: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(names)}
    scores, start = [], 0
    for columns, block in scorer.score_csv(path):
        low, high = np.searchsorted(drawn, [start, start + len(block)])
        places = drawn[low:high] - start
        for name, kept in blocks.items():
            column = columns[name]
            kept.append(
                (column.to_objects() if isinstance(column, CodedColumn) else np.asarray(column))[places]
            )
        scores.append(block[places])
        start += len(block)
    return {name: np.concatenate(kept) for name, kept in blocks.items()}, np.concatenate(scores)


def _against(ledger: Ledger, version: Version) -> Report | None:
    """The explanation to compare with: the champion's, else that of the nearest earlier version with one."""
    champion = ledger.versions.alias(version.asset, "champion")
    if champion is not None and champion.version_id != version.version_id:
        report = _explanation_of(ledger, champion)
        if report is not None:
            return report
    for number in range(version.number - 1, max(0, version.number - 1 - _EARLIER), -1):
        report = _explanation_of(ledger, ledger.versions.find(f"{version.asset}@{number}"))
        if report is not None:
            return report
    return None


def _explanation_of(ledger: Ledger, version: Version) -> Report | None:
    return ledger.reports.latest(asset=version.asset, kind="explanation", version_id=version.version_id)


def _record(
    ledger: Ledger,
    run: TaskRun,
    version: Version,
    plan: TrainingPlan,
    body: dict[str, Any],
    spec: ExplanationSpec,
    against: Report | None,
) -> Report:
    verdict, summary = verdict_of(body, spec), summary_of(body)
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(version.asset),
            kind="explanation",
            verdict=verdict,
            body=body | {"summary": summary},
            version_id=version.version_id,
        )
        node = report_node(report.report_id)
        sources = [plan.version_id, version.version_id, against.version_id if against else None]
        edges = [Edge(version_node(one), node, "evaluated_on") for one in sources if one is not None]
        ledger.lineage.add(edges, run=run)
        ledger.runs.finish(run)
    log.info("Explanation of %s: %s. %s", version.ref, verdict, summary)
    return report

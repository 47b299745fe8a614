"""Impact: follow changed columns to the features of models in use, and measure what those are worth."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.evaluation import row_losses
from airflow_dataml.core.explanation import ExplanationSpec
from airflow_dataml.core.extras import load
from airflow_dataml.core.impact import (
    EVERYTHING,
    AffectedFeature,
    AffectedModel,
    ImpactFound,
    ImpactPolicy,
    Proposed,
)
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.statistics import Interval, bootstrap_mean
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.explain import holdout_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.impact import ColumnGraph
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.steps.evaluate import Bench

log = logging.getLogger(__name__)
KIND = "impact"
# Verdicts that let no change through: a model would surely lose too much, or nobody can say.
REFUSED = ("fail", "unknown")
_EXTRA = "monitoring"
_PAGE = 200
_IN_USE = ("champion", "challenger")


def assess_impact(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    dataset: str,
    proposed: Sequence[Proposed],
    harmless: Sequence[str] = (),
    graph: ColumnGraph,
    policy: ImpactPolicy,
    bench: Bench | None,
) -> ImpactFound:
    """Follow columns downstream and predict what each model in use would lose if they said nothing any more.

    The prediction is a replay: the model's pinned holdout, which it did not learn from, is scored as it is and again
    with the features missing, and the growth of the loss has a paired bootstrap interval. It is what is lost until the
    model is trained anew; a changed unit may do more harm than a missing value.

    :param bench: opens models; without one the newest explanation is gone by, whose importances of single features are
        added up, which counts twice what two of them tell.
    :raises NotFoundError: there is no such dataset or column.
    """
    current = ledger.versions.find(dataset)
    known = [column.name for column in ledger.versions.columns(current.version_id)]
    for one in proposed:
        if one.column not in (*known, EVERYTHING):
            what = f"column of {current.ref}"
            raise NotFoundError.from_available(what, one.column, known)
    reached = _reached(dataset, proposed, graph)
    assets = sorted({asset for asset, _ in reached}) if proposed else []
    unseen = set(graph.made_unseen(assets)) if proposed else set()
    models = []
    for version, aliases in _in_use(ledger):
        features, decided = _features(ledger, version, reached)
        if features or decided:
            models.append(_measured(ledger, warehouse, version, aliases, features, decided, policy, bench))
        elif (version.facts.get("plan") or {}).get("dataset") in unseen:
            models.append(AffectedModel(version.ref, aliases, (), unseen=True))
    names = tuple(sorted({*assets, *unseen} - {dataset}))
    found = ImpactFound(dataset, tuple(proposed), tuple(harmless), names, tuple(models), policy)
    log.info("Impact of a change of %s: %s. %s", dataset, found.verdict, found.summary)
    return found


def keep_impact(*, ledger: Ledger, identity: RunIdentity, found: ImpactFound) -> Report:
    """Keep what was found as a report on the dataset; a retry keeps what an earlier try wrote."""
    run = ledger.runs.begin(identity, input_digest=digest_of(impact=found.to_dict()))
    current = ledger.versions.find(found.dataset)
    with ledger.transaction():
        report = ledger.reports.of_fact(run.fact(found.dataset), KIND)
        if report is None:
            report = ledger.reports.add(
                run=run,
                fact=run.fact(found.dataset),
                kind=KIND,
                verdict=found.verdict,
                body=found.to_dict(),
                version_id=current.version_id,
            )
            node = report_node(report.report_id)
            sources = [
                current.version_id,
                *(ledger.versions.find(m.version).version_id for m in found.models),
            ]
            ledger.lineage.add((Edge(version_node(one), node, "evaluated_on") for one in sources), run=run)
        # As the check of a batch that is not let through: the task fails, and that is its result.
        ledger.runs.finish(run, state="refused" if found.verdict in REFUSED else "success")
    return report


def _reached(
    dataset: str, proposed: Sequence[Proposed], graph: ColumnGraph
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Which columns of which assets are made from the changed ones, and from which of them."""
    reached: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in proposed:
        # What decides all of a dataset is written as an empty name in the graph.
        column = "" if one.column == EVERYTHING else one.column
        for pair in ((dataset, one.column), *_rows_of(graph.made_from(dataset, column), one.column)):
            reached[pair] = tuple(dict.fromkeys((*reached.get(pair, ()), one.column)))
    return reached


def _rows_of(pairs: Iterable[tuple[str, str]], column: str) -> Iterator[tuple[str, str]]:
    """What is made from a column; from all of a dataset comes which rows there are in what is made of it."""
    yield from ((asset, EVERYTHING) for asset, _ in pairs) if column == EVERYTHING else pairs


def _in_use(ledger: Ledger) -> Iterator[tuple[Version, tuple[str, ...]]]:
    page = ledger.assets.list(kind="model", limit=_PAGE)
    while page:
        for asset in page:
            standing: dict[int, tuple[Version, tuple[str, ...]]] = {}
            for alias in _IN_USE:
                version = ledger.versions.alias(str(asset["name"]), alias)
                if version is not None:
                    _, before = standing.get(version.version_id, (version, ()))
                    standing[version.version_id] = version, (*before, alias)
            yield from standing.values()
        page = ledger.assets.list(kind="model", after=str(page[-1]["name"]), limit=_PAGE)


def _features(
    ledger: Ledger, version: Version, reached: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[tuple[AffectedFeature, ...], bool]:
    """The features of a version that a change reaches, and whether it reaches which rows there are."""
    if not version.facts.get("plan") or not version.facts.get("spec"):
        return (), False
    source = TrainingPlan.from_dict(version.facts["plan"]).dataset
    report = ledger.reports.latest(asset=version.asset, kind="explanation", version_id=version.version_id)
    shares = {one["feature"]: one.get("share") for one in report.body["features"]} if report else {}
    found = [
        AffectedFeature(one["name"], reached[source, one["name"]], shares.get(one["name"]))
        for one in version.facts["spec"]["features"]
        if (source, one["name"]) in reached
    ]
    return tuple(found), (source, EVERYTHING) in reached


def _measured(
    ledger: Ledger,
    warehouse: Warehouse,
    version: Version,
    aliases: tuple[str, ...],
    features: tuple[AffectedFeature, ...],
    decided: bool,
    policy: ImpactPolicy,
    bench: Bench | None,
) -> AffectedModel:
    if not features:
        return AffectedModel(version.ref, aliases, features, decided=decided)
    if bench is not None:
        loss, growth = _replayed(ledger, warehouse, version, [one.feature for one in features], policy, bench)
        return AffectedModel(version.ref, aliases, features, loss, growth, "replayed", decided)
    report = ledger.reports.latest(asset=version.asset, kind="explanation", version_id=version.version_id)
    if report is None:
        return AffectedModel(version.ref, aliases, features, decided=decided)
    named = {one.feature for one in features}
    parts = [one["importance"] for one in report.body["features"] if one["feature"] in named]
    ends = {end: sum(float(part[end]) for part in parts) for end in ("estimate", "low", "high")}
    growth = Interval(**ends, level=float(parts[0]["level"]), n=int(report.body["rows"]))
    loss = float(report.body["loss"]["estimate"])
    return AffectedModel(version.ref, aliases, features, loss, growth, "explanation", decided)


def _replayed(
    ledger: Ledger,
    warehouse: Warehouse,
    version: Version,
    features: Sequence[str],
    policy: ImpactPolicy,
    bench: Bench,
) -> tuple[float, Interval]:
    log.info("Scoring the holdout of %s as it is, and without %s", version.ref, ", ".join(features))
    spec = ExplanationSpec(max_rows=policy.max_rows, extremes=0)
    bench.work_dir.mkdir(parents=True, exist_ok=True)
    # A folder of its own: two checks may look at one model at once.
    with tempfile.TemporaryDirectory(prefix="impact-", dir=bench.work_dir) as folder:
        case = holdout_case(ledger, warehouse, version, spec, bench, Path(folder) / "holdout.csv")
    columns = {
        name: _missing(column, case.kinds[name]) if name in features else column
        for name, column in case.columns.items()
    }
    before = row_losses(case.metric, case.labels, case.scores)
    after = row_losses(case.metric, case.labels, case.scorer.score(columns))
    return float(before.mean()), bootstrap_mean(after - before, level=policy.confidence)


def _missing(column: Any, kind: str) -> Any:
    np = load("numpy", extra=_EXTRA)
    return np.full(len(column), np.nan) if kind == "numeric" else np.full(len(column), None, dtype=object)

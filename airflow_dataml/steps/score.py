"""Score: champion and shadows over one batch, published as a dataset exactly once."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT, next_manifest
from airflow_dataml.core.errors import NotFoundError, QualityGateError, SpecError
from airflow_dataml.core.explanation import Encoded
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.refs import AssetNaming, quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change, NewPart
from airflow_dataml.steps.branches import location_on
from airflow_dataml.steps.class_scoring import tells_classes
from airflow_dataml.steps.column_maps import scored_from
from airflow_dataml.steps.humbling import humility_for
from airflow_dataml.steps.models import tidy
from airflow_dataml.steps.publish import place_of, switch
from airflow_dataml.steps.scoring import (
    CHAMPION,
    SCORE,
    Extremes,
    Panel,
    ScoringPass,
    prediction_columns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.humility import HumilityRule
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Place
    from airflow_dataml.steps.evaluate import Bench

log = logging.getLogger(__name__)
_GRID = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """What is done beside scoring; nothing of it unless asked for.

    :param humility: rules for the champion's predictions. With any, the predictions have the columns ``rule``,
        ``action`` and ``model_score``, the score as the model gave it.
    :param explain_extremes: how many of the champion's highest scores are explained, and as many of the lowest.
    """

    humility: tuple[HumilityRule, ...] = ()
    explain_extremes: int = 0

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, where anything was."""
        found: dict[str, Any] = {}
        if self.humility:
            found["humility"] = [rule.model_dump(mode="json") for rule in self.humility]
        if self.explain_extremes:
            found["explain_extremes"] = self.explain_extremes
        return found


def score_batch(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    identity: RunIdentity,
    model: str,
    dataset: str,
    predictions: str,
    view: Relation,
    key_columns: Sequence[str],
    partition_key: str,
    bench: Bench,
    shadows: Sequence[str] = ("challenger",),
    branch: str | None = None,
    options: ScoringOptions | None = None,
) -> Version | Decision:
    """Score one batch with the champion, and with each shadow alias that is set; publish the predictions.

    Rows stream from the database through the models and back, in the order they lie in, a few blocks in
    memory at a time; everything is written in one transaction, so a task that is killed leaves nothing.

    :param key_columns: columns of the dataset that name a row; they are carried into the predictions.
    :param branch: score what its readers see, and publish the predictions there.
    :returns: the version of the predictions, or a decision to wait when there is no champion yet.
    :raises NotFoundError: the dataset has no such batch, or the branch is not open.
    :raises SpecError: a key or feature is no column of it, or an option does not fit the champion.
    """
    options = options or ScoringOptions()
    version = ledger.versions.find(dataset, branch=branch)
    roles = _roles(ledger, model, shadows)
    if not roles:
        return Decision("wait", (f"model {model!r} has no champion yet",))
    parts = _parts_of(ledger, version, partition_key)
    run = ledger.runs.begin(identity, input_digest=_digest(version, roles, options))
    fact = run.fact(predictions)
    done = ledger.versions.of_fact(fact)
    if done is not None:
        tidy(bench.work_dir / fact.digest)
        log.info("An earlier try published %s; kept", done.ref)
        return done
    panel = Panel({role: bench.open(v) for role, v in roles.items()}, roles)
    job = _job(ledger, warehouse, panel, version, fact.digest, options, model, bench)
    with ledger.transaction():
        part = _stage(ledger, warehouse, run, predictions, job, parts, key_columns, version)
        ledger.columns.keep(part.part_id, {version.version_id: scored_from(key_columns, panel.features)})
        # Only now: whoever waits for the asset waits for the switch, not for the scoring.
        ledger.assets.lock(predictions)
        _require_whole(part, job, sum(p.rows for p in parts))
        place = _place(ledger, predictions, view, branch)
        result = _publish(ledger, store, run, place, part, version, roles)
        if options.asked:
            _report(ledger, warehouse, run, result, part, job, key_columns)
        ledger.runs.finish(run)
    tidy(bench.work_dir / fact.digest)
    log.info("Scored %d rows with %s as %s", job.rows, ", ".join(v.ref for v in roles.values()), result.ref)
    return result


def _digest(version: Version, roles: Mapping[str, Version], options: ScoringOptions) -> str:
    models = {role: one.version_id for role, one in roles.items()}
    return digest_of(dataset=version.version_id, models=models, **options.asked)


def _place(ledger: Ledger, predictions: str, view: Relation, branch: str | None) -> Place:
    where = str(view) if branch is None else location_on(ledger, branch, str(view))
    return place_of(ledger, predictions, where, Layout(), branch=branch)


def _roles(ledger: Ledger, model: str, shadows: Sequence[str]) -> dict[str, Version]:
    """Who scores, the champion first; nobody while there is none."""
    found = {name: ledger.versions.alias(model, name) for name in (CHAMPION, *shadows)}
    return {name: one for name, one in found.items() if one} if found[CHAMPION] else {}


def _require_whole(part: Part, job: ScoringPass, rows: int) -> None:
    models = len(job.panel.scorers)
    if not part.rows == job.rows * models == rows * models:
        msg = f"{part.rows} predictions for {rows} rows and {models} models; nothing was published."
        raise QualityGateError(msg)


def _job(
    ledger: Ledger,
    warehouse: Warehouse,
    panel: Panel,
    version: Version,
    digest: str,
    options: ScoringOptions,
    model: str,
    bench: Bench,
) -> ScoringPass:
    extremes, scorer = None, panel.scorers[CHAMPION]
    humility, earlier = humility_for(
        ledger=ledger, panel=panel, rules=options.humility, model=model, bench=bench
    )
    if options.explain_extremes:
        if not isinstance(scorer, Encoded):
            msg = "the champion's scorer does not say what its training rows looked like, so no prediction can be explained: give explain_extremes=0."
            raise SpecError(msg)
        extremes = Extremes(options.explain_extremes)
    return ScoringPass(
        panel,
        features_version=version.number,
        seed=hashlib.sha256(digest.encode()).digest()[:8],
        tally=warehouse.tally(SCORE, _GRID),
        humility=humility,
        extremes=extremes,
        earlier=earlier,
    )


def _parts_of(ledger: Ledger, version: Version, partition_key: str) -> list[Part]:
    manifest = ledger.versions.manifest(version.version_id)
    parts = [p for p in manifest if p.partition_key == partition_key]
    if not parts:
        known = [p.partition_key or "" for p in manifest]
        what = f"batch of {version.ref}"
        raise NotFoundError.from_available(what, partition_key, known)
    return parts


def _stage(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    predictions: str,
    job: ScoringPass,
    parts: list[Part],
    key_columns: Sequence[str],
    version: Version,
) -> Part:
    panel = job.panel
    types = {c.name: c for c in ledger.versions.columns(version.version_id)}
    wanted = []
    for name in dict.fromkeys((*key_columns, *panel.features)):
        if name not in types:
            raise SpecError(str(NotFoundError.from_available("column of the batch to score", name, types)))
        wanted.append(types[name])
    columns = prediction_columns(
        [types[k] for k in key_columns],
        humble=job.humility is not None,
        classed=tells_classes(panel.scorers),
    )
    fact = run.fact(predictions)
    relation = AssetNaming().part(fact)
    warehouse.create_table(relation, columns)
    with warehouse.scan(parts, wanted, job.plan(key_columns)) as scanned:
        warehouse.copy_keyed(relation, columns, job.blocks(scanned))
    made = NewPart(
        locator=str(relation),
        columns=tuple(columns),
        fingerprint=warehouse.fingerprint(relation),
        profile={"rows": job.rows * len(panel.scorers), "columns": {SCORE.name: job.tally.profile()}},
        partition_key=parts[0].partition_key,
    )
    inputs = [version.version_id, *(v.version_id for v in panel.versions.values())]
    return ledger.versions.add_part(run=run, fact=fact, part=made, inputs=inputs)


def _report(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    result: Version,
    part: Part,
    job: ScoringPass,
    key_columns: Sequence[str],
) -> None:
    panel = job.panel
    humbled = job.humility.summary() if job.humility else []
    explained = job.extremes.explained(panel.scorers[CHAMPION]) if job.extremes else []
    if explained:
        keys = ", ".join(f"{quote_identifier(name)}::text AS k{i}" for i, name in enumerate(key_columns))
        found = warehouse.query(
            f"SELECT prediction_id::text AS id, {keys} FROM {part.relation.quoted} WHERE prediction_id = ANY(%s::uuid[])",
            [[one["prediction_id"] for one in explained]],
        )
        named = {row["id"]: {name: row[f"k{i}"] for i, name in enumerate(key_columns)} for row in found}
        explained = [one | {"key": named[one["prediction_id"]]} for one in explained]
    told = [f"{one['rule']} on {one['rows']} ({one['condition']})" for one in humbled if one["rows"]]
    body = {
        "model": panel.versions[CHAMPION].ref,
        "predictions": result.ref,
        "rows": job.rows,
        "humility": humbled,
        "previous": job.humility.asked_of if job.humility else None,
        "predictions_explained": explained,
        "summary": "; ".join(told) or "no rule was applied to any row",
    }
    report = ledger.reports.add(
        run=run,
        fact=run.fact(result.asset),
        kind="scoring",
        verdict="warn" if told else "pass",
        body=body,
        version_id=result.version_id,
    )
    ledger.lineage.add(
        [Edge(version_node(result.version_id), report_node(report.report_id), "evaluated_on")], run=run
    )


def _publish(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    place: Place,
    part: Part,
    version: Version,
    roles: dict[str, Version],
) -> Version:
    facts = {"features": version.version_id, "models": {role: v.version_id for role, v in roles.items()}}
    parent = ledger.versions.head(place.asset, branch=None if place.alias == CURRENT else place.alias)
    current = ledger.versions.manifest(parent.version_id) if parent else ()
    result = switch(
        ledger,
        store,
        run,
        place=place,
        change=Change("partition", str(run.fact(place.asset)), part),
        parent=parent,
        parts=next_manifest(current, part, mode="partition"),
        columns=part.columns,
        facts=facts | {"part_id": part.part_id, "batch_rows": part.rows},
    )
    node = version_node(result.version_id)
    ledger.lineage.add((Edge(version_node(v.version_id), node, "scored_by") for v in roles.values()), run=run)
    return result

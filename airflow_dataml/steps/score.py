"""Score: champion and shadows over one batch, published as a dataset exactly once."""

from __future__ import annotations

import csv
import io
import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import CURRENT, Column, next_manifest
from airflow_dataml.core.errors import NotFoundError, QualityGateError, SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.refs import AssetNaming, quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change, NewPart
from airflow_dataml.steps.branches import location_on
from airflow_dataml.steps.column_maps import scored_from
from airflow_dataml.steps.models import open_model, tidy
from airflow_dataml.steps.publish import place_of, switch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger, Scorer, Warehouse
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Place
    from airflow_dataml.steps.evaluate import Bench

log = logging.getLogger(__name__)
_BLOCK_ROWS = 16384


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
) -> Version | Decision:
    """Score one batch with the champion, and with each shadow alias that is set; publish the predictions.

    :param key_columns: columns of the dataset that name a row; they are carried into the predictions.
    :param branch: score what its readers see, and publish the predictions there.
    :returns: the version of the predictions, or a decision to wait when there is no champion yet.
    :raises NotFoundError: the dataset has no such batch, or the branch is not open.
    """
    version = ledger.versions.find(dataset, branch=branch)
    champion = ledger.versions.alias(model, "champion")
    if champion is None:
        return Decision("wait", (f"model {model!r} has no champion yet",))
    roles = {"champion": champion}
    roles |= {name: found for name in shadows if (found := ledger.versions.alias(model, name))}
    parts = _parts_of(ledger, version, partition_key)
    digest = digest_of(dataset=version.version_id, models={r: v.version_id for r, v in roles.items()})
    run = ledger.runs.begin(identity, input_digest=digest)
    fact = run.fact(predictions)
    folder = bench.work_dir / fact.digest
    done = ledger.versions.of_fact(fact)
    if done is not None:
        tidy(folder)
        log.info("An earlier try published %s; kept", done.ref)
        return done
    path = folder / "batch.csv"
    rows = _export(warehouse, parts, roles, key_columns, path)
    scorers = {
        role: open_model(version=v, registry=bench.registry, scorers=bench.scorers, work_dir=bench.work_dir)
        for role, v in roles.items()
    }
    types = {c.name: c for c in ledger.versions.columns(version.version_id)}
    columns = _prediction_columns([types[k] for k in key_columns])
    with ledger.transaction():
        lines = _lines(scorers, roles, key_columns, path, version, [c.name for c in columns])
        part = _stage(
            ledger, warehouse, run, predictions, columns, lines, partition_key, (version, *roles.values())
        )
        features = [f["name"] for v in roles.values() for f in v.facts["spec"]["features"]]
        ledger.columns.keep(part.part_id, {version.version_id: scored_from(key_columns, features)})
        # Only now: whoever waits for the asset waits for the switch, not for the scoring.
        ledger.assets.lock(predictions)
        if part.rows != rows * len(roles):
            msg = f"{part.rows} predictions for {rows} rows and {len(roles)} models; nothing was published."
            raise QualityGateError(msg)
        where = str(view) if branch is None else location_on(ledger, branch, str(view))
        place = place_of(ledger, predictions, where, Layout(), branch=branch)
        result = _publish(ledger, store, run, place, part, version, roles)
    tidy(folder)
    log.info("Scored %d rows with %s as %s", rows, ", ".join(v.ref for v in roles.values()), result.ref)
    return result


def _parts_of(ledger: Ledger, version: Version, partition_key: str) -> list[Part]:
    manifest = ledger.versions.manifest(version.version_id)
    parts = [p for p in manifest if p.partition_key == partition_key]
    if not parts:
        known = [p.partition_key or "" for p in manifest]
        what = f"batch of {version.ref}"
        raise NotFoundError.from_available(what, partition_key, known)
    return parts


def _export(
    warehouse: Warehouse, parts: list[Part], roles: dict[str, Version], key_columns: Sequence[str], path: Path
) -> int:
    features = [f["name"] for v in roles.values() for f in v.facts["spec"]["features"]]
    names = tuple(dict.fromkeys((*key_columns, *features)))
    available = [c.name for c in parts[0].columns]
    for name in names:
        if name not in available:
            what = "column of the batch to score"
            raise SpecError(str(NotFoundError.from_available(what, name, available)))
    order = ", ".join(quote_identifier(c) for c in key_columns)
    return warehouse.export_csv(f"SELECT * FROM ({warehouse.union(parts, names)}) t ORDER BY {order}", path)


def _prediction_columns(keys: Sequence[Column]) -> list[Column]:
    return [
        *keys,
        Column("model_role", "text"),
        Column("model_version", "integer"),
        Column("features_version", "integer"),
        Column("score", "double precision"),
    ]


def _lines(
    scorers: dict[str, Scorer],
    roles: dict[str, Version],
    key_columns: Sequence[str],
    path: Path,
    version: Version,
    header: Sequence[str],
) -> Iterator[bytes]:
    yield (",".join(header) + "\n").encode()
    for role, scorer in scorers.items():
        number = roles[role].number
        for columns, scores in scorer.score_csv(path, block_rows=_BLOCK_ROWS):
            buffer = io.StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            keys = [_texts(columns[k]) for k in key_columns]
            for *key, score in zip(*keys, scores.tolist(), strict=True):
                writer.writerow([*key, role, number, version.number, repr(score)])
            yield buffer.getvalue().encode()


def _texts(column: Any) -> list[Any]:
    values = column.to_objects() if hasattr(column, "to_objects") else column
    return [_integral(value) for value in values.tolist()]


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _stage(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    predictions: str,
    columns: list[Column],
    lines: Iterator[bytes],
    partition_key: str,
    inputs: Sequence[Version],
) -> Part:
    fact = run.fact(predictions)
    relation = AssetNaming().part(fact)
    warehouse.create_table(relation, columns)
    warehouse.copy_rows(relation, [c.name for c in columns], lines, on_bytes=lambda _: None)
    made = NewPart(
        locator=str(relation),
        columns=tuple(columns),
        fingerprint=warehouse.fingerprint(relation),
        profile=warehouse.profile(relation, columns[-1:], {"score": (0.0, 1.0)}),
        partition_key=partition_key,
    )
    return ledger.versions.add_part(run=run, fact=fact, part=made, inputs=[v.version_id for v in inputs])


def _publish(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    place: Place,
    part: Part,
    version: Version,
    roles: dict[str, Version],
) -> Version:
    facts = {
        "features": version.version_id,
        "models": {role: v.version_id for role, v in roles.items()},
    }
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
    ledger.runs.finish(run)
    return result

"""Log predictions that were made elsewhere, each once, as versions of a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.prediction_log import CLASS_LOG_COLUMNS, LOG_COLUMNS, Logged, read_predictions
from airflow_dataml.core.refs import AssetNaming, Relation
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Rows
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.publish import place_of, publish_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.datasets import Column, StagedPart, Version
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.prediction_log import LoggedPrediction
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)
_LAYOUT = Layout(keys=("prediction_id",))


def log_predictions(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    identity: RunIdentity,
    model: str,
    given: Any,
    dataset: str | None = None,
    location: str | None = None,
) -> Logged:
    """Append a batch to the dataset of a model's predictions made elsewhere; ids that are known are left as they are.

    All of the batch is validated before anything is written, and it is taken whole or not at all. Two
    batches at once wait for each other.

    :param identity: of this call alone; what makes a repeated call harmless are the ids.
    :param given: a list of predictions as JSON (``core.prediction_log.LoggedPrediction``).
    :param dataset: where they go, ``<model>_online`` unless given; made where it is not there.
    :param location: the view readers name, ``public.<dataset>`` unless given.
    :raises SpecError: a prediction is not understood, or the dataset is of another kind.
    :raises NotFoundError: there is no such model, or no such version of it.
    """
    batch = read_predictions(given)
    versions = _versions(ledger, model, batch)
    columns = _columns(versions, batch)
    name = dataset or f"{model}_online"
    where = str(Relation.parse(location or f"public.{name}"))
    ledger.assets.register(name=name, kind="prediction", uri=AssetNaming().uri("prediction", name))
    with ledger.transaction():
        ledger.assets.lock(name)
        head = ledger.versions.head(name)
        fresh = _unknown(ledger, warehouse, head, batch, columns)
        if not fresh:
            return Logged(name, head.ref if head else None, 0, len(batch))
        staged = _stage(
            ledger, store, identity, Target(name, "append", layout=_LAYOUT, location=where), columns, fresh
        )
        version = publish_part(
            ledger=ledger,
            store=store,
            identity=identity,
            staged=staged,
            place=place_of(ledger, name, where, _LAYOUT),
            require_check=False,
        )
        run = ledger.runs.begin(identity, input_digest=digest_of(part=staged.part_id))
        node = version_node(version.version_id)
        used = {versions[one.model_version].version_id for one in fresh}
        ledger.lineage.add((Edge(version_node(one), node, "scored_by") for one in sorted(used)), run=run)
        ledger.runs.finish(run)
    log.info("Logged %d predictions of %s as %s", len(fresh), model, version.ref)
    return Logged(name, version.ref, len(fresh), len(batch) - len(fresh))


def _stage(
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    columns: tuple[Column, ...],
    fresh: Sequence[LoggedPrediction],
) -> StagedPart:
    classed = columns == CLASS_LOG_COLUMNS
    rows = tuple(one.class_row() if classed else one.row() for one in fresh)
    unsaid = None if classed else {"label", "probabilities"}
    return stage_source(
        ledger=ledger,
        store=store,
        identity=identity,
        target=target,
        source=Rows(columns, [rows]),
        digest=digest_of(predictions=[one.model_dump(mode="json", exclude=unsaid) for one in fresh]),
        origin="predictions made elsewhere",
    )


def _versions(ledger: Ledger, model: str, batch: Sequence[LoggedPrediction]) -> dict[int, Version]:
    """The versions that predicted; every one of them is a model's."""
    found = {n: ledger.versions.find(f"{model}@{n}") for n in sorted({one.model_version for one in batch})}
    kinds = {version.kind for version in found.values()} - {"model"}
    if kinds:
        msg = f"{model!r} is a {kinds.pop()}, and predictions are made by a model."
        raise SpecError(msg)
    return found


def _columns(versions: Mapping[int, Version], batch: Sequence[LoggedPrediction]) -> tuple[Column, ...]:
    """The columns of a batch; every class in it is one of its model's.

    :raises SpecError: one is not, or some of the versions give classes and some one score.
    """
    classes = {number: tuple(version.facts.get("classes", ())) for number, version in versions.items()}
    if len({bool(known) for known in classes.values()}) > 1:
        kinds = ", ".join(
            f"{versions[n].ref} {'classes' if known else 'one score'}" for n, known in classes.items()
        )
        msg = f"one batch holds predictions of both kinds ({kinds}): send them apart. Nothing was taken."
        raise SpecError(msg)
    for place, one in enumerate(batch):
        if (wrong := one.wrong_class(classes[one.model_version])) is not None:
            msg = f"prediction {place}: {wrong}; nothing was taken."
            raise SpecError(msg)
    return CLASS_LOG_COLUMNS if any(classes.values()) else LOG_COLUMNS


def _unknown(
    ledger: Ledger,
    warehouse: Warehouse,
    head: Version | None,
    batch: Sequence[LoggedPrediction],
    wanted: Sequence[Column],
) -> list[LoggedPrediction]:
    if head is None:
        return list(batch)
    columns = ledger.versions.columns(head.version_id)
    if [c.name for c in columns] != [c.name for c in wanted]:
        msg = f"{head.ref} has columns of its own and takes no predictions made elsewhere: name another dataset."
        raise SpecError(msg)
    parts = ledger.versions.manifest(head.version_id, profiles=False)
    rows = warehouse.query(
        f"SELECT prediction_id FROM ({warehouse.union(parts, ('prediction_id',))}) t WHERE prediction_id = ANY(%s)",
        [[one.prediction_id for one in batch]],
    )
    known = {row["prediction_id"] for row in rows}
    return [one for one in batch if one.prediction_id not in known]

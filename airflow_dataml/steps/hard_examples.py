"""Hard examples: rows of scored batches that the champion got surely wrong, or on which two versions disagree."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.hard_examples import DISAGREED, TASKS, WRONG, HardRowsQuery
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Query
from airflow_dataml.steps.column_maps import column_maps
from airflow_dataml.steps.ingest import stage_source
from airflow_dataml.steps.observing import window_of
from airflow_dataml.steps.observing_labels import labels_of
from airflow_dataml.steps.read import require_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.column_lineage import ColumnParser
    from airflow_dataml.core.datasets import Column, Part, StagedPart, Version
    from airflow_dataml.core.hard_examples import HardExamplePolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.ingest import Target
    from airflow_dataml.steps.observing_labels import Labels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A scored batch, and the labels of its rows.

    :param holder: the version that the labels are read from.
    :param models: the versions that scored it.
    """

    key: str
    scored: Part
    labels: Labels
    holder: Version
    models: tuple[int, ...]


def stage_hard_examples(
    *,
    ledger: Ledger,
    store: DatasetStore,
    warehouse: Warehouse,
    identity: RunIdentity,
    target: Target,
    model: str,
    predictions: str,
    key_columns: Sequence[str],
    policy: HardExamplePolicy,
    labels: str | None = None,
    parser: ColumnParser | None = None,
) -> StagedPart | Decision:
    """Stage the hard rows of the newest scored batches that have labels, or of one batch; see ``HardExamplePolicy``.

    A row is its key, ``score``, ``label``, ``loss``, ``reason``, the champion's ``model_version``, and of the
    version that disagrees ``other_score`` and ``other_version``; of classes also ``predicted`` and
    ``other_predicted``. Its lineage is the predictions, what holds the
    labels, and the models. Costs two passes of the database over the batches.

    Which rows are hard is known only with their labels, and rows from a later plan's cut on may be among them. A
    training weights the rows before its cut alone, so that nothing of its holdout is learnt; what earlier rows
    owe to later ones is where in the order of losses the quantile of their batch lies.

    :param target: with mode ``partition`` the batch of its partition key alone is searched.
    :param model: whose champion's task and target are meant; a batch scored by one of another is passed over.
    :param key_columns: columns that join predictions to labels; the training that weights them needs them too.
    :param labels: a dataset that brings labels later; else they are in the scored dataset.
    :returns: the staged part, or a decision to wait where there is no hard row.
    :raises SpecError: the task has no loss of one score, or a key has the name of another column.
    """
    champion = ledger.versions.alias(model, "champion")
    current = ledger.versions.head(predictions, branch=target.branch)
    if champion is None or current is None:
        missing = (
            f"model {model!r} has no champion" if champion is None else f"{predictions!r} has no version"
        )
        return Decision("wait", (f"{missing} yet",))
    query = _query_for(ledger, champion, current, key_columns, policy)
    # A retry finds the same: the digest says what was searched, and staged rows are adopted.
    found = list(_labelled(ledger, warehouse, current, champion, query, target, labels))
    if not found:
        return Decision("wait", (f"no batch of {current.ref} has a labelled row that was hard",))
    source, versions = _bound(ledger, query, current, found)
    models = [ledger.versions.by_id(one) for one in sorted({one for batch in found for one in batch.models})]
    return stage_source(
        ledger=ledger,
        store=store,
        identity=identity,
        target=target,
        source=source,
        digest=digest_of(query=source.sql, inputs={name: one.version_id for name, one in versions.items()}),
        origin=f"predictions {current.ref}",
        inputs=tuple({one.version_id: one for one in (*versions.values(), *models)}.values()),
        columns=partial(column_maps, ledger=ledger, query=source, versions=versions, parser=parser),
    )


def _bound(
    ledger: Ledger, query: HardRowsQuery, current: Version, found: Sequence[_Batch]
) -> tuple[Query, dict[str, Version]]:
    """Return the query over all batches, and which version each name in it stands for."""
    inputs: dict[str, tuple[Sequence[Part], Sequence[Column]]] = {}
    versions: dict[str, Version] = {}
    named = []
    for place, one in enumerate(found):
        scored, labels = f"scored_{place}", f"labels_{place}"
        inputs[scored] = (one.scored,), ledger.versions.columns(current.version_id)
        inputs[labels] = one.labels.parts, ledger.versions.columns(one.holder.version_id)
        versions |= {scored: current, labels: one.holder}
        named.append((one.key, scored, labels))
    return Query(query.of_batches(named), inputs), versions


def _query_for(
    ledger: Ledger, champion: Version, current: Version, keys: Sequence[str], policy: HardExamplePolicy
) -> HardRowsQuery:
    spec = champion.facts["spec"]
    if spec["task"] not in TASKS:
        msg = f"{champion.ref} is a model for {spec['task']!r}: hard examples are found for {', '.join(TASKS)} models."
        raise SpecError(msg)
    humble = "model_score" in [column.name for column in ledger.versions.columns(current.version_id)]
    query = HardRowsQuery(tuple(keys), spec["task"], spec["target"], policy, humble=humble)
    if taken := sorted(set(keys) & {*query.made, "model_role"}):
        msg = f"key columns {taken} have names that hard examples give to something else: rename them in the dataset."
        raise SpecError(msg)
    return query


def _labelled(
    ledger: Ledger,
    warehouse: Warehouse,
    current: Version,
    champion: Version,
    query: HardRowsQuery,
    target: Target,
    labels: str | None,
) -> Iterator[_Batch]:
    """Yield the batches that have hard rows, of the newest ones with labels."""
    manifest = ledger.versions.manifest(current.version_id, profiles=False)
    require_rows(current, manifest)
    wanted = target.partition_key if target.mode == "partition" else None
    parts = [p for p in manifest if p.partition_key is not None and wanted in (None, p.partition_key)]
    left = query.policy.batches
    for part in sorted(parts, key=lambda p: (str(p.partition_key), p.part_id), reverse=True):
        if not left:
            return
        batch = _batch_of(ledger, champion, part, query, target.branch, labels)
        if batch is None:
            continue
        rows = [f"({warehouse.union([part], query.columns)})"]
        rows.append(
            f"({warehouse.union(batch.labels.parts, tuple(dict.fromkeys((*query.keys, query.target))))})"
        )
        counts = warehouse.query(query.counts(*rows))[0]
        left -= counts["labelled"] > 0
        log.info("Batch %s: %d labelled predictions, %d %s, %d %s", batch.key, counts["labelled"], counts[WRONG], WRONG, counts[DISAGREED], DISAGREED)  # fmt: skip
        if counts[WRONG] or counts[DISAGREED]:
            yield batch


def _batch_of(
    ledger: Ledger,
    champion: Version,
    part: Part,
    query: HardRowsQuery,
    branch: str | None,
    labels: str | None,
) -> _Batch | None:
    window = window_of(ledger, part)
    spec = window.champion.facts["spec"]
    if window.champion.asset != champion.asset or (spec["task"], spec["target"]) != (
        query.task,
        query.target,
    ):
        log.info(
            "Batch %s was scored by %s, to another question; passed over",
            part.partition_key,
            window.champion.ref,
        )
        return None
    found = labels_of(ledger, window, keys=query.keys, labels=labels, branch=branch)
    known = window.features if found.parts == window.features_parts else None
    holder = known or ledger.versions.find(labels or window.features.asset, branch=branch)
    models = tuple(window.predictions.facts["models"].values())
    return _Batch(str(part.partition_key), part, found, holder, models)

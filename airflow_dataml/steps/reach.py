"""Reach: find rows by their key in every version kept, and the models and predictions made from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.reach import Reach, Reached
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.reach_rows import count_aside, count_in, has_keys, named, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.reach import RowKeys, Via
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
KIND = "reach"
_MOST_NODES = 20_000
_ALIASES = ("champion", "challenger", "candidate", "previous")


@dataclass(slots=True)
class _Search:
    """What is known while a search goes on.

    :param holds: of each asset that holds the rows, how many of them each part has.
    """

    ledger: Ledger
    warehouse: Warehouse
    keys: RowKeys
    holds: dict[str, dict[int, int]] = field(default_factory=dict)
    found: list[Reached] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


def reach(*, ledger: Ledger, warehouse: Warehouse, dataset: str, keys: RowKeys) -> Reach:
    """Find what holds some rows of a dataset, and what learnt from them; reads every part that is kept, once.

    Datasets and predictions downstream are searched by the same key where they have its columns. Of a model counts what
    it was trained on: rows of batches it did not take, or after its cut, it has not seen.

    :raises NotFoundError: there is no such dataset.
    :raises SpecError: it has no such key columns.
    """
    asset = ledger.assets.get(dataset)
    name = str(asset["name"])
    if asset["kind"] == "model":
        msg = f"{name!r} is a model: name the dataset whose rows are meant."
        raise SpecError(msg)
    search = _Search(ledger, warehouse, keys)
    hits = _in_dataset(search, name, "dataset", required=True)
    assets, models = _downstream(search, hits)
    for other, (kind, versions) in assets.items():
        if other != name and not _in_dataset(search, other, kind) and other not in search.holds:
            search.found.append(
                Reached(other, kind, versions, "lineage", None, _standing(ledger, other, versions))
            )
    _in_models(search, models)
    found = Reach(
        name, keys.columns, len(keys.values), tuple(search.found), tuple(search.blind), tuple(search.aside)
    )
    log.info("Reach: %s", found.summary)
    return found


def keep_reach(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    found: Reach,
    action: Literal["list", "retrain", "waive"],
    because: str,
    request: str | None = None,
) -> Report:
    """Keep what was found, and what follows for every model in use, in one transaction.

    ``retrain`` leaves the same request for another version as a retrain decision does, ``waive`` that and why there is
    none. The values of the keys are kept nowhere.

    :param because: the words of who decides.
    :param request: what the request is known as elsewhere, such as the number of a ticket.
    :raises SpecError: a waiver or a request for retraining without words.
    """
    if action != "list" and not because.strip():
        msg = f"to {action} for rows that are to be forgotten needs words: say why."
        raise SpecError(msg)
    run = ledger.runs.begin(
        identity, input_digest=digest_of(found=found.to_dict(), action=action, because=because)
    )
    body = found.to_dict() | {"action": action, "because": because, "request": request}
    newest = ledger.versions.head(found.dataset)
    with ledger.transaction():
        report = ledger.reports.of_fact(run.fact(found.dataset), KIND)
        if report is None:
            report = ledger.reports.add(
                run=run,
                fact=run.fact(found.dataset),
                kind=KIND,
                verdict=found.verdict,
                body=body,
                version_id=newest.version_id if newest else None,
            )
            for asset in dict.fromkeys(one.asset for one in found.models) if action != "list" else ():
                _decide(ledger, run, found, report, asset, action=action, because=because)
        ledger.runs.finish(run)
    return report


def _decide(
    ledger: Ledger, run: TaskRun, found: Reach, report: Report, asset: str, *, action: str, because: str
) -> None:
    """Keep one decision on a model, whatever ways lead from the rows to its versions."""
    ways = [one for one in found.models if one.asset == asset]
    request = report.body.get("request") or "a request"
    reasons = [f"{request} to forget rows of {found.dataset}: {one.said}. {because}" for one in ways]
    aliases = [alias for one in ways for alias in one.in_use]
    standing = "champion" if "champion" in aliases else aliases[0]
    ledger.reports.add(
        run=run,
        fact=run.fact(asset),
        kind="decision",
        verdict="warn",
        body={"action": action, "reasons": reasons, "reach": report.report_id, "facts": {}},
        version_id=ledger.versions.find(f"{asset}@{standing}").version_id,
    )
    ledger.audit.add(
        action=f"{action} after reach",
        subject=asset,
        run=run,
        detail={"report": report.report_id, "reasons": reasons},
    )


def _in_dataset(search: _Search, asset: str, kind: str, *, required: bool = False) -> list[Version]:
    """Search every part of an asset that is kept; return the versions that hold the rows."""
    parts, of_version = parts_of(search.ledger, asset)
    columns = {c.name for part in parts.values() for c in part.columns}
    absent = sorted(set(search.keys.columns) - columns)
    if absent and (required and parts):
        msg = f"{asset!r} has no columns {absent} to look for rows by; it has {sorted(columns)}."
        raise SpecError(msg)
    if of_version and not parts:
        search.blind.append(f"{asset}: no part of its {len(of_version)} versions is kept here")
    if absent:
        return []
    if without := sum(not has_keys(part.columns, search.keys) for part in parts.values()):
        search.blind.append(f"{asset}: {without} of {len(parts)} parts have no such key columns")
    elsewhere = sorted({part.store for part in parts.values() if part.store != "postgres"})
    if elsewhere:
        search.blind.append(f"{asset}: parts in {', '.join(elsewhere)} were not read")
    here = [part for part in parts.values() if part.store == "postgres"]
    counts = dict(count_in(search.warehouse, here, search.keys))
    search.aside += count_aside(search.ledger, search.warehouse, asset, search.keys)
    search.holds[asset] = counts
    hits = [version for version, ids in of_version if any(counts.get(part) for part in ids)]
    if hits:
        numbers = tuple(sorted(version.number for version in hits))
        most = max(sum(counts.get(part, 0) for part in ids) for _, ids in of_version)
        search.found.append(
            Reached(asset, kind, numbers, "rows", most, _standing(search.ledger, asset, numbers))
        )
    return hits


def _downstream(
    search: _Search, hits: Sequence[Version]
) -> tuple[dict[str, tuple[str, tuple[int, ...]]], list[Version]]:
    """Return assets made from versions, and the model versions among them, nearest first."""
    seen: dict[int, Version] = {}
    for version in hits:
        if version.version_id in seen:
            continue
        graph = search.ledger.lineage.walk(
            str(version_node(version.version_id)), direction="downstream", limit=_MOST_NODES
        )
        if graph.truncated:
            search.blind.append(f"what was made from {version.ref} goes on beyond what was looked at")
        for node in graph.nodes:
            kind, _, number = node.node.partition(":")
            if kind == "version" and int(number) not in seen:
                seen[int(number)] = search.ledger.versions.by_id(int(number))
    assets: dict[str, tuple[str, tuple[int, ...]]] = {}
    for version in seen.values():
        if version.kind != "model":
            kind, numbers = assets.get(version.asset, (version.kind, ()))
            assets[version.asset] = kind, tuple(sorted({*numbers, version.number}))
    return assets, sorted((v for v in seen.values() if v.kind == "model"), key=lambda v: v.version_id)


def _in_models(search: _Search, models: Sequence[Version]) -> None:
    learnt: set[str] = set()
    by_way: dict[tuple[str, Via], list[tuple[Version, int | None]]] = {}
    for version in models:
        via, rows = _way(search, version, learnt)
        if via is not None:
            learnt |= {version.ref} if via in ("learnt", "through", "lineage") else set()
            by_way.setdefault((version.asset, via), []).append((version, rows))
    for (asset, via), some in by_way.items():
        numbers = tuple(version.number for version, _ in some)
        counted = [rows for _, rows in some if rows is not None]
        search.found.append(
            Reached(
                asset,
                "model",
                numbers,
                via,
                max(counted, default=None),
                _standing(search.ledger, asset, numbers),
            )
        )


def _way(search: _Search, version: Version, learnt: set[str]) -> tuple[Via | None, int | None]:
    """How a model version has to do with the rows, if it has."""
    if version.facts.get("plan"):
        plan = TrainingPlan.from_dict(version.facts["plan"])
        if plan.dataset not in search.holds:
            return "lineage", None
        before, after = _seen(search, plan)
        if before:
            return "learnt", before
        if set((version.facts.get("guidance") or {}).values()) & learnt:
            return "through", None
        return ("measured", after) if after else (None, None)
    return "lineage", None


def _seen(search: _Search, plan: TrainingPlan) -> tuple[int, int]:
    """How many of the rows a training took, and how many were held out from it."""
    holds = search.holds[plan.dataset]
    parts = [
        part
        for part in search.ledger.versions.manifest(plan.version_id, profiles=False)
        if part.partition_key in plan.partitions and holds.get(part.part_id)
    ]
    counts = [0, 0]
    for part in parts:
        condition, values = named(search.keys, part.columns)
        column = quote_identifier(plan.time_column)
        [row] = search.warehouse.query(
            f"""SELECT count(*) FILTER (WHERE {column} < %s::timestamptz) AS before, count(*) AS n
                FROM {part.relation.quoted} WHERE {condition}""",
            [plan.cut, *values],
        )
        counts = [counts[0] + row["before"], counts[1] + row["n"] - row["before"]]
    return counts[0], counts[1]


def _standing(ledger: Ledger, asset: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """The aliases of an asset that stand at one of some versions."""
    found: list[str] = []
    head = ledger.versions.alias(asset, "current")
    if head is not None and head.number in numbers:
        found.append("current")
    for name in _ALIASES:
        pointed: Any = ledger.versions.alias(asset, name)
        if pointed is not None and pointed.number in numbers:
            found.append(name)
    return tuple(found)

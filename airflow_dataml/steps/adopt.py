"""Adopt and release: a table of somebody's becomes a managed dataset, and a table again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.adoption import ADOPTION
from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming, Relation
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Change, Place
from airflow_dataml.steps.publish import grids_of, settle_profile, switch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.adoption import AdoptionPlan, ReleasePlan, TableKeeper
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Adopted:
    """An adoption, done or only planned.

    :param version: the first version; ``None`` when nothing was done.
    """

    name: str
    plan: AdoptionPlan
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """A release, done or only planned."""

    name: str
    plan: ReleasePlan
    version: Version
    done: bool = False


def adopt_table(
    *,
    ledger: Ledger,
    store: DatasetStore,
    keeper: TableKeeper,
    identity: RunIdentity,
    table: Relation,
    name: str | None = None,
    keys: Sequence[str] = (),
    dry_run: bool = False,
) -> Adopted:
    """Make a table the first part of a new dataset, in one transaction and without copying a row.

    Writers wait while the table is read once; readers wait for the switch alone. Afterwards readers
    find a view where the table was, and whoever writes to it is refused with a hint.

    :param name: logical name of the dataset; the table's own unless given.
    :param keys: columns that name a row; the primary key unless given.
    :param dry_run: only say what it comes to, obstacles and all.
    :raises SpecError: with every reason why the table cannot be adopted; nothing was changed.
    """
    asset = name or table.name
    uri = AssetNaming().uri("dataset", asset)
    plan = keeper.examine(table, keys=keys)
    taken = _taken(ledger, asset)
    if dry_run:
        return Adopted(asset, plan if not taken else _with(plan, taken))
    _refuse_adoption(table, [*plan.obstacles, *taken])
    run = ledger.runs.begin(identity, input_digest=digest_of(adopt=str(table), name=asset, keys=list(keys)))
    with ledger.transaction():
        ledger.assets.register(name=asset, kind="dataset", uri=uri, source="adopted")
        ledger.assets.lock(asset)
        keeper.hold(table)
        # What was found before the table was held may have changed since.
        plan = keeper.examine(table, keys=keys)
        _refuse_adoption(table, [*plan.obstacles, *_taken(ledger, asset)])
        version = _adopt(ledger, store, keeper, run, asset, plan)
        ledger.runs.finish(run)
    log.info("Adopted %s as %s: %s rows", table, version.ref, version.rows)
    return Adopted(asset, plan, version)


def _adopt(
    ledger: Ledger, store: DatasetStore, keeper: TableKeeper, run: TaskRun, asset: str, plan: AdoptionPlan
) -> Version:
    fact = run.fact(asset)
    relation = AssetNaming().part(fact)
    made = keeper.measure(plan, part=relation, grids=grids_of(ledger, asset))
    part = settle_profile(
        ledger, store, ledger.versions.add_part(run=run, fact=fact, part=made, store=store.name)
    )
    keeper.take(plan, part=relation)
    place = Place(asset=asset, location=str(plan.table), layout=plan.layout)
    version = switch(
        ledger,
        store,
        run,
        place=place,
        change=Change(mode="replace", fact=str(fact), batch=part),
        parent=None,
        parts=[part],
        columns=plan.columns,
        facts={"mode": "adopt", "part_id": part.part_id, "batch_rows": part.rows},
    )
    keeper.cover(plan)
    shape = plan.shape | {"part": part.locator}
    ledger.assets.set_location(
        asset, {ADOPTION: shape, "table": str(plan.table), "managed": True, **plan.layout.to_location()}
    )
    detail = {"table": str(plan.table), "views": list(map(str, plan.views)), "rows": version.rows}
    ledger.audit.add(action="adopt", subject=version.ref, run=run, detail=detail)
    return version


def release_dataset(
    *,
    ledger: Ledger,
    keeper: TableKeeper,
    identity: RunIdentity,
    name: str,
    copy: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Released:
    """Give the current version of a dataset back as an ordinary table under its own name.

    A version of one part becomes the table without a copy, and its rows are then the owner's to change;
    several parts are copied into one table, and the parts stay readable as versions.

    :param copy: copy in any case, so that no version loses its rows. Costs the table's size.
    :param force: release although pinned versions lose their rows.
    :raises SpecError: with every reason why not; nothing was changed.
    """
    with ledger.transaction():
        asset = ledger.assets.lock(name)
        version = _current(ledger, asset)
        plan = _release_plan(ledger, keeper, asset, version, copy=copy)
        if dry_run:
            return Released(name, plan, version)
        losing = (
            []
            if force
            else [
                f"pinned version {held} would lose its rows (copy=True or force=True)" for held in plan.losing
            ]
        )
        _refuse(f"dataset {name!r} cannot be released", [*plan.obstacles, *losing])
        run = ledger.runs.begin(identity, input_digest=digest_of(release=version.version_id))
        keeper.give_back(plan)
        ids = [] if plan.copied else [p.part_id for p in plan.parts]
        if ids:
            ledger.versions.mark_parts(ids, state="released")
        ledger.versions.move_alias(asset=name, name=CURRENT, version_id=None, run=run)
        ledger.assets.set_location(
            name, {"managed": False, "published": [], ADOPTION: None, "released": version.ref}
        )
        detail: dict[str, Any] = {
            "table": str(plan.table),
            "copied": plan.copied,
            "rows": version.rows,
            "parts": ids,
        }
        detail |= {"losing": list(plan.losing), "unfit": list(plan.unfit)}
        ledger.audit.add(action="release", subject=version.ref, run=run, detail=detail)
        ledger.runs.finish(run)
    log.info("Released %s as table %s", version.ref, plan.table)
    return Released(name, plan, version, done=True)


def _release_plan(
    ledger: Ledger, keeper: TableKeeper, asset: dict[str, Any], version: Version, *, copy: bool
) -> ReleasePlan:
    place = version.facts.get("table") or version.facts.get("location")
    parts = ledger.versions.manifest(version.version_id)
    if foreign := {p.store for p in parts} - {"postgres"}:
        msg = f"dataset {asset['name']!r} is kept in {', '.join(sorted(foreign))}; only one kept in PostgreSQL becomes a table."
        raise SpecError(msg)
    return keeper.examine_release(
        Relation.parse(str(place)),
        columns=ledger.versions.columns(version.version_id),
        parts=parts,
        layout=Layout.from_location(asset["location"]),
        shape=asset["location"].get(ADOPTION) or {},
        copy=copy,
    )


def _current(ledger: Ledger, asset: dict[str, Any]) -> Version:
    version = ledger.versions.alias(asset["name"], CURRENT)
    if version is None or asset["kind"] not in ("dataset", "prediction"):
        msg = (
            f"{asset['name']!r} is a {asset['kind']} with nothing published, so there is nothing to release."
        )
        raise SpecError(msg)
    return version


def _taken(ledger: Ledger, name: str) -> list[str]:
    """Say why a logical name is not free; a dataset that was released, or only declared, is."""
    try:
        asset = ledger.assets.get(name)
    except NotFoundError:
        return []
    if asset["kind"] != "dataset" and asset["source"] != "observed":
        return [f"{name!r} is the name of a {asset['kind']} (give another with name)"]
    if ledger.versions.alias(name, CURRENT) is not None:
        return [f"a dataset {name!r} is published already (give another name)"]
    return []


def _with(plan: AdoptionPlan, reasons: Sequence[str]) -> AdoptionPlan:
    return replace(plan, obstacles=(*plan.obstacles, *reasons))


def _refuse_adoption(table: Relation, reasons: Sequence[str]) -> None:
    _refuse(f"table {table} cannot be adopted", reasons)


def _refuse(what: str, reasons: Sequence[str]) -> None:
    if reasons:
        listed = "; ".join(reasons)
        msg = f"{what}, for {len(reasons)} reason{'s' if len(reasons) > 1 else ''}: {listed}. Nothing was changed."
        raise SpecError(msg)

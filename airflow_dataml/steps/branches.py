"""Branches: a copy-on-write world beside the one everybody reads."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.branches import RESERVED, BranchDiff, DatasetChange, merge_parts
from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import SpecError, StaleVersionError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming, Relation, check_alias
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.schemas import evolve
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.diff import diff_versions
from airflow_dataml.steps.publish import place_of, switch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_dataml.core.branches import Branch, BranchHead
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore

log = logging.getLogger(__name__)
_PAGE = 500


def create_branch(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    name: str,
    assets: Sequence[str] | None = None,
) -> Branch:
    """Make a branch: a schema of views that show what is current now; no row is copied.

    :param assets: datasets on the branch; all that Postgres keeps unless given. One that is written on
        the branch later joins by itself.
    :raises SpecError: the name is taken, reserved or unusable.
    :raises NotFoundError: a dataset is not in the ledger.
    """
    check_alias(name, what="branch")
    if name in RESERVED:
        msg = f"branch name {name!r} is an alias with a meaning of its own: choose another."
        raise SpecError(msg)
    chosen = _datasets(ledger, assets)
    run = ledger.runs.begin(identity, input_digest=digest_of(branch=name, assets=chosen))
    if ledger.branches.opened_by(run) == name:
        log.info("An earlier try made branch %s; kept", name)
        return ledger.branches.get(name)
    with ledger.transaction():
        # Whoever publishes or makes another branch adds to the same list of places.
        for asset in sorted(chosen):
            ledger.assets.lock(asset)
        ledger.branches.open(name=name, schema=AssetNaming().branch_schema(name), assets=chosen, run=run)
        branch = ledger.branches.get(name)
        for head in branch.heads:
            if head.base_id is not None:
                _show(ledger, store, branch, head)
        ledger.audit.add(
            action="branch",
            subject=name,
            run=run,
            detail={h.asset: h.base for h in branch.heads},
        )
        ledger.runs.finish(run)
    log.info("Branch %s: %d datasets in schema %s", name, len(branch.heads), branch.schema)
    return ledger.branches.get(name)


def location_on(ledger: Ledger, branch: str, location: str, *, store: str = "postgres") -> str:
    """Return where a dataset is read on a branch: a view of the same name in the branch's schema.

    :raises SpecError: the dataset is kept where branches cannot be made.
    :raises BranchNotFoundError: there is no such open branch.
    """
    if store != "postgres":
        msg = f"{location} is kept as {store}, and branches hold datasets of PostgreSQL alone: run this task without a branch."
        raise SpecError(msg)
    return str(Relation(ledger.branches.schema_of(branch), Relation.parse(location).name))


def diff_branch(
    *,
    ledger: Ledger,
    store: DatasetStore,
    name: str,
    samples: int = 5,
    mask: Collection[str] = (),
) -> BranchDiff:
    """Compare everything a branch changed with what everybody reads now; nothing is touched.

    :param samples: rows of each kind to show.
    :param mask: columns whose values are not shown.
    :raises BranchNotFoundError: there is no such open branch.
    """
    branch = ledger.branches.get(name)
    changes = []
    for head in branch.changed:
        ours = ledger.versions.by_id(int(head.head_id or 0))
        main = ledger.versions.alias(head.asset, CURRENT)
        columns = {c.name for c in ledger.versions.columns(ours.version_id)}
        diff = None
        if main is not None:
            hidden = sorted(set(mask) & columns)
            diff = diff_versions(
                ledger=ledger, store=store, old=main.ref, new=ours.ref, samples=samples, mask=hidden
            )
        report = next(
            (
                r
                for r in ledger.reports.list(asset=head.asset, version_id=ours.version_id)
                if r.kind == "check"
            ),
            None,
        )
        changes.append(
            DatasetChange(
                asset=head.asset,
                head=ours.ref,
                diff=diff,
                verdict=report.verdict if report else None,
                summary=str(report.body.get("summary", "")) if report else None,
                conflict=_merged_parts(ledger, head, main) is None,
            )
        )
    return BranchDiff(name, tuple(changes))


def merge_branch(
    *, ledger: Ledger, store: DatasetStore, identity: RunIdentity, name: str, reason: str = ""
) -> tuple[Version, ...]:
    """Publish everything a branch changed for everybody, in one transaction, and close the branch.

    A dataset nobody else wrote meanwhile takes the branch's parts as they are. Where both sides wrote, their
    parts are joined if they do not touch the same ones; schemas must agree.

    :raises StaleVersionError: both sides changed the same rows; nothing was merged.
    :raises SpecError: the branch changed nothing.
    """
    run = ledger.runs.begin(identity, input_digest=digest_of(branch=name))
    done = ledger.branches.merged_by(run)
    if done and not ledger.branches.is_open(name):
        log.info("An earlier try merged branch %s; kept", name)
        return tuple(ledger.versions.by_id(version_id) for version_id in done)
    with ledger.transaction():
        branch = _held(ledger, name)
        if not branch.changed:
            msg = f"branch {name!r} has changed no dataset, so there is nothing to merge: drop it."
            raise SpecError(msg)
        versions = tuple(_merge_one(ledger, store, run, branch, head) for head in branch.changed)
        _take_away(ledger, store, run, branch)
        ledger.branches.close(name=name, state="merged", run=run)
        detail = {"versions": [v.ref for v in versions], "reason": reason}
        ledger.audit.add(action="merge branch", subject=name, run=run, detail=detail)
        ledger.runs.finish(run)
    log.info("Merged branch %s: %s", name, ", ".join(v.ref for v in versions))
    return tuple(ledger.versions.by_id(v.version_id) for v in versions)


def drop_branch(*, ledger: Ledger, store: DatasetStore, identity: RunIdentity, name: str) -> Branch:
    """Close a branch; its versions stay in the ledger until retention collects their rows.

    :raises BranchNotFoundError: there is no such open branch.
    """
    ledger.branches.schema_of(name)
    run = ledger.runs.begin(identity, input_digest=digest_of(branch=name, drop=True))
    with ledger.transaction():
        branch = _held(ledger, name)
        _take_away(ledger, store, run, branch)
        ledger.branches.close(name=name, state="dropped", run=run)
        ledger.audit.add(action="drop branch", subject=name, run=run, detail={})
        ledger.runs.finish(run)
    return branch


def _held(ledger: Ledger, name: str) -> Branch:
    """Lock a branch and all of its datasets, in the order of names and before the audit chain; return it as it is then."""
    ledger.branches.lock(name)
    for head in ledger.branches.get(name).heads:
        ledger.assets.lock(head.asset)
    return ledger.branches.get(name)


def _datasets(ledger: Ledger, assets: Sequence[str] | None) -> list[str]:
    if assets is not None:
        return [str(ledger.assets.get(name)["name"]) for name in assets]
    found: list[str] = []
    after = ""
    while page := ledger.assets.list(after=after, limit=_PAGE):
        found += [
            a["name"] for a in page if a["kind"] in ("dataset", "prediction") and a["location"].get("table")
        ]
        after = page[-1]["name"]
    return found


def _show(ledger: Ledger, store: DatasetStore, branch: Branch, head: BranchHead) -> None:
    """Make a branch's view show what the branch began from."""
    version = ledger.versions.by_id(int(head.base_id or 0))
    place = place_of(
        ledger,
        head.asset,
        location_on(ledger, branch.name, head.location["table"]),
        Layout(),
        branch=branch.name,
    )
    store.switch(
        place=place,
        change=Change("branch", f"{branch.name}/{head.asset}"),
        columns=ledger.versions.columns(version.version_id),
        parts=ledger.versions.manifest(version.version_id),
    )
    published = head.location.get("published", [])
    ledger.assets.set_location(head.asset, {"published": sorted({*published, place.location})})


def _merge_one(
    ledger: Ledger, store: DatasetStore, run: TaskRun, branch: Branch, head: BranchHead
) -> Version:
    main = ledger.versions.head(head.asset)
    ours = ledger.versions.by_id(int(head.head_id or 0))
    parts = _merged_parts(ledger, head, main)
    if parts is None:
        msg = (
            f"branch {branch.name!r} and {main.ref if main else head.asset} changed the same rows of {head.asset!r} "
            f"since version {head.base}: nothing was merged. Drop the branch and run its DAG on a new one."
        )
        raise StaleVersionError(msg)
    columns = ledger.versions.columns(ours.version_id)
    if main is not None and main.version_id != head.base_id:
        # What either side added is there, and what either took away is not.
        theirs = ledger.versions.columns(main.version_id)
        base = {c.name for c in ledger.versions.columns(head.base_id)} if head.base_id else set()
        there, here = {c.name for c in theirs}, {c.name for c in columns}
        kept = [c for c in columns if c.name in there or c.name not in base]
        columns = evolve(theirs, [*kept, *(c for c in theirs if c.name not in base | here)])
    layout = Layout.from_location(head.location)
    place = place_of(ledger, head.asset, head.location["table"], layout)
    facts = {"mode": "branch", "branch": branch.name, "merged": ours.ref}
    return switch(
        ledger,
        store,
        run,
        place=replace(place, alias=CURRENT),
        change=Change("branch", str(run.fact(head.asset))),
        parent=main,
        parts=parts,
        columns=columns,
        facts=facts,
    )


def _merged_parts(ledger: Ledger, head: BranchHead, main: Version | None) -> tuple[Part, ...] | None:
    base = ledger.versions.manifest(head.base_id) if head.base_id else ()
    current = ledger.versions.manifest(main.version_id) if main else ()
    return merge_parts(base, ledger.versions.manifest(int(head.head_id or 0)), current)


def _take_away(ledger: Ledger, store: DatasetStore, run: TaskRun, branch: Branch) -> None:
    for head in branch.heads:
        location = head.location.get("table")
        if location is None:
            continue
        where = location_on(ledger, branch.name, location)
        store.close(place=place_of(ledger, head.asset, where, Layout(), branch=branch.name))
        places = ledger.assets.get(head.asset)["location"].get("published", ())
        published = [p for p in places if p != where]
        ledger.assets.set_location(head.asset, {"published": published})
        ledger.versions.move_alias(asset=head.asset, name=branch.name, version_id=None, run=run)

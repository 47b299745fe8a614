"""Leads: the version changes upstream of an alarmed batch, each with its signs and the way down to the batch."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.blame import Suspect
from airflow_dataml.core.blame_signs import signs_of
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.core.transforms import TRANSFORM, Transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.blame import BlamePolicy, ChangeKind, Sign
    from airflow_dataml.core.column_lineage import ColumnMap
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.steps.blame_scene import Scene

# Column of a dataset -> columns of the model made from it; "" stands for the rows as such. ``None``: unknown.
Reach = dict[str, frozenset[str]] | None
_ROWS = ""


@dataclass(frozen=True, slots=True)
class Lead:
    """A suspect with what it takes to revert it.

    :param changed: its parts that were not there when the model was well.
    :param instead: part id -> the earlier parts to read in its place; empty where there are none.
    :param chain: the parts on all ways from it to the model, the batch first.
    :param query: the earlier query to run instead, of the last part of the chain.
    :param reach: column of it -> columns of the model.
    """

    suspect: Suspect
    changed: tuple[Part, ...]
    chain: tuple[Part, ...]
    reach: Reach
    instead: Mapping[int, tuple[Part, ...]] = field(default_factory=dict)
    query: str | None = None

    def columns(self, sign: Sign) -> frozenset[str]:
        """Columns of the model that a sign's column went into."""
        if self.reach is None or sign.column is None:
            return frozenset(self.suspect.columns)
        return frozenset(c for c in self.reach.get(sign.column, ()) if c != _ROWS)


@dataclass(slots=True)
class _Way:
    """All ways from a part, or from some that came together, down to the model.

    :param parts: those between it and the model, and itself where a query made it, by id.
    """

    depth: int
    reach: Reach
    parts: dict[int, Part] = field(default_factory=dict)

    def join(self, other: _Way) -> None:
        """Take in another way: whatever any of them reaches is reached."""
        self.depth = min(self.depth, other.depth)
        self.reach = _union(self.reach, other.reach)
        self.parts |= other.parts

    @property
    def chain(self) -> tuple[Part, ...]:
        """Its parts, the batch first: what reads a part is younger."""
        return tuple(self.parts[i] for i in sorted(self.parts, reverse=True))


@dataclass(frozen=True, slots=True)
class _Group:
    """New parts of a source that no query made, one change together.

    :param whole: whether they replaced the dataset.
    """

    source: Version
    parts: tuple[Part, ...]
    whole: bool


def leads_of(*, ledger: Ledger, scene: Scene, policy: BlamePolicy) -> tuple[Lead, ...]:
    """Walk up from the alarmed batch and return each version change on the way that can have reached it.

    What was made by the same query from what was there is no change of its own: it passes on those of its inputs.
    A part is looked at after all that read it, so that it is judged by everything that it reaches.
    """
    own: Reach = {name: frozenset({name}) for name in (*scene.inputs, scene.spec["target"])}
    found: list[Lead] = []
    origins: dict[tuple[int, bool], tuple[_Group, _Way]] = {}
    new: dict[int, tuple[Version, list[Part]]] = {}
    ways = {part.part_id: _Way(0, own, {part.part_id: part}) for part in scene.parts if part.inputs}
    waiting = [-part_id for part_id in ways]
    heapq.heapify(waiting)
    for group in _groups(ledger, scene, scene.features, [p for p in scene.parts if not p.inputs]):
        _enter(origins, group, _Way(0, own))
    while waiting:
        part_id = -heapq.heappop(waiting)
        way = ways[part_id]
        part = way.parts[part_id]
        if way.depth >= policy.depth:
            continue
        found += _other_query(ledger, scene, part, way)
        maps = ledger.columns.of_parts([part_id])
        for version_id in part.inputs:
            if version_id not in new:
                source = ledger.versions.by_id(version_id)
                new[version_id] = source, _relevant(ledger, scene, source)
            source, parts = new[version_id]
            above = _above(way.reach, maps.get(version_id))
            if above == {}:
                continue
            for one in (p for p in parts if p.inputs):
                further = _Way(way.depth + 1, above, way.parts | {one.part_id: one})
                if one.part_id in ways:
                    ways[one.part_id].join(further)
                else:
                    ways[one.part_id] = further
                    heapq.heappush(waiting, -one.part_id)
            for group in _groups(ledger, scene, source, [p for p in parts if not p.inputs]):
                _enter(origins, group, _Way(way.depth + 1, above, dict(way.parts)))
    for group, way in origins.values():
        found += _changed(ledger, scene, group, way, policy)
    return tuple(found)


def _enter(origins: dict[tuple[int, bool], tuple[_Group, _Way]], group: _Group, way: _Way) -> None:
    key = group.parts[-1].part_id, group.whole
    if key in origins:
        origins[key][1].join(way)
    else:
        origins[key] = group, way


def _known_parts(scene: Scene, asset: str) -> Mapping[int, Part]:
    known = scene.good.get(asset)
    return known.parts if known else {}


def _relevant(ledger: Ledger, scene: Scene, source: Version) -> list[Part]:
    """Parts of a source that are new since the good state; where it has the batch's own, that alone."""
    known = _known_parts(scene, source.asset)
    new = [p for p in ledger.versions.manifest(source.version_id) if p.part_id not in known]
    of_batch = [p for p in new if p.partition_key == scene.batch]
    return of_batch or new


def _above(reach: Reach, columns: ColumnMap | None) -> Reach:
    if reach is None or columns is None or columns.method == "table":
        return None
    found: dict[str, frozenset[str]] = {}
    for target, source, _, _ in columns.flows:
        gained = frozenset({_ROWS}) if target == _ROWS else reach.get(target, frozenset())
        if gained:
            found[source] = found.get(source, frozenset()) | gained
    return found


def _union(one: Reach, other: Reach) -> Reach:
    """What either reaches; not known where that of one is not."""
    if one is None or other is None:
        return None
    return {name: one.get(name, frozenset()) | other.get(name, frozenset()) for name in (*one, *other)}


def _groups(ledger: Ledger, scene: Scene, source: Version, new: Sequence[Part]) -> Iterator[_Group]:
    """One change per batch that came; one for all parts of a dataset that was replaced as a whole."""
    if not new:
        return
    known = scene.good.get(source.asset)
    kept = known is None or any(
        p.part_id in known.parts for p in ledger.versions.manifest(source.version_id, profiles=False)
    )
    whole = not kept and all(p.partition_key is None for p in new)
    for group in [tuple(new)] if whole else [(part,) for part in new]:
        yield _Group(source, group, whole)


def _changed(ledger: Ledger, scene: Scene, group: _Group, way: _Way, policy: BlamePolicy) -> Iterator[Lead]:
    """The lead of a change, unless nothing of it reaches the model or it came after the alarm."""
    known, parts, reach = scene.good.get(group.source.asset), group.parts, way.reach
    made_in = ledger.versions.bringing(parts[-1].part_id) or group.source
    if reach == {} or made_in.created_at > scene.monitor.created_at:
        return
    before = _before(ledger, made_in, parts)
    change: ChangeKind = "new content" if group.whole else "rewritten batch" if before else "new batch"
    suspect = _suspect(scene, made_in, parts[-1], change, way)
    now, earlier = merge_profiles([p.profile for p in parts]), _history(ledger, scene, made_in, policy)
    signs = signs_of(now, earlier, policy=policy)
    told = tuple(s for s in signs if reach is None or s.column is None or s.column in reach)
    instead: dict[int, tuple[Part, ...]] = {}
    if group.whole and known is not None:
        good = ledger.versions.find(f"{group.source.asset}@{known.newest}")
        instead = {p.part_id: () for p in parts}
        instead |= {parts[0].part_id: ledger.versions.manifest(good.version_id)}
    elif before is not None:
        instead = {parts[-1].part_id: (before,)}
    rows = min(now["rows"], sum(p["rows"] for p in earlier))
    tested = before is None and rows >= policy.min_rows
    yield Lead(replace(suspect, signs=told, tested=tested), parts, way.chain, reach, instead)


def _suspect(scene: Scene, made_in: Version, part: Part, change: ChangeKind, way: _Way) -> Suspect:
    names, reach = (*scene.inputs, scene.spec["target"]), way.reach
    reached = set(names) if reach is None else {c for columns in reach.values() for c in columns}
    return Suspect(
        asset=part.asset,
        version=made_in.ref,
        version_id=made_in.version_id,
        part_id=part.part_id,
        batch=part.partition_key,
        change=change,
        at=made_in.created_at.isoformat(),
        depth=way.depth,
        columns=tuple(name for name in names if name in reached),
    )


def _before(ledger: Ledger, made_in: Version, group: Sequence[Part]) -> Part | None:
    """The part that had a batch's key before, if the batch was rewritten."""
    part = group[-1]
    if part.partition_key is None or len(group) > 1:
        return None
    older = ledger.versions.list(part.asset, before=made_in.number, limit=1)
    manifest = ledger.versions.manifest(older[0].version_id) if older else ()
    same = [p for p in manifest if p.partition_key == part.partition_key]
    return same[0] if len(same) == 1 and same[0].part_id != part.part_id else None


def _history(ledger: Ledger, scene: Scene, made_in: Version, policy: BlamePolicy) -> list[dict[str, Any]]:
    """Profiles of the batches a dataset had brought when the model was well, or before if it was not read then."""
    known = scene.good.get(made_in.asset)
    before = known.newest + 1 if known and known.newest < made_in.number else made_in.number
    older = ledger.versions.list(made_in.asset, before=before, limit=policy.history)
    parts = [ledger.versions.part(v.facts["part_id"]) for v in older if v.facts.get("part_id")]
    # An earlier try at the alarmed batch says nothing of what is usual.
    usual = [p for p in parts if p.partition_key != scene.batch or p.part_id in _known_parts(scene, p.asset)]
    return [p.profile for p in {p.part_id: p for p in usual}.values() if p.profile.get("columns")]


def _other_query(ledger: Ledger, scene: Scene, part: Part, way: _Way) -> Iterator[Lead]:
    """A derived part that is made by another query than its dataset was when the model was well."""
    now = transform_of(ledger, part)
    known = [p for p in _known_parts(scene, part.asset).values() if p.inputs]
    # Of the good batches where there are such: others that a catch-up brought may have the new query too.
    keys = {p.partition_key for p in scene.good_parts}
    good = [p for p in known if p.partition_key in keys] or known
    before = transform_of(ledger, good[-1]) if good else None
    if now is None or before is None or now.digest == before.digest:
        return
    made_in = ledger.versions.bringing(part.part_id) or scene.features
    suspect = replace(_suspect(scene, made_in, part, "other query", way), tested=False)
    yield Lead(suspect, (part,), way.chain, way.reach, query=before.sql)


def transform_of(ledger: Ledger, part: Part) -> Transform | None:
    """How a part was made, if a query made it and was kept."""
    report = ledger.reports.latest(asset=part.asset, kind=TRANSFORM, part_id=part.part_id)
    return Transform.from_dict(report.body) if report else None

"""Leads: the version changes upstream of an alarmed batch, each with its signs and the way down to the batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

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
    :param chain: the parts between it and the model, the batch first; the last one reads it.
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


def leads_of(*, ledger: Ledger, scene: Scene, policy: BlamePolicy) -> tuple[Lead, ...]:
    """Walk up from the alarmed batch and return each version change on the way that can have reached it.

    What was made by the same query from what was there is no change of its own: it passes on those of its inputs.
    """
    names = [*scene.inputs, scene.spec["target"]]
    own: Reach = {name: frozenset({name}) for name in names}
    found: dict[tuple[int, str], Lead] = {}
    visited: set[int] = set()
    frontier: list[tuple[Part, Reach, tuple[Part, ...]]] = []
    batch = [p for p in scene.parts if p.part_id not in _known_parts(scene, p.asset)]
    if roots := [p for p in batch if not p.inputs]:
        for lead in _changed(ledger, scene, scene.features, roots, (), own, policy):
            found[lead.suspect.part_id, lead.suspect.change] = lead
    frontier += [(part, own, (part,)) for part in batch if part.inputs]
    while frontier:
        part, reach, chain = frontier.pop(0)
        if part.part_id in visited or len(chain) > policy.depth:
            continue
        visited.add(part.part_id)
        for lead in _other_query(ledger, scene, part, reach, chain):
            found[lead.suspect.part_id, lead.suspect.change] = lead
        maps = ledger.columns.of_parts([part.part_id])
        for version_id in part.inputs:
            source = ledger.versions.by_id(version_id)
            above = _above(reach, maps.get(version_id))
            new = _relevant(ledger, scene, source)
            frontier += [(one, above, (*chain, one)) for one in new if one.inputs]
            origins = [one for one in new if not one.inputs]
            for lead in _changed(ledger, scene, source, origins, chain, above, policy):
                found.setdefault((lead.suspect.part_id, lead.suspect.change), lead)
    return tuple(found.values())


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


def _changed(
    ledger: Ledger,
    scene: Scene,
    source: Version,
    new: Sequence[Part],
    chain: tuple[Part, ...],
    reach: Reach,
    policy: BlamePolicy,
) -> Iterator[Lead]:
    """One lead per batch that came; one for all parts of a dataset that was replaced as a whole."""
    if not new or reach == {}:
        return
    known = scene.good.get(source.asset)
    kept = known is None or any(
        p.part_id in known.parts for p in ledger.versions.manifest(source.version_id, profiles=False)
    )
    whole = not kept and all(p.partition_key is None for p in new)
    groups = [tuple(new)] if whole else [(part,) for part in new]
    for group in groups:
        made_in = ledger.versions.bringing(group[-1].part_id) or source
        if made_in.created_at > scene.monitor.created_at:
            continue
        before = _before(ledger, scene, made_in, group)
        change: ChangeKind = "new content" if whole else "rewritten batch" if before else "new batch"
        suspect = _suspect(scene, made_in, group[-1], change, len(chain), reach)
        signs = signs_of(
            merge_profiles([p.profile for p in group]),
            _history(ledger, scene, made_in, policy),
            policy=policy,
        )
        told = tuple(s for s in signs if reach is None or s.column is None or s.column in reach)
        instead: dict[int, tuple[Part, ...]] = {}
        if whole and known is not None:
            good = max(known.numbers)
            parts = ledger.versions.manifest(ledger.versions.find(f"{source.asset}@{good}").version_id)
            instead = {p.part_id: () for p in group} | {group[0].part_id: parts}
        elif before is not None:
            instead = {group[-1].part_id: (before,)}
        yield Lead(replace(suspect, signs=told), group, chain, reach, instead)


def _suspect(
    scene: Scene, made_in: Version, part: Part, change: ChangeKind, depth: int, reach: Reach
) -> Suspect:
    names = (*scene.inputs, scene.spec["target"])
    reached = set(names) if reach is None else {c for columns in reach.values() for c in columns}
    return Suspect(
        asset=part.asset,
        version=made_in.ref,
        version_id=made_in.version_id,
        part_id=part.part_id,
        batch=part.partition_key,
        change=change,
        at=made_in.created_at.isoformat(),
        depth=depth,
        columns=tuple(name for name in names if name in reached),
    )


def _before(ledger: Ledger, scene: Scene, made_in: Version, group: Sequence[Part]) -> Part | None:
    """The part that had a batch's key before, if the batch was rewritten."""
    part = group[-1]
    if part.partition_key is None or len(group) > 1:
        return None
    older = ledger.versions.list(part.asset, before=made_in.number, limit=1)
    manifest = ledger.versions.manifest(older[0].version_id) if older else ()
    same = [p for p in manifest if p.partition_key == part.partition_key]
    return same[0] if len(same) == 1 and same[0].part_id != part.part_id else None


def _history(ledger: Ledger, scene: Scene, made_in: Version, policy: BlamePolicy) -> list[dict[str, object]]:
    """Profiles of the batches a dataset had brought when the model was well, or before if it was not read then."""
    known = scene.good.get(made_in.asset)
    before = known.newest + 1 if known and known.newest < made_in.number else made_in.number
    older = ledger.versions.list(made_in.asset, before=before, limit=policy.history)
    parts = [ledger.versions.part(v.facts["part_id"]) for v in older if v.facts.get("part_id")]
    return [p.profile for p in {p.part_id: p for p in parts}.values() if p.profile.get("columns")]


def _other_query(
    ledger: Ledger, scene: Scene, part: Part, reach: Reach, chain: tuple[Part, ...]
) -> Iterator[Lead]:
    """A derived part that is made by another query than its dataset was when the model was well."""
    now = transform_of(ledger, part)
    good = [p for p in _known_parts(scene, part.asset).values() if p.inputs]
    before = transform_of(ledger, good[-1]) if good else None
    if now is None or before is None or now.digest == before.digest:
        return
    made_in = ledger.versions.bringing(part.part_id) or scene.features
    suspect = _suspect(scene, made_in, part, "other query", len(chain) - 1, reach)
    yield Lead(suspect, (part,), chain, reach, query=before.sql)


def transform_of(ledger: Ledger, part: Part) -> Transform | None:
    """How a part was made, if a query made it and was kept."""
    report = ledger.reports.latest(asset=part.asset, kind=TRANSFORM, part_id=part.part_id)
    return Transform.from_dict(report.body) if report else None

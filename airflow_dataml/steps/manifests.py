"""What publishing a staged batch would make: the parts and the schema readers would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import Merge, next_manifest
from airflow_dataml.core.errors import QualityGateError, SpecError, StaleVersionError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.schemas import SchemaDiff, diff_schemas, evolve

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Column, Part, StagedPart, Version
    from airflow_dataml.core.ports import Ledger

_CONSUMERS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """The version a staged batch would become.

    :param parent: what readers see now.
    :param part: the batch.
    """

    parent: Version | None
    part: Part
    parts: tuple[Part, ...]
    columns: tuple[Column, ...]
    diff: SchemaDiff


def outcome_of(ledger: Ledger, staged: StagedPart, *, profiles: bool = True) -> Outcome:
    """Return what publishing a staged batch would make, on top of what readers see now.

    :param profiles: with the profiles of the parts that are there already.
    :raises StaleVersionError: the batch was merged into a version that is no longer current.
    :raises SpecError: the batch is another dataset's.
    """
    part = ledger.versions.part(staged.part_id)
    if part.asset != staged.asset:
        msg = f"part {part.part_id} belongs to {part.asset!r} and was handed over as one of {staged.asset!r}."
        raise SpecError(msg)
    parent = ledger.versions.head(staged.asset, branch=staged.branch)
    if staged.mode == "merge" and staged.parent_id != (parent.version_id if parent else None):
        msg = (
            f"the batch of {staged.asset!r} was merged into version id {staged.parent_id}, and "
            f"{parent.ref if parent else 'nothing'} is current now: run the batch again."
        )
        raise StaleVersionError(msg)
    merge = Merge(staged.removes, tuple(ledger.versions.part(p) for p in staged.rewrites))
    current = ledger.versions.manifest(parent.version_id, profiles=profiles) if parent else ()
    before = ledger.versions.columns(parent.version_id) if parent else ()
    parts = next_manifest(current, part, mode=staged.mode, merge=merge)
    if gone := [p.part_id for p in parts if p.state != "live"]:
        msg = f"parts {gone} of {staged.asset!r} were collected before they were published: stage the batch again."
        raise StaleVersionError(msg)
    columns = evolve(before, part.columns)
    return Outcome(parent, part, parts, columns, diff_schemas(before, columns) if parent else SchemaDiff(()))


def require_compatible(ledger: Ledger, outcome: Outcome, *, allow_breaking: bool) -> None:
    """Refuse a schema that breaks readers, unless that is asked for, and say who they are.

    :raises QualityGateError: columns are gone or of another type.
    """
    broken = outcome.diff.breaking
    if not broken or outcome.parent is None:
        return
    asset, what = outcome.part.asset, "; ".join(change.sentence for change in broken)
    retyped = {change.column for change in broken if change.kind == "retyped"}
    if retyped and len(outcome.parts) > 1:
        msg = (
            f"the batch of {asset!r} does not fit the rows that stay ({what}): correct the batch, or write "
            "the whole dataset anew with mode='replace' and allow_breaking=True."
        )
        raise QualityGateError(msg)
    if allow_breaking:
        return
    consumers = _consumers(ledger, outcome.parent)
    read_by = f" Read by {', '.join(consumers)}." if consumers else ""
    msg = f"publishing the batch of {asset!r} would break its readers: {what}.{read_by} Correct the batch, or publish with allow_breaking=True."
    raise QualityGateError(msg, {"schema": outcome.diff.to_dict(), "consumers": consumers})


def _consumers(ledger: Ledger, version: Version) -> list[str]:
    """Return what was made from a version, nearest first."""
    graph = ledger.lineage.walk(str(version_node(version.version_id)), direction="downstream", depth=6)
    names = dict.fromkeys(
        node.label for node in graph.nodes if node.depth and node.label.partition("@")[0] != version.asset
    )
    shown = list(names)[:_CONSUMERS]
    return [*shown, f"{len(names) - len(shown)} more"] if len(names) > len(shown) else shown

"""Adoption: a table of somebody's becomes the first part of a managed dataset, and a table again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.layout import Layout
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import Grids, NewPart

ADOPTION = "adoption"


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """What adopting a table comes to.

    :param layout: indexes, keys and defaults read off the table; later parts get the same.
    :param obstacles: every reason why it cannot be done.
    :param views: views that read the table and will read the dataset.
    :param writers: roles that may write to the table now and will be refused.
    :param shape: what a release needs to give the table back as it was; plain JSON.
    """

    table: Relation
    columns: tuple[Column, ...]
    layout: Layout
    obstacles: tuple[str, ...] = ()
    views: tuple[Relation, ...] = ()
    writers: tuple[str, ...] = ()
    bytes: int = 0
    shape: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "table": str(self.table),
            "columns": [asdict(c) for c in self.columns],
            "layout": self.layout.to_dict(),
            "obstacles": list(self.obstacles),
            "views": list(map(str, self.views)),
            "writers": list(self.writers),
            "bytes": self.bytes,
            "foreign_keys": [key["name"] for key in self.shape.get("foreign_keys", ())],
        }


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What giving a dataset back as an ordinary table comes to.

    :param copied: whether rows are copied; else the only part becomes the table.
    :param losing: pinned versions whose rows would be the table's to change, with who holds them.
    :param unfit: names of constraints, indexes and statistics that the columns of today no longer allow.
    """

    table: Relation
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    copied: bool
    layout: Layout
    obstacles: tuple[str, ...] = ()
    views: tuple[Relation, ...] = ()
    losing: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    shape: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "table": str(self.table),
            "copied": self.copied,
            "parts": [p.part_id for p in self.parts],
            "rows": sum(p.rows for p in self.parts),
            "obstacles": list(self.obstacles),
            "views": list(map(str, self.views)),
            "losing": list(self.losing),
            "unfit": list(self.unfit),
            "foreign_keys": [key["name"] for key in self.shape.get("foreign_keys", ())],
        }


class TableKeeper(Protocol):
    """Moves tables in and out of a store; everything happens in the caller's transaction."""

    def examine(self, table: Relation, *, keys: Sequence[str]) -> AdoptionPlan:
        """Return what adopting a table comes to; changes nothing.

        :raises SpecError: there is no such table.
        """

    def hold(self, table: Relation) -> None:
        """Keep writers off a table until the transaction ends; readers go on."""

    def measure(self, plan: AdoptionPlan, *, part: Relation, grids: Grids) -> NewPart:
        """Read the table once, under its own name, as the part it will be."""

    def take(self, plan: AdoptionPlan, *, part: Relation) -> None:
        """Move the table away; from here to the end of the transaction readers wait."""

    def cover(self, plan: AdoptionPlan) -> None:
        """Give the view in the table's place what the table had, and point those who read it there."""

    def examine_release(
        self,
        table: Relation,
        *,
        columns: Sequence[Column],
        parts: Sequence[Part],
        layout: Layout,
        shape: dict[str, Any],
        copy: bool,
    ) -> ReleasePlan:
        """Return what giving a dataset back comes to; changes nothing."""

    def give_back(self, plan: ReleasePlan) -> None:
        """Put a table with the rows of the parts in the place of the view."""

"""Branches as facts: a world beside the one everybody reads, over the same parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.diff_text import to_markdown, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.diffs import VersionDiff

RESERVED = ("current", "previous", "champion", "challenger", "candidate", "shadow")


@dataclass(frozen=True, slots=True)
class BranchHead:
    """One dataset on a branch.

    :param location: the dataset's facts, as the catalog has them.
    :param base: number of the version the branch began from; ``None`` if there was none.
    :param head: number of the branch's own version; ``None`` as long as it has none.
    """

    asset: str
    location: dict[str, Any]
    base_id: int | None
    base: int | None
    head_id: int | None
    head: int | None

    @property
    def changed(self) -> bool:
        """Whether the branch has a version of its own."""
        return self.head_id is not None and self.head_id != self.base_id


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that is open.

    :param schema: where its views are.
    """

    name: str
    schema: str
    created_at: datetime
    heads: tuple[BranchHead, ...]

    @property
    def changed(self) -> tuple[BranchHead, ...]:
        """The datasets with versions of the branch's own."""
        return tuple(head for head in self.heads if head.changed)


def merge_parts(base: Sequence[Part], head: Sequence[Part], main: Sequence[Part]) -> tuple[Part, ...] | None:
    """The parts of a three-way merge, or nothing when both sides took away or wrote the same rows.

    What the branch removed from its base is removed, what it added is added; whatever else is current
    stays. Both sides may append, and write different batches. A batch (partition key) both wrote is a
    conflict, and so is a merge by keys or a whole replacement on the branch once the other side moved.
    """
    began, ours, theirs = ({p.part_id for p in parts} for parts in (base, head, main))
    removed, added = began - ours, [p for p in head if p.part_id not in began]
    if theirs == began:
        return tuple(head)
    if not removed <= theirs:
        return None
    elsewhere = [p for p in main if p.part_id not in began]
    keys = {p.partition_key for p in added if p.partition_key is not None}
    if any(p.partition_key in keys for p in elsewhere):
        return None
    if removed and any(p.partition_key is None or p.replaces for p in added):
        # A merge, or a replacement of everything, looked at rows that are others by now.
        return None
    if any(p.parent_id is not None and p.role != "compacted" for p in added):
        # So did a merge that only inserted: its keys may be the other side's by now.
        return None
    return (*(p for p in main if p.part_id not in removed), *added)


@dataclass(frozen=True, slots=True)
class DatasetChange:
    """What a branch did to one dataset.

    :param diff: against what everybody reads now; ``None`` for a dataset nobody else has.
    :param verdict: of the newest check of the branch's version; ``None`` if nobody checked it.
    :param summary: what that check found.
    :param conflict: whether both sides changed the same rows, so that it cannot be merged.
    """

    asset: str
    head: str
    diff: VersionDiff | None
    verdict: str | None
    summary: str | None
    conflict: bool

    @property
    def unfit(self) -> bool:
        """Whether it is better not merged: a conflict, or a check that did not pass."""
        return self.conflict or self.verdict not in (None, "pass", "warn")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "dataset": self.asset,
            "head": self.head,
            "diff": self.diff.to_dict() if self.diff else None,
            "verdict": self.verdict,
            "summary": self.summary,
            "conflict": self.conflict,
        }


@dataclass(frozen=True, slots=True)
class BranchDiff:
    """What merging a branch would bring."""

    branch: str
    changes: tuple[DatasetChange, ...]

    @property
    def mergeable(self) -> bool:
        """Whether there is something to merge and nothing in the way."""
        return bool(self.changes) and not any(change.unfit for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "branch": self.branch,
            "mergeable": self.mergeable,
            "datasets": [change.to_dict() for change in self.changes],
        }

    def to_text(self) -> str:
        """The diff as plain text."""
        return self._render(to_text, "== {head} ({verdict})")

    def to_markdown(self) -> str:
        """The diff as the body of a pull request's comment."""
        verdict = (
            "can be merged" if self.mergeable else "cannot be merged" if self.changes else "changes nothing"
        )
        return f"## Branch `{self.branch}` {verdict}\n\n" + self._render(to_markdown, "### {head}: {verdict}")

    def _render(self, render: Callable[[VersionDiff], str], title: str) -> str:
        if not self.changes:
            return f"Branch {self.branch} has changed no dataset."
        return "\n\n".join(
            "\n\n".join(
                [
                    title.format(head=change.head, verdict=_state(change)),
                    *([change.summary] if change.summary else []),
                    render(change.diff) if change.diff else "A new dataset.",
                ]
            )
            for change in self.changes
        )


def _state(change: DatasetChange) -> str:
    checked = f"checks {change.verdict}" if change.verdict else "not checked"
    return f"conflict, {checked}" if change.conflict else checked

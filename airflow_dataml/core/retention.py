"""Retention: which versions keep their rows, which parts may go, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.datasets import Part


class RetentionPolicy(BaseModel):
    """How long the rows of old versions are kept; the versions themselves stay in the ledger for ever.

    A version that either rule keeps is kept. What an alias, a branch, a pin or an open incident holds is
    kept whatever the rules say.

    :param keep_last: newest versions to keep.
    :param keep_days: keep what is younger.
    :param abandon_hours: after how long a staged batch that nobody published is given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_last: int | None = Field(default=None, ge=1)
    keep_days: float | None = Field(default=None, ge=0)
    abandon_hours: float = Field(default=48.0, ge=0)

    @property
    def rules(self) -> bool:
        """Whether any version may be collected at all."""
        return self.keep_last is not None or self.keep_days is not None


class CompactionPolicy(BaseModel):
    """When parts are written together.

    :param target_rows: a part of at least so many rows is left alone.
    :param min_parts: how many neighbours make it worth the while.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_rows: int = Field(default=1_000_000, ge=1)
    min_parts: int = Field(default=2, ge=2)


@dataclass(frozen=True, slots=True)
class Held:
    """A version as retention sees it.

    :param holders: aliases, branches, pins and open incidents that hold it, in words.
    """

    version_id: int
    number: int
    created_at: datetime
    part_ids: tuple[int, ...]
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What a collection would do.

    :param kept: version number -> why its rows stay.
    :param collected: versions whose rows go.
    :param parts: parts no kept version needs.
    :param abandoned: parts that were staged and never published.
    """

    asset: str
    kept: dict[int, tuple[str, ...]] = field(default_factory=dict)
    collected: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    abandoned: tuple[int, ...] = ()
    bytes_freed: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.parts or self.abandoned)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"kept": {str(n): list(why) for n, why in self.kept.items()}}


def plan_retention(
    asset: str,
    versions: Sequence[Held],
    *,
    sizes: Mapping[int, int],
    staged: Mapping[int, datetime],
    policy: RetentionPolicy,
    now: datetime | None = None,
) -> RetentionPlan:
    """Decide what may go; nothing is touched.

    :param versions: those whose rows are all there.
    :param sizes: live part -> bytes.
    :param staged: live part that is in no version -> when it was staged.

    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> some = [Held(n, n, day, (n,)) for n in (1, 2, 3)]
    >>> plan_retention("rides", some, sizes={1: 10, 2: 10, 3: 10}, staged={},
    ...                policy=RetentionPolicy(keep_last=2), now=day).parts
    (1,)
    """
    moment = now or datetime.now(UTC)
    newest = {v.version_id for v in sorted(versions, key=lambda v: -v.number)[: policy.keep_last or 0]}
    kept: dict[int, tuple[str, ...]] = {}
    for version in versions:
        why = [*version.holders]
        if not policy.rules:
            why.append("no rule lets it go")
        if version.version_id in newest:
            why.append(f"one of the newest {policy.keep_last}")
        if policy.keep_days is not None and moment - version.created_at < timedelta(days=policy.keep_days):
            why.append(f"younger than {policy.keep_days:g} days")
        if why:
            kept[version.number] = tuple(why)
    needed = {part for v in versions if v.number in kept for part in v.part_ids}
    gone = [v for v in versions if v.number not in kept]
    parts = sorted({part for v in gone for part in v.part_ids} - needed)
    oldest = moment - timedelta(hours=policy.abandon_hours)
    abandoned = sorted(part for part, at in staged.items() if at <= oldest)
    freed = sum(sizes.get(part, 0) for part in (*parts, *abandoned))
    return RetentionPlan(asset, kept, tuple(v.number for v in gone), tuple(parts), tuple(abandoned), freed)


def plan_compaction(parts: Sequence[Part], policy: CompactionPolicy) -> tuple[tuple[Part, ...], ...]:
    """Return the runs of neighbouring small parts of one batch that are worth writing together.

    Parts of different partition keys stay apart, because a batch is replaced, scored and trained on by its key.
    """
    groups: list[list[Part]] = []
    for part in parts:
        small = part.rows < policy.target_rows
        if groups and small and groups[-1][-1].partition_key == part.partition_key:
            group_rows = sum(p.rows for p in groups[-1])
            if group_rows < policy.target_rows and groups[-1][-1].rows < policy.target_rows:
                groups[-1].append(part)
                continue
        groups.append([part])
    return tuple(tuple(group) for group in groups if len(group) >= policy.min_parts)


def exclusive_bytes(versions: Sequence[Held], sizes: Mapping[int, int]) -> dict[int, int]:
    """Return for each version number the bytes that would be freed if it alone were collected.

    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> exclusive_bytes([Held(1, 1, day, (1, 2)), Held(2, 2, day, (2, 3))], {1: 5, 2: 7, 3: 9})
    {1: 5, 2: 9}
    """
    uses = Counter(part for version in versions for part in set(version.part_ids))
    return {
        v.number: sum(sizes.get(part, 0) for part in set(v.part_ids) if uses[part] == 1) for v in versions
    }

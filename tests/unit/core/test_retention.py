"""Retention and compaction plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.retention import (
    CompactionPolicy,
    Held,
    RetentionPolicy,
    plan_compaction,
    plan_retention,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def held(number: int, *parts: int, days: float = 0, holders: tuple[str, ...] = ()) -> Held:
    return Held(number, number, NOW - timedelta(days=days), parts, holders)


def part(part_id: int, rows: int, key: str | None = None) -> Part:
    return Part(part_id, "rides", f"d.p{part_id}", (Column("a", "text"),), Fingerprint(rows), key)


def test_a_part_goes_when_no_kept_version_needs_it() -> None:
    versions = [held(1, 1), held(2, 1, 2), held(3, 3)]
    plan = plan_retention(
        "rides",
        versions,
        sizes={1: 10, 2: 20, 3: 30},
        staged={},
        policy=RetentionPolicy(keep_last=1),
        now=NOW,
    )
    assert plan.collected == (1, 2)
    assert plan.parts == (1, 2)
    assert plan.bytes_freed == 30
    assert plan.kept == {3: ("one of the newest 1",)}


def test_a_shared_part_stays() -> None:
    plan = plan_retention(
        "rides",
        [held(1, 1), held(2, 1, 2)],
        sizes={1: 10, 2: 20},
        staged={},
        policy=RetentionPolicy(keep_last=1),
        now=NOW,
    )
    assert plan.collected == (1,)
    assert plan.parts == ()


def test_what_is_held_stays_whatever_the_rules_say() -> None:
    versions = [held(1, 1, days=99, holders=("pinned by ride_late@3 (trained on)",)), held(2, 2), held(3, 3)]
    plan = plan_retention(
        "rides",
        versions,
        sizes={1: 1, 2: 1, 3: 1},
        staged={},
        policy=RetentionPolicy(keep_last=1),
        now=NOW,
    )
    assert plan.kept[1] == ("pinned by ride_late@3 (trained on)",)
    assert plan.parts == (2,)


def test_either_rule_keeps() -> None:
    versions = [held(1, 1, days=40), held(2, 2, days=5), held(3, 3)]
    policy = RetentionPolicy(keep_last=1, keep_days=30)
    plan = plan_retention("rides", versions, sizes={}, staged={}, policy=policy, now=NOW)
    assert plan.collected == (1,)


def test_without_a_rule_nothing_is_collected_but_what_was_abandoned() -> None:
    staged = {7: NOW - timedelta(hours=50), 8: NOW - timedelta(hours=1)}
    plan = plan_retention(
        "rides", [held(1, 1)], sizes={7: 5}, staged=staged, policy=RetentionPolicy(), now=NOW
    )
    assert plan.collected == ()
    assert plan.abandoned == (7,)
    assert plan.bytes_freed == 5


@pytest.mark.parametrize(
    ("parts", "groups"),
    [
        ([part(1, 1), part(2, 1), part(3, 1)], [[1, 2, 3]]),
        ([part(1, 1), part(2, 100), part(3, 1)], []),
        ([part(1, 1, "a"), part(2, 1, "a"), part(3, 1, "b")], [[1, 2]]),
        ([part(1, 6), part(2, 6), part(3, 6), part(4, 6)], [[1, 2], [3, 4]]),
    ],
    ids=["small neighbours", "a large part between", "batches stay apart", "up to the target"],
)
def test_small_neighbours_of_one_batch_are_written_together(
    parts: list[Part], groups: list[list[int]]
) -> None:
    found = plan_compaction(parts, CompactionPolicy(target_rows=10))
    assert [[p.part_id for p in group] for group in found] == groups

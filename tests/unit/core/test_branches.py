"""Three-way merges of manifests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_dataml.core.branches import merge_parts
from airflow_dataml.core.datasets import Column, Fingerprint, Part


def part(part_id: int, key: str | None = None, *, replaces: tuple[int, ...] = ()) -> Part:
    made = Part(part_id, "rides", f"d.p{part_id}", (Column("a", "text"),), Fingerprint(1), key)
    return replace(made, replaces=replaces)


A, B = part(1), part(2)
SEP, SEP2, OCT, OCT2, NOV = (
    part(10, "sep"),
    part(11, "sep"),
    part(12, "oct"),
    part(13, "oct"),
    part(14, "nov"),
)


@pytest.mark.parametrize(
    ("base", "head", "main", "expected"),
    [
        ([A], [A, B], [A], [1, 2]),
        ([A], [A, B], [A, part(3)], [1, 3, 2]),
        ([A], [B], [A], [2]),
        ([SEP, OCT], [SEP2, OCT], [SEP, OCT2], [13, 11]),
        ([SEP], [SEP, OCT], [SEP, NOV], [10, 14, 12]),
        ([], [A], [], [1]),
    ],
    ids=["nobody else", "both appended", "replaced", "other batches", "new batches", "a new dataset"],
)
def test_what_does_not_touch_is_joined(
    base: list[Part], head: list[Part], main: list[Part], expected: list[int]
) -> None:
    merged = merge_parts(base, head, main)
    assert merged is not None
    assert [p.part_id for p in merged] == expected


@pytest.mark.parametrize(
    ("base", "head", "main"),
    [
        ([A], [B], [A, part(3)]),
        ([A], [B], [part(3)]),
        ([SEP], [SEP2], [part(15, "sep")]),
        ([SEP], [SEP, OCT], [SEP, OCT2]),
        ([A], [part(4, replaces=(1,)), part(5)], [A, part(3)]),
        ([SEP], [part(16, "sep", replaces=(10,)), part(17, "oct")], [SEP, NOV]),
    ],
    ids=["replaced and appended", "replaced twice", "one batch twice", "a new batch twice", "merged and appended", "merged by batch"],
)  # fmt: skip
def test_what_touches_is_a_conflict(base: list[Part], head: list[Part], main: list[Part]) -> None:
    assert merge_parts(base, head, main) is None


def test_a_merge_that_only_inserted_is_a_conflict_once_the_other_side_moved() -> None:
    inserted = replace(B, parent_id=1)
    assert merge_parts([A], [A, inserted], [A, part(3)]) is None
    assert merge_parts([A], [A, inserted], [A]) == (A, inserted)

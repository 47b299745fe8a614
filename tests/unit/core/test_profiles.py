from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.profiles import (
    CELLS,
    HASH_BITS,
    SKETCH,
    TOP_VALUES,
    WIDTHS,
    cells_of,
    counted,
    covered,
    distinct,
    kind_of,
    merge_profiles,
    scaled,
    width_of,
)


def numeric(values: list[float]) -> dict[str, object]:
    cells = sorted(cells_of(values, low=0.0, high=1.0).items()) if values else []
    column = {
        "type": "double precision", "nulls": 0, "min": min(values, default=None), "max": max(values, default=None),
        "sum": sum(values), "squares": sum(v * v for v in values), "grid": [0.0, 1.0], "cells": [list(c) for c in cells],
    }  # fmt: skip
    return {"rows": len(values), "columns": {"x": column}}


VALUES = st.lists(st.floats(-2, 2), max_size=30)


@given(VALUES, VALUES)
def test_a_merged_profile_is_the_profile_of_all_rows(left: list[float], right: list[float]) -> None:
    merged = merge_profiles([numeric(left), numeric(right)])["columns"]["x"]
    whole = numeric(left + right)["columns"]["x"]  # type: ignore[index]
    for key in ("nulls", "min", "max", "grid", "cells"):
        assert merged[key] == whole[key]
    assert merged["sum"] == pytest.approx(whole["sum"])


def test_every_value_has_a_cell() -> None:
    assert sum(cells_of([-9.0, 0.0, 0.999999, 1.0, 9.0], low=0.0, high=1.0).values()) == 5
    assert set(cells_of([-9.0, 9.0], low=0.0, high=1.0)) == {0, CELLS + 1}


def test_two_grids_do_not_add() -> None:
    other = numeric([0.5])
    other["columns"]["x"]["grid"] = [0.0, 2.0]  # type: ignore[index]
    with pytest.raises(SpecError, match="'x' was profiled on two grids"):
        merge_profiles([numeric([0.5]), other])


def test_rare_values_are_counted_together() -> None:
    values = [[f"v{i}", 1] for i in range(TOP_VALUES)]
    one = {
        "rows": TOP_VALUES,
        "columns": {"c": {"type": "text", "nulls": 0, "distinct": TOP_VALUES, "values": values, "other": 0}},
    }
    two = {
        "rows": 2,
        "columns": {"c": {"type": "text", "nulls": 0, "distinct": 1, "values": [["new", 2]], "other": 0}},
    }
    merged = merge_profiles([one, two])["columns"]["c"]
    assert merged["values"][0] == ["new", 2]
    assert sum(n for _, n in merged["values"]) + merged["other"] == TOP_VALUES + 2


Row = tuple[int | None, dt.datetime | None, str | None]
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)).map(lambda d: d.replace(microsecond=0))
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-5000, 5000), st.none() | MOMENTS, st.none() | st.text("abc", max_size=3)
    ),
    max_size=12,
)


def hashed(value: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:8]) >> (64 - HASH_BITS)


def sketch(values: list[Any]) -> dict[str, Any]:
    counts = Counter(map(hashed, values))
    return {"n": len(values), "hashes": [[h, counts[h]] for h in sorted(counts)[:SKETCH]]}


def profile(rows: list[Row]) -> dict[str, Any]:
    """What the database says of these rows, said in Python."""
    numbers = [a for a, _, _ in rows if a is not None]
    seconds = [int((b - dt.datetime(1970, 1, 1)).total_seconds()) for _, b, _ in rows if b is not None]
    texts = [c for _, _, c in rows if c is not None]
    width = width_of(min(seconds, default=0), max(seconds, default=0))
    top = sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))
    lengths = [len(t) for t in texts]
    columns: dict[str, dict[str, Any]] = {
        "n": {
            "type": "integer", "kind": "numeric", "min": min(numbers, default=None), "max": max(numbers, default=None),
            "sum": sum(numbers), "squares": sum(n * n for n in numbers), "grid": [-9.0, 9.0] if numbers else None,
            "cells": pairs(cells_of(numbers, low=-9.0, high=9.0)) if numbers else [],
        },
        "t": {
            "type": "timestamp without time zone", "kind": "temporal", "width": width,
            "min": min((b.isoformat() for _, b, _ in rows if b), default=None),
            "max": max((b.isoformat() for _, b, _ in rows if b), default=None),
            "cells": pairs(Counter(s // width for s in seconds)),
        },
        "c": {
            "type": "text", "kind": "text", "values": [list(p) for p in top], "other": 0,
            "length": {"min": min(lengths, default=None), "max": max(lengths, default=None), "sum": sum(lengths)},
        },
    }  # fmt: skip
    for column, values in zip(columns.values(), (numbers, seconds, texts), strict=True):
        seen = sketch(values)
        column |= {"nulls": len(rows) - len(values), "sketch": seen}
        column["distinct"] = distinct(seen, total=len(values))
    return {"rows": len(rows), "columns": columns}


def pairs(counts: Counter[int]) -> list[list[int]]:
    return [list(pair) for pair in sorted(counts.items())]


@given(ROWS, ROWS, ROWS)
def test_profiles_add_up_in_any_order_and_grouping(a: list[Row], b: list[Row], c: list[Row]) -> None:
    one, two, three = profile(a), profile(b), profile(c)
    whole = merge_profiles([profile(a + b + c)])
    assert merge_profiles([one, two, three]) == whole
    assert merge_profiles([three, one, two]) == whole
    assert merge_profiles([merge_profiles([one, two]), three]) == whole
    assert merge_profiles([one, merge_profiles([two, three])]) == whole


# Whatever is sampled has at least one value in its sample.
SIZES = st.tuples(st.integers(0, 10**7), st.floats(0.001, 1)).map(
    lambda p: (p[0], max(int(p[0] * p[1]), min(p[0], 1)))
)


def sampled(total: int, size: int) -> dict[str, Any]:
    values = [["a", total // 2], ["b", total - total // 2]]
    column = {"type": "text", "nulls": 0, "distinct": 2, "values": values, "other": 0}
    if size < total:
        column["sampled"] = size
    return {"rows": total, "columns": {"c": column}}


class TestSamples:
    @given(st.lists(SIZES, min_size=3, max_size=3))
    def test_evidence_adds_up_in_any_order_and_grouping(self, sizes: list[tuple[int, int]]) -> None:
        one, two, three = (sampled(*size) for size in sizes)
        ways = [
            merge_profiles([one, two, three]),
            merge_profiles([three, merge_profiles([two, one])]),
            merge_profiles([two, merge_profiles([three, one])]),
        ]
        evidence = [counted(way["columns"]["c"]) for way in ways]
        assert evidence == pytest.approx([evidence[0]] * 3)
        assert evidence[0] <= covered(ways[0]["columns"]["c"]) * (1 + 1e-9)

    def test_a_small_whole_part_does_not_make_a_sampled_one_surer(self) -> None:
        merged = merge_profiles([sampled(5_000_000, 200_000), sampled(200_000, 200_000)])["columns"]["c"]
        assert merged["sampled"] == pytest.approx(215_974, abs=1)
        assert covered(merged) == 5_200_000

    def test_whole_parts_stay_whole(self) -> None:
        assert "sampled" not in merge_profiles([sampled(10, 10), sampled(20, 20)])["columns"]["c"]

    @given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 10**9))
    def test_scaled_counts_are_shares_that_add_up(self, counts: list[int], total: int) -> None:
        size = sum(counts)
        result = scaled(counts, total)
        assert sum(result) == (total if size else 0)
        assert all(abs(r - c * total / size) <= 1 for r, c in zip(result, counts, strict=True) if size)


class TestDistinct:
    @pytest.mark.parametrize(
        "values", [[], [1], [1, 1], [*range(200), 7]], ids=["none", "one", "twice", "many"]
    )
    def test_few_values_are_counted_exactly(self, values: list[int]) -> None:
        assert distinct(sketch(values), total=len(values)) == len(set(values))

    def test_values_that_never_repeat_are_all_different(self) -> None:
        assert distinct(sketch(list(range(5000))), total=5000) == 5000
        assert distinct(sketch(list(range(5000))), total=80_000) == 80_000

    @pytest.mark.parametrize("many", [300, 3000, 30_000])
    def test_many_values_are_estimated_within_three_standard_errors(self, many: int) -> None:
        found = distinct(sketch([*range(many), *range(many)]), total=2 * many)
        assert found == pytest.approx(many, rel=0.19)


class TestMoments:
    def test_widths_nest(self) -> None:
        assert all(wide % narrow == 0 for narrow, wide in itertools.pairwise(WIDTHS))

    def test_every_moment_of_postgres_has_a_width(self) -> None:
        assert width_of(-210_866_803_200, 9_224_318_016_000) == WIDTHS[-1]
        assert (9_224_318_016_000 + 210_866_803_200) / WIDTHS[-1] < CELLS

    def test_years_of_five_digits_and_before_christ_are_in_order(self) -> None:
        def at(low: str, high: str) -> dict[str, Any]:
            column = {
                "type": "date",
                "kind": "temporal",
                "nulls": 0,
                "min": low,
                "max": high,
                "width": 1,
                "cells": [],
            }
            return {"rows": 1, "columns": {"d": column}}

        merged = merge_profiles([at("0044-03-15 BC", "2024-01-01"), at("0753-04-21 BC", "10000-01-01")])
        assert (merged["columns"]["d"]["min"], merged["columns"]["d"]["max"]) == (
            "0753-04-21 BC",
            "10000-01-01",
        )


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("character varying(20)", "text"),
        ("numeric(10,2)", "numeric"),
        ("timestamp(3) without time zone", "temporal"),
        ("interval", "other"),
        ("integer[]", "other"),
        ("boolean", "boolean"),
    ],
)
def test_a_type_has_a_kind(type_: str, kind: str) -> None:
    assert kind_of(type_) == kind

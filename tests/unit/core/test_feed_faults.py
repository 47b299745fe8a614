from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.feed_faults import feed_faults
from airflow_dataml.core.profiles import cells_of

if TYPE_CHECKING:
    from collections.abc import Sequence

GRID = (0.0, 200.0)


def numbers(values: Sequence[float | None], *, grid: tuple[float, float] = GRID) -> dict[str, Any]:
    there = [v for v in values if v is not None]
    cells = [[c, n] for c, n in sorted(cells_of(there, low=grid[0], high=grid[1]).items())] if there else []
    return {
        "type": "double precision", "kind": "numeric", "nulls": len(values) - len(there), "grid": list(grid),
        "cells": cells, "min": min(there, default=None), "max": max(there, default=None), "sum": sum(there),
        "squares": sum(v * v for v in there), "distinct": len(set(there)), "sketch": sketch(there),
    }  # fmt: skip


def sketch(values: Sequence[Any]) -> dict[str, Any]:
    seen: dict[int, int] = {}
    for value in values:
        key = hash(value) % 2**52
        seen[key] = seen.get(key, 0) + 1
    return {"n": len(values), "hashes": [[key, seen[key]] for key in sorted(seen)[:256]]}


def texts(counts: dict[str, int], *, nulls: int = 0, other: int = 0) -> dict[str, Any]:
    values = sorted(([v, n] for v, n in counts.items()), key=lambda pair: -int(pair[1]))
    return {
        "type": "text",
        "kind": "text",
        "nulls": nulls,
        "values": values,
        "other": other,
        "distinct": len(counts),
    }


def batch(**columns: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(columns.values()))
    there = sum(n for _, n in first["cells" if "cells" in first else "values"]) + first.get("other", 0)
    return {"rows": there + first["nulls"], "columns": columns}


def drawn(seed: int, *, n: int = 4000, mean: float = 60.0, sd: float = 12.0) -> list[float]:
    draw = random.Random(seed)  # noqa: S311 - test data
    return [draw.gauss(mean, sd) for _ in range(n)]


def skewed(seed: int, *, n: int = 4000, factor: float = 1.0) -> list[float]:
    draw = random.Random(seed)  # noqa: S311 - test data
    return [draw.lognormvariate(2, 0.5) * factor for _ in range(n)]


def kinds(reference: Sequence[dict[str, Any]], now: dict[str, Any], **said: Any) -> list[str]:
    return [fault.kind for fault in feed_faults(reference, now, columns=list(now["columns"]), **said)]


LEARNT = [batch(x=numbers(skewed(seed))) for seed in (1, 2)]


class TestUnits:
    @pytest.mark.parametrize("factor", [1.609344, 1 / 1.609344, 2.2046226, 100.0, 1000.0, 0.01, 1 / 60])
    def test_a_factor_that_people_convert_by(self, factor: float) -> None:
        [fault] = feed_faults(LEARNT, batch(x=numbers(skewed(3, factor=factor))), columns=["x"])
        assert (fault.kind, fault.column) == ("unit_change", "x")
        assert fault.confidence >= 0.85

    @pytest.mark.parametrize(("factor", "shift"), [(1.8, 32.0), (1.0, 100.0 + 173.15)], ids=["F", "K"])
    def test_a_temperature_even_in_another_season(self, factor: float, shift: float) -> None:
        learnt = [batch(x=numbers(drawn(seed, mean=12, sd=6), grid=(-20, 60))) for seed in (1, 2)]
        now = [v * factor + shift for v in drawn(3, mean=17, sd=6)]
        assert kinds(learnt, batch(x=numbers(now, grid=(-20, 60)))) == ["unit_change"]

    @pytest.mark.parametrize("factor", [1.0, 1.05, 1.2, 1.45, 0.75], ids=str)
    def test_a_world_that_grows_by_what_nobody_converts_by(self, factor: float) -> None:
        assert kinds(LEARNT, batch(x=numbers(skewed(3, factor=factor)))) == []

    @pytest.mark.parametrize(
        "now",
        [
            drawn(3, mean=72),
            drawn(3, mean=100),
            drawn(3, sd=20),
            drawn(3, mean=60, n=2100) + drawn(4, mean=97, n=2000),
        ],
        ids=["warmer", "much more", "wider", "two groups"],
    )
    def test_a_world_that_moves_keeps_its_unit(self, now: list[float]) -> None:
        learnt = [batch(x=numbers(drawn(seed))) for seed in (1, 2)]
        assert kinds(learnt, batch(x=numbers(now))) == []

    def test_by_degrees_a_world_may_go_far(self) -> None:
        learnt = [batch(x=numbers(drawn(seed))) for seed in (1, 2)]
        for step in range(1, 12):
            assert kinds(learnt, batch(x=numbers(drawn(step + 5, mean=60 + 10 * step)))) == []


class TestNulls:
    def test_a_burst(self) -> None:
        values = [None if i % 2 else v for i, v in enumerate(skewed(3))]
        assert kinds(LEARNT, batch(x=numbers(values))) == ["null_burst"]

    def test_a_column_that_never_came(self) -> None:
        assert kinds(LEARNT, batch(x=numbers([None] * 4000))) == ["null_burst"]

    @pytest.mark.parametrize("missing", [0.02, 0.08, 0.14], ids=str)
    def test_a_little_more_is_drift(self, missing: float) -> None:
        values = [None if i < missing * 4000 else v for i, v in enumerate(skewed(3))]
        assert kinds(LEARNT, batch(x=numbers(values))) == []

    def test_what_is_mostly_missing_may_be_so_more(self) -> None:
        half = [batch(x=numbers([None if i % 2 else v for i, v in enumerate(skewed(s))])) for s in (1, 2)]
        assert (
            kinds(half, batch(x=numbers([None if i % 10 < 7 else v for i, v in enumerate(skewed(3))]))) == []
        )


class TestCategories:
    LEARNT = (
        batch(c=texts({"UA": 1000, "AA": 500, "DL": 300, "9E": 30})),
        batch(c=texts({"UA": 1050, "AA": 480, "DL": 310, "9E": 25})),
    )

    def renamed(self, **counts: int) -> list[str]:
        return kinds(self.LEARNT, batch(c=texts(counts)))

    def test_one_goes_by_another_name(self) -> None:
        [fault] = feed_faults(
            self.LEARNT, batch(c=texts({"UA": 1010, "American": 510, "DL": 290})), columns=["c"]
        )
        assert fault.kind == "category_rename"
        assert "'AA' (26.5%) and 'American' (28.2%)" in fault.evidence

    def test_all_in_other_letters(self) -> None:
        assert self.renamed(ua=990, aa=470, dl=320, **{"9e": 31}) == ["category_rename"]

    def test_one_leaves_and_the_others_take_over(self) -> None:
        assert self.renamed(UA=1300, DL=500) == []

    def test_one_leaves_and_a_new_one_has_a_share_of_its_own(self) -> None:
        assert self.renamed(UA=1000, DL=300, B6=150) == []

    def test_a_new_one_beside_the_others(self) -> None:
        assert self.renamed(UA=1000, AA=500, DL=300, B6=150) == []

    def test_values_of_a_batch_alone_are_none(self) -> None:
        learnt = [batch(c=texts({f"2026-0{month}": 1000})) for month in (1, 2)]
        assert kinds(learnt, batch(c=texts({"2026-03": 1000}))) == []
        assert kinds(learnt[:1], batch(c=texts({"2026-03": 1000}))) == []


class TestRows:
    def test_twice(self) -> None:
        values = skewed(3)
        assert kinds(LEARNT, batch(x=numbers([*values, *values[:1200]]))) == ["duplicated_join"]

    def test_a_key_that_stays_unique_tells_that_they_are_not(self) -> None:
        keyed = [
            batch(id=numbers([i + 9000.0 * s for i in range(4000)]), x=numbers(skewed(s))) for s in (1, 2)
        ]
        rounded = [float(round(v)) for v in skewed(3)]
        now = batch(id=numbers([i + 90_000.0 for i in range(4000)]), x=numbers(rounded))
        assert [f.kind for f in feed_faults(keyed, now, columns=["x"])] == []

    @pytest.mark.parametrize(
        ("rows", "expected"), [(3000, []), (2100, []), (1500, ["rows_missing"]), (200, ["rows_missing"])]
    )
    def test_missing(self, rows: int, expected: list[str]) -> None:
        assert kinds(LEARNT, batch(x=numbers(skewed(3, n=rows)))) == expected

    def test_the_batches_before_say_how_many_there_are(self) -> None:
        now = batch(x=numbers(skewed(3, n=1500)))
        assert kinds(LEARNT, now, earlier_rows=[4000, 1400, 4000]) == []

    def test_nothing_came(self) -> None:
        assert kinds(LEARNT, {"rows": 0, "columns": {}}) == []


class TestConstant:
    def test_one_value(self) -> None:
        assert kinds(LEARNT, batch(x=numbers([7.5] * 4000))) == ["constant_column"]

    def test_a_month_is_constant_in_every_month(self) -> None:
        learnt = [batch(x=numbers([float(month)] * 1000)) for month in (1, 2)]
        assert kinds(learnt, batch(x=numbers([3.0] * 1000))) == []

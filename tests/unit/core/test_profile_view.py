"""Profiles as people look at them: few bars, no fine cells, and no value that should stay unseen."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.profile_view import BARS, FEW, chart, column_view, columns_view, version_profile
from airflow_dataml.core.profiles import CELLS

KM: dict[str, Any] = {
    "type": "double precision", "kind": "numeric", "nulls": 0, "min": 0.0, "max": 9.0, "sum": 9.0, "squares": 81.0,
    "grid": [0.0, 1024.0], "cells": [[0, 1], [1, 2], [40, 3], [CELLS + 1, 4]], "distinct": 4,
}  # fmt: skip
DAY: dict[str, Any] = {
    "type": "date", "kind": "temporal", "nulls": 0, "min": "2013-01-01", "max": "2013-01-03",
    "width": 86400, "cells": [[15706, 2], [15708, 1]], "distinct": 2,
}  # fmt: skip
KIND: dict[str, Any] = {"type": "text", "kind": "text", "nulls": 0, "distinct": 2, "values": [["car", 2], ["bike", 1]], "other": 0}  # fmt: skip


def _part(number: int, columns: dict[str, dict[str, Any]], rows: int = 3) -> Part:
    return Part(
        number, "rides", f"d.p{number}", tuple(Column(n, c["type"]) for n, c in columns.items()), Fingerprint(rows),
        profile={"rows": rows, "columns": columns},
    )  # fmt: skip


class TestChart:
    def test_numbers_come_in_few_bars_and_what_lies_beyond_is_counted(self) -> None:
        bars = chart(KM)
        assert bars is not None
        assert (sum(bars["counts"][0]), bars["below"], bars["above"]) == (5, [1], [4])
        assert (bars["low"], bars["high"], len(bars["counts"][0])) == (0.0, 40.0, 20)

    def test_bars_are_never_more_than_a_page_has_room_for(self) -> None:
        bars = chart(KM | {"cells": [[cell, 1] for cell in range(1, CELLS + 1)]})
        assert bars is not None
        assert (len(bars["counts"][0]), sum(bars["counts"][0])) == (BARS, CELLS)

    def test_integers_fall_into_bars_of_equally_many(self) -> None:
        fine = [1 + int(n / 55 * CELLS) for n in range(55)]
        bars = chart(KM | {"type": "bigint", "grid": [0.0, 55.0], "cells": [[cell, 1] for cell in fine]})
        assert bars is not None
        assert bars["counts"] == [[2] * 27 + [1]]

    def test_moments_are_seconds(self) -> None:
        bars = chart(DAY)
        assert bars is not None
        assert (bars["kind"], bars["low"], bars["counts"]) == ("moment", 15706 * 86400, [[2, 0, 1]])

    def test_two_versions_share_their_bars(self) -> None:
        wide = DAY | {"width": 604800, "cells": [[2244, 5]]}
        bars = chart(DAY, wide)
        assert bars is not None
        assert bars["counts"] == [[2, 1], [0, 5]]
        assert chart(None, KM) == {
            "kind": "number",
            "low": 0.0,
            "high": 40.0,
            "counts": [[0] * 20, [2, *[0] * 18, 3]],
            "below": [0, 1],
            "above": [0, 4],
        }

    def test_values_are_in_the_order_of_their_share(self) -> None:
        other = KIND | {"values": [["tram", 3]], "distinct": 1}
        assert chart(KIND, other) == {
            "kind": "values",
            "names": ["tram", "car", "bike"],
            "counts": [[0, 2, 1], [3, 0, 0]],
            "other": [0, 0],
        }

    @pytest.mark.parametrize(
        ("sides", "masked"),
        [
            pytest.param([KIND], True, id="masked"),
            pytest.param([KIND | {"distinct": FEW + 1}], False, id="many values"),
            pytest.param([KIND | {"other": 1}], False, id="some values not known"),
            pytest.param([KIND, KM], False, id="of two kinds"),
            pytest.param([KM, KM | {"grid": [0.0, 1.0]}], False, id="on two grids"),
            pytest.param([None, None], False, id="nowhere"),
        ],
    )
    def test_what_cannot_or_may_not_be_drawn_is_not(self, sides: list[Any], masked: bool) -> None:
        assert chart(*sides, masked=masked) is None


class TestVersion:
    def test_parts_add_up_and_a_column_that_came_later_was_null_before(self) -> None:
        merged = version_profile([Column("km", "double precision"), Column("kind", "text")], [_part(1, {"km": KM}), _part(2, {"km": KM, "kind": KIND})])  # fmt: skip
        assert (merged["rows"], merged["columns"]["km"]["sum"], merged["columns"]["kind"]["nulls"]) == (
            6,
            18.0,
            3,
        )

    def test_a_column_that_some_part_says_nothing_of_is_left_out(self) -> None:
        parts = [_part(1, {"km": KM}), _part(2, {"km": KM | {"grid": [0.0, 1.0]}})]
        assert version_profile([Column("km", "double precision")], parts)["columns"] == {}
        bare = Part(3, "rides", "d.p3", (Column("km", "real"),), Fingerprint(1), profile={})
        assert version_profile([Column("km", "real")], [bare]) == {"rows": 1, "columns": {}}

    def test_a_masked_column_shows_counts_alone(self) -> None:
        [seen, told] = columns_view([Column("km", "double precision"), Column("x", "text")], {"rows": 10, "columns": {"km": KM}}, masked={"km"})  # fmt: skip
        assert not {"min", "max", "mean"} & seen.keys()
        assert (seen["distinct"], seen["chart"]) == (4, None)
        assert told == {"name": "x", "type": "text"}

    def test_nothing_is_divided_by_no_rows(self) -> None:
        view = column_view(KM | {"nulls": 0, "min": None, "max": None}, 0)
        assert (view["share"], view.get("mean")) == (0.0, None)

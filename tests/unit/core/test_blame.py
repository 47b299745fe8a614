"""Signs, ranking and verdicts of blame, on profiles and numbers alone."""

from __future__ import annotations

import random
from typing import Any

import pytest

from airflow_dataml.core.blame import BlamePolicy, Replay, Sign, Suspect, outcome_of, rank, summary_of
from airflow_dataml.core.blame_signs import signs_of
from airflow_dataml.core.profiles import cells_of

POLICY = BlamePolicy()
GRID = (0.0, 100.0)


def number(values: list[float | None], type_: str = "double precision") -> dict[str, Any]:
    known = [v for v in values if v is not None]
    cells = cells_of(known, low=GRID[0], high=GRID[1])
    return {
        "type": type_,
        "kind": "numeric",
        "nulls": len(values) - len(known),
        "min": min(known),
        "max": max(known),
        "sum": sum(known),
        "squares": sum(v * v for v in known),
        "grid": list(GRID),
        "cells": [[cell, n] for cell, n in sorted(cells.items())],
        "distinct": len(set(known)),
    }


def text(values: list[str]) -> dict[str, Any]:
    counts = {v: values.count(v) for v in dict.fromkeys(values)}
    top = sorted(counts.items(), key=lambda one: -one[1])
    return {
        "type": "text",
        "kind": "text",
        "nulls": 0,
        "distinct": len(counts),
        "values": [list(one) for one in top],
        "other": 0,
    }


def profile(**columns: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(columns.values()))
    counted = first.get("cells", first.get("values"))
    return {"rows": first["nulls"] + sum(n for _, n in counted), "columns": columns}


def month(seed: int, *, at: float = 50.0, spread: float = 5.0, rows: int = 800) -> list[float | None]:
    draw = random.Random(seed)  # noqa: S311 - test data
    return [draw.gauss(at, spread) for _ in range(rows)]


class TestSigns:
    def test_a_month_like_the_others_shows_none(self) -> None:
        earlier = [profile(temp=number(month(i))) for i in range(4)]
        assert signs_of(profile(temp=number(month(9))), earlier, policy=POLICY) == ()

    def test_another_unit_is_one(self) -> None:
        earlier = [profile(temp=number(month(i))) for i in range(4)]
        [sign] = signs_of(profile(temp=number(month(9, at=80))), earlier, policy=POLICY)
        assert (sign.column, sign.kind) == ("temp", "values")
        assert sign.usual is not None
        assert sign.usual < 0.1
        assert "values of temp moved: PSI" in sign.text

    def test_what_moves_every_month_may_move_once_more(self) -> None:
        earlier = [profile(temp=number(month(i, at=45.0 + 4 * (i % 3)))) for i in range(6)]
        assert signs_of(profile(temp=number(month(9, at=56))), earlier, policy=POLICY) == ()

    def test_missing_values(self) -> None:
        now: list[float | None] = [None if at % 2 else v for at, v in enumerate(month(9))]
        [sign] = signs_of(
            profile(temp=number(now)), [profile(temp=number(month(i))) for i in range(3)], policy=POLICY
        )
        assert (sign.column, sign.kind) == ("temp", "missing")

    def test_a_number_of_rows_and_keys_that_occur_twice(self) -> None:
        def ids(first: int, again: int = 0) -> dict[str, Any]:
            return text([f"k{first + at}" for at in range(300)] + [f"k{first + at}" for at in range(again)])

        earlier = [profile(id=ids(1000 * i)) for i in range(3)]
        found = signs_of(profile(id=ids(9000, again=200)), earlier, policy=POLICY)
        assert {sign.kind for sign in found} == {"rows", "uniqueness"}
        assert {sign.text for sign in found} >= {"167% of the rows there were before"}
        assert signs_of(profile(id=ids(9000)), earlier, policy=POLICY) == ()

    @pytest.mark.parametrize(
        ("sizes", "now", "ratio"),
        [
            ((1000, 200, 800, 300, 600, 400), 210, None),
            ((1000, 980, 300, 1000), 320, None),
            ((200, 1000, 300, 800, 400, 600), 1500, None),
            ((100, 200, 400, 800), 1100, None),
            ((800, 810, 805), 300, 300 / 805),
        ],
        ids=["as before", "once before", "in turns", "growing", "fewer than ever"],
    )
    def test_a_number_of_rows_that_is_usual(
        self, sizes: tuple[int, ...], now: int, ratio: float | None
    ) -> None:
        def rows(n: int) -> dict[str, Any]:
            return profile(kind=text(["a", "b"] * (n // 2) + ["a"] * (n % 2)))

        found = signs_of(rows(now), [rows(n) for n in sizes], policy=POLICY)
        assert [(s.kind, s.size) for s in found] == ([("rows", ratio)] if ratio else [])

    def test_a_column_that_is_gone_or_of_another_type(self) -> None:
        earlier = [profile(temp=number(month(1)), kind=text(["a", "b"] * 400))]
        now = profile(kind=number(month(2)))
        assert {(s.column, s.kind) for s in signs_of(now, earlier, policy=POLICY)} == {
            ("temp", "gone"),
            ("kind", "type"),
        }

    def test_the_month_of_a_monthly_batch_is_no_sign(self) -> None:
        earlier = [profile(month=text([f"2026-0{i}"] * 500)) for i in range(1, 5)]
        assert signs_of(profile(month=text(["2026-06"] * 500)), earlier, policy=POLICY) == ()

    def test_without_a_past_nothing_is_usual(self) -> None:
        assert signs_of(profile(temp=number(month(1))), [], policy=POLICY) == ()


def suspect(
    version: str,
    *,
    share: tuple[float, float, float] | None = None,
    psi: float = 0.0,
    tested: bool = True,
) -> Suspect:
    replay = None
    if share is not None:
        low, mean, high = share
        replay = Replay(
            "mapped values", "values of t mapped back", "loss", mean, low, high, 0.3, 0.6, 0.3, 500
        )
    return Suspect(
        asset=version.partition("@")[0],
        version=version,
        version_id=1,
        part_id=1,
        batch="2026-06",
        change="new batch",
        at="2026-07-01T00:00:00+00:00",
        depth=1,
        columns=("t",),
        signs=(Sign("t", "values", psi, usual=0.1),) if psi else (),
        replay=replay,
        tested=tested,
    )


class TestRanking:
    def test_confirmed_first_then_by_share_then_by_evidence_and_ruled_out_last(self) -> None:
        ruled_out = suspect("d@1", share=(-0.1, 0.0, 0.1), psi=9.0)
        confirmed, likely = suspect("a@1", share=(0.7, 0.9, 1.0), psi=0.3), suspect("b@1", psi=5.0)
        quiet = suspect("c@1")
        ranked = rank([quiet, ruled_out, likely, confirmed], POLICY)
        assert [one.version for one in ranked] == ["a@1", "b@1", "c@1", "d@1"]

    @pytest.mark.parametrize(
        ("suspects", "outcome", "words"),
        [
            ([suspect("a@1", share=(0.7, 0.9, 1.0), psi=2.0)], "confirmed", "explains 90% [70%, 100%] of the loss"),
            ([suspect("a@1", share=(0.1, 0.5, 0.9), psi=2.0)], "not confirmed", "suspected and not confirmed"),
            ([suspect("a@1", psi=2.0)], "not confirmed", "suspected and not confirmed"),
            ([suspect("a@1", share=(-0.1, 0.0, 0.1), psi=2.0)], "no data cause found", "1 version changes upstream"),
            ([suspect("a@1")], "no data cause found", "none explains it"),
            ([suspect("a@1", tested=False)], "not confirmed", "could not be ruled out by a test"),
            ([suspect("a@1", share=(-0.1, 0.0, 0.1), tested=False)], "no data cause found", "none explains it"),
            ([], "no data cause found", "nothing upstream changed"),
        ],
        ids=["confirmed", "open", "not replayed", "ruled out", "no sign", "not tested", "only replayed", "nothing"],
    )  # fmt: skip
    def test_outcomes(self, suspects: list[Suspect], outcome: str, words: str) -> None:
        ranked = rank(suspects, POLICY)
        found = outcome_of(ranked, POLICY)
        assert found == outcome
        assert words in summary_of(ranked, found)

    def test_what_an_incident_remembers(self) -> None:
        line = suspect("a@1", share=(0.7, 0.9, 1.0), psi=2.0).line(POLICY)
        assert line == {
            "version": "a@1",
            "batch": "2026-06",
            "change": "new batch",
            "confirmed": True,
            "evidence": "values of t moved: PSI 2, at most 0.1 before",
            "explains": "90% of the loss",
            "interval": "70% to 100%",
            "replayed_by": "mapped values",
        }
        kept = suspect("a@1", psi=2.0).with_replay(None, "the rows are gone")
        assert kept.line(POLICY)["not_replayed"] == "the rows are gone"

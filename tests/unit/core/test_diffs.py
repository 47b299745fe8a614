"""What is between two versions, and how it is told."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.diff_text import summary, to_markdown, to_text
from airflow_dataml.core.diffs import (
    VersionDiff,
    VersionSide,
    common_columns,
    distribution_deltas,
    masked,
)
from airflow_dataml.core.rollbacks import path_of
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.core.stores import ColumnDelta, RowDiff

OLD = (Column("id", "integer"), Column("km", "real"), Column("mail", "text"))
NEW = (*OLD[:1], Column("km", "double precision"), OLD[2], Column("note", "text"))


def number(rows, *, total, grid=(0.0, 10.0), cells=((1, 1),), squares=None, nulls=0):
    column = {"kind": "numeric", "nulls": nulls, "min": 0, "max": 9, "sum": total, "distinct": 3}
    column |= {
        "squares": total**2 if squares is None else squares,
        "grid": list(grid),
        "cells": [list(c) for c in cells],
    }
    return {"rows": rows, "columns": {"km": column}}


def diff(**changes):
    rows = RowDiff(
        keys=("id",),
        inserted=1,
        updated=2,
        deleted=1,
        columns=(ColumnDelta("km", 2), ColumnDelta("mail", 1)),
        samples={
            "inserted": [{"id": "4", "km": "4", "mail": None}],
            "updated": [[{"id": "2", "km": "2", "mail": "a@b"}, {"id": "2", "km": "2.5", "mail": "c@d"}]],
            "deleted": [{"id": "3", "km": "3", "mail": "|<img src=x>|"}],
        },
        read_parts=(7, 8),
        shared_parts=16,
    )
    said = {
        "old": VersionSide("rides@16", 1000, "pg2-a"),
        "new": VersionSide("rides@17", 1000, "pg2-b"),
        "schema": diff_schemas(OLD, NEW),
        "rows": rows,
        "columns": distribution_deltas(
            number(2, total=4), number(2, total=6, cells=[(2, 1)]), columns=["km"]
        ),
    }
    return VersionDiff(**(said | changes))


@pytest.mark.parametrize(
    ("old", "new", "common"),
    [
        ("integer", "bigint", "bigint"),
        ("bigint", "integer", "bigint"),
        ("integer", "numeric(10,2)", "numeric"),
        ("numeric(10,2)", "real", "double precision"),
        ("character varying(5)", "text", "text"),
        ("date", "boolean", "text"),
        ("integer[]", "numeric[]", "text"),
        ("jsonb", "jsonb", "jsonb"),
    ],
    ids=lambda v: v,
)
def test_the_type_two_versions_are_compared_in_holds_the_values_of_both(old, new, common):
    assert common_columns([Column("a", old)], [Column("a", new)]) == (Column("a", common),)


def test_mean_and_spread_come_from_sums():
    (delta,) = distribution_deltas(
        number(4, total=8, squares=24), number(4, total=8, squares=16), columns=["km"]
    )
    assert (delta.old.mean, round(delta.old.std, 4), delta.new.std) == (2.0, 1.4142, 0.0)


def test_a_moved_histogram_has_a_stability_index():
    same, other = ([(1, 500), (2, 500)], [(1, 300), (2, 700)])
    still = distribution_deltas(
        number(1000, total=1, cells=same), number(1000, total=1, cells=same), columns=["km"]
    )
    moved = distribution_deltas(
        number(1000, total=1, cells=same), number(1000, total=1, cells=other), columns=["km"]
    )
    assert (still[0].psi, still[0].moved) == (0.0, False)
    assert moved[0].psi == pytest.approx(0.169, abs=0.01)


def test_histograms_on_other_edges_are_not_compared():
    (delta,) = distribution_deltas(number(1, total=1), number(1, total=1, grid=(0.0, 20.0)), columns=["km"])
    assert delta.psi is None


def test_a_new_column_has_no_old_numbers():
    (delta,) = distribution_deltas({"rows": 1, "columns": {}}, number(1, total=1), columns=["km", "gone"])
    assert (delta.column, delta.old, delta.psi, delta.moved) == ("km", None, None, True)


def test_it_is_json():
    data = json.loads(json.dumps(diff().to_dict()))
    assert (data["same"], data["rows"]["updated"], data["schema"]["class"]) == (False, 2, "compatible")


def test_equal_versions_are_one_sentence():
    equal = diff(schema=diff_schemas(OLD, OLD), rows=RowDiff(("id",), 0, 0, 0), columns=())
    assert equal.same
    assert to_text(equal) == "rides@16 -> rides@17: equal in schema and content."


def test_rows_that_were_not_compared_are_not_called_equal():
    unread = diff(schema=diff_schemas(OLD, OLD), rows=None, unread="retention collected them")
    assert not unread.same
    assert summary(unread) == "1,000 -> 1,000 rows; rows were not compared: retention collected them."


def test_text_names_everything_once():
    text = to_text(diff())
    for words in (
        "rides@16 -> rides@17: 1,000 -> 1,000 rows; 2 schema changes, compatible; 1 inserted, 2 updated, 1 deleted;",
        "2 parts read, 16 shared ones not.",
        "  additive: note text is new",
        "  compatible: km was real and is double precision",
        "rows matched by id",
        "  changed columns: km 2, mail 1",
        "  + id=4, km=4, mail=null",
        "  ~ id=2: km 2 -> 2.5; mail a@b -> c@d",
        "  - id=3, km=3",
        "distributions",
        "2 -> 3",
    ):
        assert words in text


def test_a_value_cannot_move_the_cursor_or_fill_the_screen():
    rows = RowDiff((), 1, 0, 0, samples={"inserted": [{"a": "x\x1b[2J\ny", "b": "z" * 100}]})
    text = to_text(diff(rows=rows, columns=()))
    assert "a=x [2J y" in text
    assert "z" * 57 + "..." in text
    assert "z" * 58 not in text


def test_markdown_values_are_no_markup():
    text = to_markdown(diff())
    assert "### rides@\u200b16 → rides@\u200b17" in text
    assert "- deleted: id=3, km=3, mail=\\|\\<img src=x\\>\\|" in text
    assert "| additive | note text is new |" in text
    assert "| km | 2 |" in text
    assert "<details><summary>Distributions</summary>" in text
    assert "<img" not in text.replace("\\<", "")


def test_masked_values_are_nowhere():
    hidden = masked(diff(), ["mail", "km", "other"])
    for text in (to_text(hidden), to_markdown(hidden), json.dumps(hidden.to_dict())):
        assert not any(secret in text for secret in ("a@b", "a@\u200bb", "c@d", "2.5", "img"))
        assert "***" in text.replace("\\", "")
    assert hidden.masked == ("km", "mail", "other")
    assert hidden.rows.samples["inserted"][0] == {"id": "4", "km": "***", "mail": None}
    assert "~ id=2: only masked or long values differ" in to_text(hidden)
    assert masked(diff(), []) == diff()


@pytest.mark.parametrize(
    ("moves", "path"),
    [
        ([], ()),
        ([1, 2, 3], (1, 2, 3)),
        ([1, 2, 3, 2], (1, 2)),
        ([1, 2, 3, 2, 1], (1,)),
        ([1, 2, 3, 1, 3], (1, 3)),
        ([1, None, 2], (2,)),
    ],
    ids=str,
)
def test_going_back_shortens_the_path(moves, path):
    assert path_of(moves) == path

"""Schema evolution: what a change means for readers."""

from __future__ import annotations

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.schemas import ChangeClass, diff_schemas, evolve, normal_type, widens

A = Column("a", "integer")


@pytest.mark.parametrize(
    ("old", "new", "yes"),
    [
        ("smallint", "bigint", True),
        ("int4", "bigint", True),
        ("bigint", "integer", False),
        ("integer", "double precision", False),
        ("integer", "numeric", False),
        ("real", "float8", True),
        ("varchar(5)", "character varying(6)", True),
        ("varchar(5)", "varchar", True),
        ("varchar", "varchar(5)", False),
        ("text", "varchar(5)", False),
        ("numeric(10,2)", "numeric(11,2)", True),
        ("numeric(10,2)", "numeric(11,3)", True),
        ("numeric(10,2)", "numeric(10,3)", False),
        ("numeric", "numeric(10,2)", False),
        ("timestamptz", "timestamp with time zone", True),
        ("timestamp", "timestamptz", False),
        ("integer[]", "bigint[]", True),
        ("integer", "integer[]", False),
        ("date", "date", True),
    ],
    ids=str,
)
def test_a_wider_type_holds_every_value(old: str, new: str, yes: bool) -> None:
    assert widens(old, new) is yes


@pytest.mark.parametrize(
    ("new", "expected", "said"),
    [
        ([A], ChangeClass.ADDITIVE, []),
        ([A, Column("b", "text")], ChangeClass.ADDITIVE, ["b text is new"]),
        ([Column("a", "bigint")], ChangeClass.COMPATIBLE, ["a was integer and is bigint"]),
        ([Column("a", "text")], ChangeClass.BREAKING, ["a was integer and is text"]),
        ([Column("b", "text")], ChangeClass.BREAKING, ["a integer is gone", "b text is new"]),
    ],
    ids=["same", "added", "widened", "retyped", "replaced"],
)
def test_a_change_is_as_bad_as_its_worst_column(
    new: list[Column], expected: ChangeClass, said: list[str]
) -> None:
    diff = diff_schemas([A], new)
    assert diff.change is expected
    assert [change.sentence for change in diff.changes] == said


def test_another_order_is_compatible() -> None:
    b = Column("b", "text")
    assert diff_schemas([A, b], [b, A]).change is ChangeClass.COMPATIBLE


def test_readers_keep_their_order_and_their_wider_type() -> None:
    current = [Column("a", "bigint"), Column("b", "text"), Column("c", "date")]
    batch = [Column("d", "text"), Column("b", "text"), Column("a", "integer")]
    assert evolve(current, batch) == (Column("a", "bigint"), Column("b", "text"), Column("d", "text"))


def test_the_first_batch_gives_the_schema() -> None:
    assert evolve([], [A]) == (A,)


@pytest.mark.parametrize("text", ["timestamp(3) with time zone", "timestamptz(3)"])
def test_sizes_may_stand_inside_a_name(text: str) -> None:
    assert normal_type(text) == ("timestamp with time zone", (3,), "")

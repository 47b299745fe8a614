from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.layout import Grant, Index, Layout
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = Layout(
    indexes=(
        Index(columns=("km",), method="brin"),
        Index(columns=("kind", "km"), unique=True, where="km > 0"),
        Index(columns=("kind",), definition="USING btree (lower(kind))"),
    ),
    keys=("id",),
    defaults={"at": "now()"},
    comment="rides",
    column_comments={"km": "length"},
    grants=(Grant(role="analyst", grantable=True), Grant(role="PUBLIC", privileges=("SELECT", "REFERENCES"))),
    partition_column="day",
)


@pytest.mark.parametrize("layout", [Layout(), FULL], ids=["empty", "full"])
def test_a_layout_survives_the_ledger(layout: Layout) -> None:
    assert Layout.from_location({"table": "public.rides"} | layout.to_location()) == layout


def test_what_is_not_said_is_not_kept() -> None:
    assert Layout().to_dict() == {}
    assert Layout(keys=("id",)).to_dict() == {"keys": ["id"]}
    assert Layout.from_location({}) == Layout()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Layout(key=("id",)), r"key: Extra inputs .* Layout takes indexes, keys"),
        (lambda: Layout(keys=("id", "id")), "name each once"),
        (lambda: Layout(keys=("",)), "0 bytes long"),
        (lambda: Layout(keys="id"), "keys"),
        (lambda: Layout(defaults={"a": " "}), "is empty; write an SQL expression"),
        (lambda: Layout(defaults={"é" * 32: "1"}), "64 bytes long"),
        (lambda: Layout(indexes=[Index(columns=["a"]), Index(columns=["a"])]), "listed twice"),
        (lambda: Index(columns=()), "at least 1 item"),
        (lambda: Index(columns=("a",), unique="yes"), "valid boolean"),
        (lambda: Index(columns=("a",), method="btre"), "'btree', 'hash'"),
        (lambda: Index(columns=("a",), method="gin", unique=True), "cannot be unique; use method='btree'"),
        (lambda: Index(columns=("a", "b"), method="hash"), "over one column"),
        (lambda: Index(columns=("a",), definition="btree (a)"), "begins with USING"),
        (lambda: Index(columns=("a",), definition="USING btree (a)", where="a > 1"), "leave out"),
        (lambda: Grant(role="x", privileges=("READ",)), "'SELECT'"),
        (lambda: Grant(role=""), "0 bytes long"),
        (lambda: Layout.from_location({"layout": ["x"]}), "declare the dataset's layout anew"),
    ],
)
def test_what_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        make()


class TestPartIndexes:
    def test_keys_give_a_unique_index(self) -> None:
        assert Layout(keys=("a", "b")).part_indexes == (Index(columns=("a", "b"), unique=True),)

    def test_one_that_is_declared_is_enough(self) -> None:
        declared = Index(columns=("a",), unique=True)
        assert Layout(keys=("a",), indexes=(declared,)).part_indexes == (declared,)

    def test_a_partial_one_is_not(self) -> None:
        partial = Index(columns=("a",), unique=True, where="b > 0")
        assert len(Layout(keys=("a",), indexes=(partial,)).part_indexes) == 2

    def test_names_fit_and_differ_by_index_and_part(self) -> None:
        parts = [Relation("dataml_data", "é" * 31), Relation("dataml_data", "é" * 30 + "x")]
        names = [index.name_on(part) for index in FULL.part_indexes for part in parts]
        assert len(set(names)) == len(names) == 8
        assert max(len(name.encode()) for name in names) <= 63
        assert names == [index.name_on(part) for index in FULL.part_indexes for part in parts]


class TestCheck:
    def test_columns_that_are_there(self) -> None:
        assert FULL.check({"id", "km", "kind", "at", "day"}) is FULL

    @pytest.mark.parametrize("missing", ["id", "km", "kind", "at", "day"])
    def test_a_column_that_is_not(self, missing: str) -> None:
        with pytest.raises(SpecError, match=f"'{missing}' does not exist"):
            FULL.check({"id", "km", "kind", "at", "day"} - {missing})

    def test_the_closest_name_is_said(self) -> None:
        with pytest.raises(SpecError, match=r"layout's keys names a column: 'idd' .* Did you mean 'id'"):
            Layout(keys=("idd",)).check(["id", "km"])

"""Maps of columns: equal content is equal, and what goes to JSON comes back."""

from __future__ import annotations

import doctest

import pytest

from airflow_dataml.adapters.postgres import analyzer_nodes, analyzer_text
from airflow_dataml.core import column_flows, column_lineage
from airflow_dataml.core.column_flows import Output, combine
from airflow_dataml.core.column_lineage import ColumnMap, ColumnSource, QueryLineage
from airflow_dataml.steps import column_maps

READ = QueryLineage(
    outputs=(
        ("n", (ColumnSource("s.t", "a"), ColumnSource("s.u", "b", "indirect", "condition"))),
        ("m", (ColumnSource("s.t", "a"),)),
    ),
    inputs=("s.t", "s.u"),
    target=None,
    method="analyzer",
    confidence=1.0,
    indirect=(ColumnSource("s.t", "k", "indirect", "filter"),),
)


@pytest.mark.parametrize(
    "module",
    [analyzer_nodes, analyzer_text, column_flows, column_lineage, column_maps],
    ids=lambda m: m.__name__,
)
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_relation_gives_its_own_flows_alone() -> None:
    assert READ.column_map("s.t").mapping == [
        ["", "k", "indirect", "filter"],
        ["m", "a", "direct", "value"],
        ["n", "a", "direct", "value"],
    ]
    assert READ.column_map("s.u").mapping == [["n", "b", "indirect", "condition"]]
    assert READ.column_map("s.nothing").flows == ()


def test_the_same_mapping_has_the_same_address_in_any_order() -> None:
    one = ColumnMap((("a", "x", "direct", "value"), ("b", "y", "direct", "value")), "sqlglot", 0.95)
    other = ColumnMap(one.flows[::-1], "sqlglot", 0.95)
    assert one.digest == other.digest
    assert one.digest != ColumnMap(one.flows, "analyzer", 0.95).digest


def test_json_there_and_back() -> None:
    one = READ.column_map("s.t")
    assert ColumnMap.from_dict(one.to_dict()) == one


def test_several_maps_are_as_sure_as_the_least_sure() -> None:
    unsure = ColumnMap((), "table", 0.3)
    both = ColumnMap.merged([ColumnMap.declared([("a", "x")]), unsure])
    assert (both.method, both.confidence, len(both.flows)) == ("table", 0.3, 1)


def test_lineage_as_json() -> None:
    data = READ.to_dict()
    assert data["outputs"][1] == {
        "column": "m",
        "sources": [{"relation": "s.t", "column": "a", "kind": "direct", "via": "value"}],
    }
    assert READ.direct() == {"n": (("s.t", "a"),), "m": (("s.t", "a"),)}


def test_what_is_subtracted_only_decides() -> None:
    left = Output(("a",), (frozenset({("l", "a", "value")}),))
    right = Output(("b",), (frozenset({("r", "b", "value")}),), frozenset({("r", "k", "filter")}))
    both = combine(left, right, subtracts=True)
    assert both.columns == (frozenset({("l", "a", "value"), ("r", "b", "filter")}),)
    assert both.rows == {("r", "k", "filter")}

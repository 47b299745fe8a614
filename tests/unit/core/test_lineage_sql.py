from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.adapters.sqlglot.parser import SqlglotParser
from airflow_dataml.core.lineage_sql import SqlReading
from airflow_dataml.core.openlineage import read_event
from tests.lineage_events import out, run_event, schema, table


def amended(
    sql: str, inputs: list[Any], outputs: list[Any], catalog: dict[str, list[str]] | None = None
) -> Any:
    event = read_event(run_event("COMPLETE", 1, inputs=inputs, outputs=outputs, sql={"query": sql}))

    def schemas_of(asked: Any) -> Any:
        known = {name: tuple((c, "int") for c in columns) for name, columns in (catalog or {}).items()}
        return {one: known[one.name] for one in asked if one.name in known}

    [found] = SqlReading(SqlglotParser()).amend([event], schemas_of=schemas_of)
    return found


def names(datasets: Any) -> list[str]:
    return [seen.name.name.rpartition(".")[2] for seen in datasets]


def test_columns_come_from_the_statement_and_not_from_the_event() -> None:
    found = amended(
        "INSERT INTO sales (total) SELECT amount * 2 FROM orders WHERE day > 3",
        [table("orders", schema=schema("amount", "day"))], [out("sales", schema=schema("total"))],
    )  # fmt: skip
    [claim] = found.claims
    assert {(f.src_column, f.dst_column, f.kind, f.method) for f in claim.columns} == {
        ("amount", "total", "direct", "sqlglot"), ("day", "", "indirect", "sqlglot"),
    }  # fmt: skip
    assert claim.complete


@pytest.mark.parametrize(
    "sql",
    ["UPDATE sales SET total = 0", "DELETE FROM sales WHERE total = 0",
     "MERGE INTO sales USING orders ON total = amount WHEN MATCHED THEN UPDATE SET total = amount"],
    ids=["update", "delete", "merge"],
)  # fmt: skip
def test_a_change_in_place_reads_its_target(sql: str) -> None:
    found = amended(sql, [table("orders", schema=schema("amount"))], [out("sales", schema=schema("total"))])
    assert "sales" in names(found.inputs)
    assert names(found.outputs) == ["sales"]


def test_what_the_parser_does_not_understand_stays_as_it_was() -> None:
    found = amended("CALL do_it('now')", [table("orders")], [out("sales")])
    assert (names(found.inputs), names(found.outputs), found.claims) == (["orders"], ["sales"], ())


def test_a_table_that_is_emptied_and_filled_does_not_come_from_itself() -> None:
    found = amended(
        "TRUNCATE sales; INSERT INTO sales SELECT amount FROM orders",
        [table("orders", schema=schema("amount"))], [out("sales", schema=schema("total"))],
    )  # fmt: skip
    assert names(found.inputs) == ["orders"]
    assert {name.name.rpartition(".")[2] for claim in found.claims for name, _ in claim.sources} == {"orders"}


def test_a_table_that_the_producer_overlooked_is_found_in_the_catalog() -> None:
    found = amended(
        "INSERT INTO sales (total) SELECT amount FROM orders JOIN days USING (day)", [], [out("sales", schema=schema("total"))],
        {"shop.public.orders": ["amount", "day"], "shop.public.days": ["day", "name"]},
    )  # fmt: skip
    assert sorted(names(found.inputs)) == ["days", "orders"]
    assert ("amount", "total") in {
        (f.src_column, f.dst_column) for claim in found.claims for f in claim.columns
    }


def test_a_bare_name_is_not_where_qualified_ones_are() -> None:
    found = amended(
        "INSERT INTO mart.sales (total) SELECT amount FROM orders", [],
        [{"namespace": "postgres://db:5432", "name": "shop.mart.sales", "facets": {}}],
    )  # fmt: skip
    assert [seen.name.name for seen in found.inputs] == ["shop.public.orders"]


def test_in_the_sql_of_our_own_operators_names_stand_for_versions() -> None:
    ours = {"symlinks": {"identifiers": [{"namespace": "dataml", "name": "dataset/orders", "type": "TABLE"}]}}
    found = amended(
        "SELECT amount FROM quarantined", [table("orders", schema=schema("amount"), **ours)], [out("sales")]
    )
    assert names(found.inputs) == ["orders"]

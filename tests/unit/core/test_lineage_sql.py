from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.adapters.sqlglot.parser import SqlglotParser
from airflow_dataml.core.lineage_sql import SqlReading
from airflow_dataml.core.openlineage import read_event
from tests.lineage_events import out, run_event, schema, table


def amended(sql: str, inputs: list[Any], outputs: list[Any]) -> Any:
    event = read_event(run_event("COMPLETE", 1, inputs=inputs, outputs=outputs, sql={"query": sql}))
    [found] = SqlReading(SqlglotParser()).amend([event], schemas_of=lambda names: {})
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

"""Reading results of check operators that are not ours."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.sql.operators.sql import SQLCheckResult

from airflow_dataml.core.refs import Relation, check_name
from airflow_dataml.steps.harvest import found_in, relation_of, table_in
from airflow_dataml.steps.sightings import asset_name


def result(**said: Any) -> SQLCheckResult:
    return SQLCheckResult(**({"name": "n", "check_type": "t", "success": True, "table": "orders"} | said))


@pytest.mark.parametrize(
    ("said", "passed", "warns"),
    [
        ({}, True, False),
        ({"success": False}, False, False),
        ({"success": False, "severity": "warn"}, False, True),
        ({"success": None}, False, False),
    ],
    ids=["passed", "failed", "warned", "unknown"],
)
def test_what_a_result_says(said: dict[str, Any], passed: bool, warns: bool) -> None:
    [found] = found_in([result(**said)])
    assert (found.passed, found.warns) == (passed, warns)


@pytest.mark.parametrize(
    "said",
    [{"severity": "info"}, {"table": None}, {"table": None, "content": "SELECT 1"}],
    ids=["info", "no table", "no from"],
)
def test_what_says_nothing_of_a_table_is_passed_over(said: dict[str, Any]) -> None:
    assert found_in([result(**said)]) == []


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT count(*) FROM orders", "orders"),
        ('select 1 from "my schema"."Orders" where x', '"my schema"."Orders"'),
        ("SELECT * FROM orders o JOIN orders p USING (id)", "orders"),
        ("SELECT * FROM a, (SELECT 1 FROM b) c", None),
        ("SELECT count(*) FROM generate_series(1, 3)", None),
        ("SELECT count(*) FROM (SELECT 1 FROM orders) x", "orders"),
    ],
    ids=["plain", "quoted", "twice", "two", "function", "nested"],
)
def test_the_table_of_a_query(sql: str, table: str | None) -> None:
    assert table_in(sql) == table


@pytest.mark.parametrize(
    ("table", "relation"),
    [
        ("Orders", Relation("public", "orders")),
        ("shop.sales.orders", Relation("sales", "orders")),
        ('sales."My ""Orders"""', Relation("sales", 'My "Orders"')),
        ("a b", None),
        ("", None),
        ("x" * 80, None),
    ],
    ids=["bare", "database", "quoted", "no name", "empty", "too long"],
)
def test_a_table_as_sql_has_it(table: str, relation: Relation | None) -> None:
    assert relation_of(table) == relation


@pytest.mark.parametrize(
    "relation",
    [
        Relation("public", "orders"),
        Relation("Weird Schema", "7 Tables!"),
        Relation("public", "é" * 20),
        Relation("s" * 60, "t" * 60),
        Relation("_", "_"),
    ],
    ids=["plain", "odd", "accents", "long", "nothing"],
)
def test_every_table_has_a_usable_name(relation: Relation) -> None:
    assert check_name(asset_name(relation))

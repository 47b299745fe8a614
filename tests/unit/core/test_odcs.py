"""Contracts to and from the Open Data Contract Standard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_text import write_readable
from airflow_dataml.core.contract_yaml import read_yaml
from airflow_dataml.core.errors import ContractError, DataMLError
from airflow_dataml.core.odcs import export_odcs, import_odcs

CONTRACTS = sorted((Path(__file__).parents[3] / "dags" / "contracts").glob("*.yml"))
NAMED = {path.stem: path for path in CONTRACTS}
HOSTILE = """
dataset: w/demo/public/rides
description: "two\\nlines, # and 'quotes'"
variables:
  least: {default: 5, description: rows}
  city: {type: string}
check_attributes: {team: data}
checks: []
columns:
  - name: 'a "b" c: d'
    data_type:
    checks: [missing: ]
  - name: day
    data_type: date
    missing_values: [2013-01-01, "NO", 0o17, 1e3, 0.5, true, ""]
    column_expression: lower("day")
    checks:
      - missing: {}
      - invalid:
          qualifier: 7
          valid_values: [2013-01-02, "2013-01-02", "é", "a\\tb"]
      - duplicate: {threshold: {metric: percent, must_be_less_than: 5}}
      - aggregate: {function: max, threshold: {must_be_less_than: "${var.least}", level: warn}}
      - failed_rows: {expression: "day > '${var.city}'"}
  - {name: size, data_type: varchar, character_maximum_length: 3}
x-dataml:
  on_fail: warn
  require_rows: false
  anomalies: [{check: columns.day.checks.missing}]
"""
FILTERED = """
dataset: rides/x
filter: km > 0
columns:
  - {name: km, data_type: integer, checks: [{missing: }, {duplicate: }, {invalid: {valid_min: 1}}]}
"""
HEAD = """
apiVersion: v3.0.2
kind: DataContract
id: x
version: 1.0.0
status: active
"""
SERVER = "servers: [{server: lake, type: postgres, host: h, port: 5432, database: demo, schema: shop}]\n"


def read(body, **given_):
    return import_odcs(HEAD + body, source="orders.odcs.yaml", **given_)


def on_property(body, **given_):
    """Read a document with one property named km."""
    found = read(
        f"{SERVER}schema:\n  - name: orders\n    properties:\n      - {{name: km, {body}}}\n", **given_
    )
    return found.contract.document["columns"][0].get("checks", []), found.warnings


def on_table(body):
    found = read(
        f"{SERVER}schema:\n  - name: orders\n    properties: [{{name: km}}]\n    quality:\n      - {{{body}}}\n"
    )
    return found.contract.document["checks"][:-1], found.warnings


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_our_contracts_come_back_as_they_were(path):
    contract = Contract.from_file(path)
    found = import_odcs(export_odcs(contract))
    assert found.contract.digest == contract.digest
    assert found.warnings == ()


@pytest.mark.parametrize("text", [HOSTILE, FILTERED], ids=["hostile", "filtered"])
def test_what_the_standard_has_no_words_for_comes_back_too(text):
    contract = Contract.from_text(text)
    assert import_odcs(export_odcs(contract, host="db", port=1)).contract.digest == contract.digest


def test_promises_are_told_in_the_standards_own_words():
    document = read_yaml(
        export_odcs(Contract.from_file(NAMED["flights"]), owner="ops", host="db"), source="x"
    ).value
    (table,) = document["schema"]
    properties = {item["name"]: item for item in table["properties"]}
    assert document["apiVersion"] == "v3.0.2"
    assert document["servers"][0] == {
        "server": "warehouse", "type": "postgres", "host": "db", "port": 5432, "database": "demo", "schema": "public",
    }  # fmt: skip
    assert document["team"] == [{"username": "ops", "role": "owner"}]
    assert document["slaProperties"] == [
        {"property": "freshness", "value": 2, "unit": "d", "element": "flights.time_hour"}
    ]
    assert properties["year"]["required"]
    assert properties["year"]["primaryKeyPosition"] == 1
    assert properties["year"]["logicalTypeOptions"] == {"minimum": 1987, "maximum": 2100}
    assert properties["carrier"]["logicalTypeOptions"] == {"pattern": "^[A-Z0-9]{2}$"}
    assert properties["origin"]["quality"][1]["validValues"] == ["EWR", "JFK", "LGA"]
    assert "required" not in properties["arr_time"]


def test_what_holds_for_some_rows_only_is_no_promise_of_the_standard():
    document = read_yaml(export_odcs(Contract.from_text(FILTERED)), source="x").value
    (km,) = document["schema"][0]["properties"]
    assert not {"required", "unique", "logicalTypeOptions"} & set(km)
    assert {rule["type"] for rule in km["quality"]} == {"custom"}
    assert document["servers"] == [{"server": "rides", "type": "custom"}]


@pytest.mark.parametrize(
    ("body", "checks"),
    [
        ("required: true", [{"missing": None}]),
        ("unique: true", [{"duplicate": None}]),
        ("primaryKey: true, required: true, unique: true", [{"missing": None}, {"duplicate": None}]),
        ("required: true, quality: [{rule: nullCheck, mustBe: 0}]", [{"missing": None}]),
        ("quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]",
         [{"missing": {"threshold": {"must_be_less_than": 5, "metric": "percent"}}}]),
        ("quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: [null, '', n/a]}}]",
         [{"missing": {"missing_values": ["", "n/a"]}}]),
        ("quality: [{rule: duplicateCount, mustBeLessThan: 10, severity: warning, dimension: uniqueness}]",
         [{"duplicate": {"attributes": {"dimension": "uniqueness"}, "threshold": {"must_be_less_than": 10, "level": "warn"}}}]),
        ("quality: [{rule: validValues, validValues: [a, b], name: kinds}]", [{"invalid": {"name": "kinds", "valid_values": ["a", "b"]}}]),
        ("quality: [{metric: invalidValues, mustBe: 0, arguments: {pattern: '^a'}}]",
         [{"invalid": {"valid_format": {"regex": "^a", "name": "pattern"}}}]),
        ("quality: [{type: sql, query: 'SELECT avg({property}) FROM {object}', mustBeBetween: [1, 9]}]",
         [{"metric": {"expression": 'avg("km")', "threshold": {"must_be_between": {"greater_than": 1, "less_than": 9}}}}]),
        ("quality: [{type: sql, query: 'select count(*) from ${table} where ${column} < 0;', mustBe: 0}]",
         [{"failed_rows": {"expression": '"km" < 0'}}]),
        ("quality: [{type: sql, query: 'SELECT sum(km) FROM ${object} WHERE a', mustBeGreaterThan: 0}]",
         [{"metric": {"expression": "sum(km) FILTER (WHERE a)", "threshold": {"must_be_greater_than": 0}}}]),
        ("quality: [{type: sql, query: 'SELECT count(*) FROM ${object} a JOIN b USING (c)', mustNotBeBetween: [1, 9]}]",
         [{"metric": {"query": 'SELECT count(*) FROM "shop"."orders" a JOIN b USING (c)',
                      "threshold": {"must_be_not_between": {"greater_than_or_equal": 9, "less_than_or_equal": 1}}}}]),
        ("quality: [{type: custom, engine: soda, implementation: 'missing: {threshold: {must_be: 3}}'}]",
         [{"missing": {"threshold": {"must_be": 3}}}]),
        ("quality: [{type: custom, engine: soda, implementation: {duplicate: null}}]", [{"duplicate": None}]),
        ("logicalTypeOptions: {minimum: 1, maximum: 9, minLength: 2, pattern: '^a'}",
         [{"invalid": {"valid_min": 1, "valid_max": 9, "valid_min_length": 2, "valid_format": {"regex": "^a", "name": "pattern"}}}]),
        ("logicalTypeOptions: {maximum: 9, exclusiveMaximum: true}",
         [{"failed_rows": {"qualifier": "maximum", "name": "maximum of km", "expression": '"km" >= 9'}}]),
        ("logicalTypeOptions: {exclusiveMinimum: 0}",
         [{"failed_rows": {"qualifier": "exclusiveMinimum", "name": "exclusiveMinimum of km", "expression": '"km" <= 0'}}]),
        ("logicalTypeOptions: {minimum: \"2013-01-01\"}",
         [{"failed_rows": {"qualifier": "minimum", "name": "minimum of km", "expression": "\"km\" < '2013-01-01'"}}]),
        ("logicalTypeOptions: {multipleOf: 5}",
         [{"failed_rows": {"qualifier": "multipleOf", "name": "multipleOf of km", "expression": 'mod("km"::numeric, 5) <> 0'}}]),
        ("logicalTypeOptions: {minItems: 1}",
         [{"failed_rows": {"qualifier": "minItems", "name": "minItems of km", "expression": 'cardinality("km") < 1'}}]),
        ("enum: [{value: 1}, {value: 2}]", [{"invalid": {"valid_values": [1, 2]}}]),
        ("relationships: [{to: zones.code}]",
         [{"invalid": {"valid_reference_data": {"dataset": "lake/demo/shop/zones", "column": "code"}}}]),
        ("physicalName: Km, required: true", [{"missing": None}]),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_property_promises_becomes_a_check(body, checks):
    assert on_property(body) == (checks, ())


@pytest.mark.parametrize(
    ("body", "checks"),
    [
        ("rule: rowCount, mustBeBetween: [100, 120]",
         [{"row_count": {"threshold": {"must_be_between": {"greater_than": 100, "less_than": 120}}}}]),
        ("rule: rowCount, mustBeGreaterOrEqualTo: 1, mustBeLessThan: 9",
         [{"row_count": {"threshold": {"must_be_between": {"greater_than_or_equal": 1, "less_than": 9}}}}]),
        ("metric: duplicateValues, mustBe: 0, arguments: {properties: [km]}", [{"duplicate": {"columns": ["km"]}}]),
    ],
    ids=["between", "two bounds", "duplicates"],
)  # fmt: skip
def test_what_a_table_promises_becomes_a_check(body, checks):
    assert on_table(body) == (checks, ())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("quality: [{rule: minCheck}]", r"quality\[0\]: the library rule 'minCheck' is not known on a property; known: null"),
        ("quality: [{type: text, description: nice}]", "is words, which no engine can check; left out"),
        ("quality: [{type: python}]", "'python' is no type of rule; known: library, sql, custom, text"),
        ("quality: [{type: custom, engine: montecarlo, implementation: x}]", "the engine 'montecarlo'"),
        ("quality: [{type: custom, engine: soda, implementation: 'type: duplicate_percent'}]", "is not a check of Soda 4"),
        ("quality: [{type: custom, engine: soda, implementation: 'missing: {theshold: 3}'}]", "makes no missing check: theshold"),
        ("quality: [{type: custom, engine: soda, implementation: '{'}]", "implementation line 1"),
        ("quality: [{type: sql, query: SELECT 1}]", "compares with nothing; write one of mustBe"),
        ("quality: [{type: sql, mustBe: 0}]", "without a query"),
        ("quality: [{rule: nullCheck, mustBe: true}]", "mustBe compares with True, which is no number"),
        ("quality: [{rule: nullCheck, mustBe: 1, mustNotBe: 2}]", "mustBe and mustNotBe together are no one comparison"),
        ("quality: [{rule: nullCheck, mustBeBetween: 3}]", "needs two numbers"),
        ("quality: [{rule: nullCheck, unit: bananas}]", "counts in 'bananas'"),
        ("quality: [{rule: validValues}]", "says nothing about which values are valid"),
        ("quality: [words]", "is no rule of keys and values"),
        ("quality: [{rule: nullCheck, schedule: daily}]", r"quality\[0\].schedule: has no place in a contract"),
        ("logicalTypeOptions: {format: email}", r"logicalTypeOptions.format: no check says that; left out"),
        ("logicalTypeOptions: {pattern: '\\bkm'}", "expression of ECMA-262"),
        ("physicalType: STRUCT", "'STRUCT' is no type of PostgreSQL; any type is accepted"),
        ("logicalType: string", "'string' names no type of PostgreSQL"),
        ("classification: secret", "line 11: schema.0..properties.0..classification: has no place"),
        ("relationships: [{to: /deep/er/place}]", "no foreign key of the form"),
        ("customProperties: [{property: colour, value: red}]", "'colour' says nothing to us"),
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_place_is_told_with_its_line(body, reason):
    _, warnings = on_property(body)
    assert len(warnings) == 1
    assert warnings[0].startswith("orders.odcs.yaml line 1")
    assert re.search(reason, warnings[0])


def test_keys_of_several_columns_and_service_levels():
    found = read(
        f"{SERVER}slaProperties:\n"
        "  - {property: freshness, value: 4, unit: h, element: orders.at}\n"
        "  - {property: retention, value: 3, unit: y, element: orders.at}\n"
        "  - {property: freshness, value: 1, unit: d, element: other.at}\n"
        "schema:\n  - name: orders\n    physicalName: orders_1\n    properties:\n"
        "      - {name: b, primaryKey: true, primaryKeyPosition: 2}\n"
        "      - {name: a, physicalName: a_1, primaryKey: true, primaryKeyPosition: 1}\n"
        "      - {name: at, physicalName: at_1, physicalType: timestamptz}\n"
    )
    assert found.contract.dataset == "lake/demo/shop/orders_1"
    assert [check.id for check in found.contract.checks] == [
        "checks.duplicate", "checks.freshness", "checks.schema", "columns.b.checks.missing", "columns.a_1.checks.missing",
    ]  # fmt: skip
    assert found.contract.document["checks"][0] == {"duplicate": {"columns": ["a_1", "b"]}}
    assert found.contract.document["checks"][1]["freshness"]["column"] == "at_1"
    assert [w for w in found.warnings if "retention" in w] == list(found.warnings)


def test_an_edit_of_the_native_words_adds_what_is_new():
    document = read_yaml(export_odcs(Contract.from_file(NAMED["planes"])), source="x").value
    speed = document["schema"][0]["properties"][7]
    speed |= {"required": True, "logicalTypeOptions": {"minimum": 0, "maximum": 900}}
    seats = document["schema"][0]["properties"][6]
    seats["logicalTypeOptions"]["maximum"] = 500
    columns = import_odcs(write_readable(document)).contract.document["columns"]
    assert columns[7]["checks"] == [{"missing": None}, {"invalid": {"valid_min": 0, "valid_max": 900}}]
    assert columns[6]["checks"][-1] == {"invalid": {"qualifier": "odcs_2", "valid_max": 500}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b", r"orders.odcs.yaml is no document .* 'kind: DataContract'"),
        ("kind: DataContract\napiVersion: v2.2.2", "apiVersion 'v2.2.2'; only v3 can be read"),
        (HEAD, "describes no table; write at least one under 'schema'"),
        (f"{HEAD}schema: [{{name: a}}, {{name: b}}]", "describes 2 tables; name one: a, b"),
        (f"{HEAD}schema: [{{name: a, properties: [{{name: x}}, {{name: x}}]}}]", "makes no contract: .*'x' is there twice"),
        ("kind: [", "line 1"),
    ],
    ids=["no contract", "old", "empty", "several", "twice", "no YAML"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_remedy(text, message):
    with pytest.raises(ContractError, match=message):
        import_odcs(text, source="orders.odcs.yaml")


def test_a_table_and_a_server_are_chosen_by_name():
    text = "servers: [{server: a, type: postgres}, {server: b, type: bigquery}]\nschema: [{name: x, properties: [{name: c}]}, {name: y, properties: [{name: d}]}]\n"
    found = read(text, schema="y", server="b")
    assert found.contract.dataset == "b/y"
    assert "bigquery is not PostgreSQL" in found.warnings[0]
    with pytest.raises(ContractError, match="table 'z' does not exist"):
        read(text, schema="z")
    with pytest.raises(ContractError, match="server 'c' does not exist"):
        read(text, schema="x", server="c")


_KEYS = ["required", "unique", "primaryKey", "logicalTypeOptions", "quality", "enum", "customProperties", "relationships",
         "rule", "metric", "type", "query", "engine", "implementation", "arguments", "properties", "mustBe", "mustBeBetween",
         "unit", "name", "physicalType", "minimum", "pattern", "validValues", "property", "value", "to"]  # fmt: skip
_VALUES = st.recursive(
    st.sampled_from(
        [None, True, 0, 1.5, "", "x", "soda", "sql", "custom", "library", "nullCheck", "SELECT 1", "missing:"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(
    table=st.dictionaries(st.sampled_from(_KEYS), _VALUES),
    column=st.dictionaries(st.sampled_from(_KEYS), _VALUES),
)
@settings(max_examples=100, deadline=None)
def test_any_document_is_read_or_refused(table, column):
    document = {"apiVersion": "v3.0.2", "kind": "DataContract", "schema": [
        table | {"name": "orders", "properties": [column | {"name": "km"}]}]}  # fmt: skip
    try:
        found = import_odcs(write_readable(document))
    except DataMLError:
        return
    assert import_odcs(export_odcs(found.contract)).contract.digest == found.contract.digest

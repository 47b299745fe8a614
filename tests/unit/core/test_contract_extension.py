"""Our own block of a contract, read as strictly as the rest of it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import ContractError

BASE = """dataset: w/rides
columns:
  - name: km
    checks: [missing: ]
  - name: carrier
checks: [schema: , row_count: ]
x-dataml:
"""
FULL = """
  on_fail: quarantine
  quarantine: {max_fraction: 0.05, cap: 10}
  samples: {rows: 3, mask: [carrier]}
  anomalies:
    - {metric: row_count, season: weekly}
    - {metric: row_count, qualifier: strict, false_alarm_rate: 0.001, level: warn}
    - {metric: missing(km), season: 7, direction: high, name: no distance}
    - {check: columns.km.checks.missing, window: 200, min_history: 20}
  distributions: [{column: km}, {column: carrier, reference: "flights@3", tolerance: 0.2, alpha: 0.05}]
  references: [{columns: [carrier], dataset: airlines, to: [code], max_failed: 2}, {columns: [carrier, km], dataset: fares}]
"""


def block(text: str) -> Any:
    return Contract.from_text(BASE + text).extension


def test_a_block_that_says_nothing_keeps_the_defaults() -> None:
    found = block("  require_rows: true")
    assert (found.on_fail, found.quarantine.max_fraction, found.quarantine.cap) == ("reject", 0.01, 10_000)
    assert (found.samples.rows, found.samples.mask, found.checks) == (5, [], ())


def test_every_check_has_an_id_that_lasts() -> None:
    assert [check.id for check in block(FULL).checks] == [
        "x-dataml.anomalies.row_count",
        "x-dataml.anomalies.row_count.strict",
        "x-dataml.anomalies.missing(km)",
        "x-dataml.anomalies.columns.km.checks.missing",
        "x-dataml.distributions.km",
        "x-dataml.distributions.carrier",
        "x-dataml.references.carrier",
        "x-dataml.references.carrier,km",
    ]


def test_a_metric_knows_its_column() -> None:
    rows, _, missing, check = block(FULL).anomalies
    assert (rows.function, rows.column, rows.title) == ("row_count", None, "row_count")
    assert (missing.function, missing.column, missing.unit) == ("missing", "km", "")
    assert (check.function, check.column) == (None, None)


def test_keys_have_the_names_of_the_columns_unless_told() -> None:
    first, second = block(FULL).references
    assert (first.keys, second.keys) == (["code"], ["carrier", "km"])


def test_soda_never_sees_it() -> None:
    from airflow_dataml.core.refs import Relation

    assert "x-dataml" not in Contract.from_text(BASE + FULL).text_for(
        Relation("public", "rides"), database="w"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  anomalies: [{metric: rowcount}]", r"anomalies\[0\].metric: must be row_count or one of missing\(column\).*, not 'rowcount'"),
        ("  anomalies: [{metric: avg(kn)}]", r"anomalies\[0\].metric: 'kn' is not a known column of this contract. .*Known: carrier, km"),
        ("  anomalies: [{check: checks.schema}]", r"'checks.schema' is not a known check of this contract with a number"),
        ("  anomalies: [{check: checks.rowcount}]", r"Did you mean 'checks.row_count'"),
        ("  anomalies: [{}]", r"anomalies\[0\]: needs exactly one of metric, check"),
        ("  anomalies: [{metric: row_count, check: checks.row_count}]", r"needs exactly one of metric, check"),
        ("  anomalies: [{metric: row_count}, {metric: row_count}]", r"anomalies\[1\]: a second 'x-dataml.anomalies.row_count'; give it a 'qualifier'"),
        ("  anomalies: [{metric: row_count, season: 1}]", r"season: must be none, weekly, auto or a number of batches from 2 to 2000, not 1"),
        ("  anomalies: [{metric: row_count, season: true}]", r"season: must be none, weekly"),
        ("  anomalies: [{metric: row_count, season: 60}]", r"window: 90 batches hold fewer than three seasons of 60; write at least 180"),
        ("  anomalies: [{metric: row_count, window: 10}]", r"window: 10 batches hold fewer than the 14 of min_history"),
        ("  anomalies: [{metric: row_count, min_history: 3}]", r"min_history: must be greater than or equal to 10, not 3"),
        ("  anomalies: [{metric: row_count, false_alarms: 1}]", r"Did you mean 'false_alarm_rate'"),
        ("  anomalies: [{metric: row_count, false_alarm_rate: 1}]", r"false_alarm_rate: must be less than 0.5, not 1"),
        ("  anomalies: [{metric: row_count, direction: up}]", r"direction: must be 'both', 'low' or 'high', not 'up'"),
        ("  anomalies: {metric: row_count}", r"anomalies: must be a valid list"),
        ("  distributions: [{column: kn}]", r"distributions\[0\].column: 'kn' is not a known column"),
        ("  distributions: [{column: km, reference: 'Fl@3'}]", r"reference: must be a managed dataset such as airlines.*, not 'Fl@3'"),
        ("  distributions: [{column: km, tolerance: -1}]", r"tolerance: must be greater than or equal to 0, not -1"),
        ("  references: [{columns: [kn], dataset: airlines}]", r"references\[0\].columns\[0\]: 'kn' is not a known column"),
        ("  references: [{columns: [km], dataset: airlines, to: [a, b]}]", r"to: names 2 columns where columns names 1; write one for each"),
        ("  references: [{columns: [], dataset: airlines}]", r"columns: must not be empty"),
        ("  references: [{columns: [km]}]", r"references\[0\].dataset: is required"),
        ("  references: [{columns: [km], dataset: airlines, max_failed: -1}]", r"max_failed: must be greater than or equal to 0"),
        ("  samples: {rows: 101}", r"samples.rows: must be less than or equal to 100, not 101"),
        ("  samples: {mask: [kn]}", r"samples.mask\[0\]: 'kn' is not a known column of this contract"),
        ("  quarantine: {max_fraction: 2}", r"quarantine.max_fraction: must be less than or equal to 1, not 2"),
        ("  quarantine: {cap: 0}", r"quarantine.cap: must be greater than or equal to 1"),
        ("  on_fail: ignore", r"on_fail: must be 'reject', 'quarantine' or 'warn', not 'ignore'"),
    ],
    ids=lambda value: value.strip()[:40] if value.startswith(" ") else "",
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=rf"line \d+: x-dataml\..*{message}"):
        block(text)

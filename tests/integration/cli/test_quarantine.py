"""Commands on rows that were set aside."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.native.rules import NativeRules
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.core.contract import Contract
from airflow_dataml.steps.verify import verify_part
from tests.integration.cli.conftest import Terminal
from tests.support import declare, identity, publish, rides_csv, stage

CONTRACT = """
dataset: w/d/public/rides
columns:
  - {name: id}
  - {name: kind}
  - {name: km, valid_min: 0, checks: [invalid: ]}
x-dataml: {on_fail: quarantine, quarantine: {max_fraction: 1}, samples: {mask: [kind]}}
"""
KM = "columns.km.checks.invalid"


@pytest.fixture
def dsn(postgres_dsn, tmp_path):
    with Connection(postgres_dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(postgres_dsn) as ledger:
        declare(ledger)
        path = rides_csv(tmp_path / "a.csv", [(1, "bike", 1), (2, "car", -2), (3, "tram", -3)])
        staged = stage(ledger, path, mode="partition", key="mon")
        verify_part(
            ledger=ledger, warehouse=ledger.warehouse, store=ledger.store, engine=NativeEngine(),
            identity=identity("audit"), staged=staged, contract=Contract.from_text(CONTRACT), rules=NativeRules(),
        )  # fmt: skip
        publish(ledger, staged, require_check=True)
    return postgres_dsn


@pytest.fixture
def dataml(dsn, capsys, monkeypatch):
    monkeypatch.setenv(DSN_VARIABLE, dsn)
    return Terminal(capsys)


def test_list_says_what_is_open(dataml):
    _, rows = dataml.json("quarantine", "list", "--asset", "rides", "--state", "open")
    assert [(r["quarantine_id"], r["rows"], r["tested"], r["reasons"]) for r in rows] == [(1, 2, 3, {KM: 2})]
    assert dataml("quarantine", "list", "--state", "replayed")[1] == "Nothing was set aside.\n"
    assert dataml.json("quarantine", "list", "--before", "1") == (0, [])


def test_show_says_whose_and_why(dataml):
    code, out, _ = dataml("quarantine", "show", "1")
    assert code == 0
    assert out.startswith("2 rows of rides mon were set aside; the quarantine is open.")
    assert KM in out


def test_rows_are_masked_as_the_contract_says_and_further(dataml):
    assert (
        dataml("quarantine", "rows", "1", "--csv")[1]
        == f"id,kind,km,_reasons\n2,***,-2.0,{KM}\n3,***,-3.0,{KM}\n"
    )
    _, data = dataml.json("quarantine", "rows", "1", "--mask", "km", "--limit", "1")
    assert data["rows"] == [[2, "***", "***", [KM]]]
    assert "car" not in dataml("quarantine", "rows", "1")[1]


def test_discard_closes_with_a_reason(dataml):
    assert dataml("quarantine", "discard", "1", "--reason", "test rides")[1].startswith(
        "Discarded 2 rows of rides"
    )
    assert dataml.json("quarantine", "show", "1")[1]["note"] == "test rides"
    assert dataml.json("incident", "list", "--state", "open") == (0, [])
    code, _, err = dataml("quarantine", "discard", "1", "--reason", "again")
    assert (code, err) == (
        1,
        "dataml: quarantine 1 of 'rides' was discarded: test rides; nothing of it is left to do.\n",
    )
    dataml("gc")
    assert "were collected" in dataml("quarantine", "rows", "1")[2]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("show", "9"), "quarantine 9 is not in the ledger"),
        (("rows", "1", "--mask", "kms"), "Did you mean 'km'"),
        (("list", "--asset", "ridez"), "Did you mean 'rides'"),
    ],
    ids=["unknown number", "unknown column", "unknown dataset"],
)
def test_what_is_not_there_is_named(dataml, argv, words):
    code, out, err = dataml("quarantine", *argv)
    assert (code, out) == (1, "")
    assert words in err

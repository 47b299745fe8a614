"""Contract commands on a real ledger: drafted from a version, tried on tables, versions and samples."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import psycopg
import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.contract import Contract
from tests.support import declare, publish, rides_csv, stage

pytestmark = pytest.mark.integration

KINDS = ("bike", "car", "tram")
RIDES = (
    "dataset: dataml/demo/public/rides\nchecks:\n  - row_count: {threshold: {must_be_greater_than: 100}}\n"
)
RIDES += "columns:\n  - {name: id, checks: [{missing: }, {duplicate: }]}\n  - {name: km, checks: [{invalid: {valid_max: 50}}, {aggregate: {name: all, function: sum, threshold: {must_be_greater_than: 999}}}]}\n"
TYPES = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE "Odd table" AS SELECT g AS id, g::smallint AS s, g::numeric(9,3) AS n, g::real AS r, 'NO'::varchar(3) AS v,
  'ab'::char(4) AS c, g % 2 = 0 AS b, now() AS at, now()::timestamp(3) AS plain, now()::date AS day, now()::time AS clock,
  gen_random_uuid() AS u, ARRAY[g] AS a, '{{}}'::jsonb AS j, interval '1 day' AS i, 'glad'::mood AS m, NULL::text AS "null",
  inet '10.0.0.1' AS ip, '\\x00'::bytea AS bytes, 'x' AS {odd}
FROM generate_series(1, 60) g
"""


def rows(start):
    return [(n, KINDS[n % 3], n / 2) for n in range(start, start + 60)]


@pytest.fixture
def terminal(empty_terminal, postgres_dsn, tmp_path, monkeypatch):
    """A ledger with a dataset of two parts, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with PostgresLedger.connect(postgres_dsn, check=False) as ledger:
        migrate(ledger.connection)
        declare(ledger)
        for number in (1, 2):
            batch = rides_csv(tmp_path / f"{number}.csv", rows(100 * number))
            publish(ledger, stage(ledger, batch, run=f"run {number}"), run=f"run {number}")
    Path("rides.yml").write_text(RIDES)
    return empty_terminal


@pytest.mark.parametrize("engine", ["soda", "native"], ids=str)
def test_a_draft_holds_on_what_it_was_drafted_from(terminal, engine):
    code, out, err = terminal("contract", "init", "rides", "-o", "draft.yml", "--key", "id")
    assert (code, out, err) == (0, "Wrote draft.yml.\n", "")
    contract = Contract.from_file("draft.yml")
    assert contract.dataset.endswith("/public/rides")
    assert {check.id for check in contract.checks} == {
        "checks.schema", "checks.row_count", "columns.id.checks.missing", "columns.id.checks.duplicate",
        "columns.kind.checks.missing", "columns.kind.checks.invalid", "columns.km.checks.missing",
        "columns.km.checks.invalid",
    }  # fmt: skip
    assert terminal("contract", "test", "draft.yml", "--asset", "rides", "--engine", engine)[0] == 0
    assert terminal("contract", "test", "draft.yml", "--engine", engine)[0] == 0


def test_init_refuses_to_overwrite_and_names_a_wrong_key(terminal):
    Path("draft.yml").write_text("mine")
    assert "is there already" in terminal("contract", "init", "rides", "-o", "draft.yml")[2]
    assert Path("draft.yml").read_text() == "mine"
    assert (
        "column 'idd' does not exist. Did you mean 'id'"
        in terminal("contract", "init", "rides", "--key", "idd")[2]
    )
    assert "'rides'" in terminal("contract", "init", "ridez")[2]


def test_a_contract_that_does_not_hold_is_exit_code_1(terminal):
    code, out, _ = terminal("contract", "test", "rides.yml", "--junit", "out.xml")
    assert code == 1
    assert "columns.km.checks.invalid" in out
    assert out.splitlines()[-1].startswith("The contract does not hold on public.rides")
    suite = Xml.parse("out.xml").getroot()  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")


def test_an_older_version_is_read_as_it_was(terminal):
    code, data = terminal.json("contract", "test", "rides.yml", "--asset", "rides@1")
    assert (code, data["holds"], data["rows"], data["table"]) == (1, False, 60, "rides@1")
    assert [check["verdict"] for check in data["checks"]][:2] == ["fail", "pass"]


@pytest.mark.parametrize(
    "source", [(), ("--asset", "rides"), ("--table", "plain")], ids=["view", "version", "table"]
)
def test_a_sample_leaves_nothing_and_does_not_judge_its_size(terminal, postgres_dsn, source):
    relations = "SELECT count(*) FROM pg_class WHERE relname LIKE 'dataml_contract%'"
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE plain AS SELECT * FROM rides")
        code, data = terminal.json("contract", "test", "rides.yml", "--rows", "20", *source)
        assert admin.execute(relations).fetchone() == (0,)
    assert (code, data["sample"], data["skipped"]) == (
        1,
        True,
        ["checks.row_count", "columns.km.checks.aggregate"],
    )
    assert 0 < data["rows"] <= 20
    Path("loose.yml").write_text(RIDES.replace("50", "5000"))
    assert terminal("contract", "test", "loose.yml", "--rows", "20", *source)[0] == 0


def test_variables_are_given_by_name(terminal):
    text = RIDES.replace("valid_max: 50", 'valid_max: "${var.most}"').replace(
        "checks:", "variables: {most: {type: number}}\nchecks:", 1
    )
    Path("var.yml").write_text(text)
    assert terminal("contract", "test", "var.yml", "--var", "most=200")[0] == 0
    assert terminal("contract", "test", "var.yml", "--var", "most=2")[0] == 1
    assert "no value for variable most" in terminal("contract", "test", "var.yml")[2]
    assert (
        "--var 'most' gives no value; write --var name=value"
        in terminal("contract", "test", "var.yml", "--var", "most")[2]
    )


def test_a_table_that_is_not_there_is_no_pass(terminal):
    code, out, err = terminal("contract", "test", "rides.yml", "--table", "public.nothing")
    assert code == 1
    assert "public.nothing" in out + err
    code, _, err = terminal("contract", "test", "rides.yml", "--table", "public.nothing", "--rows", "5")
    assert code == 1
    assert "--table schema.table" in err


@pytest.mark.parametrize(
    ("engine", "name"),
    [("soda", '"a: $1"'), ("native", '"a: $1"'), ("native", '"a ""b"" c"')],
    ids=["soda", "native", "quotes"],
)
def test_drafts_hold_for_every_type_and_name(terminal, postgres_dsn, engine, name):
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
    from airflow_dataml.core.contract_draft import draft_contract
    from airflow_dataml.core.refs import Relation

    odd = Relation("public", "Odd table")
    with Connection(postgres_dsn) as connection:
        connection.raw.execute(TYPES.format(odd=name))
        warehouse = PostgresWarehouse(connection)
        columns = warehouse.columns(odd)
        profile = warehouse.profile(odd, columns, {})
    Path("odd.yml").write_text(
        draft_contract(dataset="dataml/demo/public/odd", columns=columns, profile=profile)
    )
    code, out, err = terminal("contract", "test", "odd.yml", "--table", str(odd), "--engine", engine)
    assert (code, err) == (0, ""), out

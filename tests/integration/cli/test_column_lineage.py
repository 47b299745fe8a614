"""``dataml sql lineage``: columns of a file, read or analysed."""

from __future__ import annotations

import io

import pytest

from airflow_dataml.cli.connection import DSN_VARIABLE

pytestmark = pytest.mark.integration


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "job.sql"
    path.write_text(
        "CREATE TABLE long AS SELECT id AS ride, km FROM public.rides WHERE km > 2; SELECT nope FROM x, y"
    )
    return str(path)


def test_without_a_ledger_the_text_is_read(terminal, monkeypatch, file):
    monkeypatch.delenv(DSN_VARIABLE)
    code, out, err = terminal("sql", "lineage", file)
    assert code == 0
    assert "writes      long" in out
    assert "decided by  public.rides.km (filter)" in out
    assert "ride    public.rides.id" in out
    assert "statement 2 is told by its tables: column 'nope' may be of several tables" in err


def test_the_catalog_tells_what_a_star_is(terminal, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("INSERT INTO n SELECT * FROM rides"))
    code, (told,) = terminal.json(
        "sql", "lineage", "-", "--schema-from-ledger", "--default-schema", "public", "--dialect", "spark"
    )
    assert code == 0
    assert told["inputs"] == ["public.rides"]
    assert [one["column"] for one in told["outputs"]] == ["ride_id", "fare"]
    assert told["outputs"][0]["sources"][0]["relation"] == "public.rides"


def test_exactly_by_the_database(terminal, monkeypatch, filled_dsn):
    sql = "SELECT name, count(*) FROM dataml.asset JOIN dataml.version USING (asset_id) GROUP BY 1"
    monkeypatch.setattr("sys.stdin", io.StringIO(sql))
    monkeypatch.setenv("WAREHOUSE", filled_dsn)
    _, (told,) = terminal.json("sql", "lineage", "-", "--exact", "--dsn-env", "WAREHOUSE")
    assert (told["method"], told["confidence"]) == ("analyzer", 1.0)
    assert told["outputs"][0]["sources"] == [
        {"relation": "dataml.asset", "column": "name", "kind": "direct", "via": "value"}
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.sql"], "cannot be read"),
        (["-", "--exact"], "does not understand a statement"),
        (["-", "--exact", "--dialect", "spark"], "--exact asks PostgreSQL"),
        (["-", "--exact", "--dsn-env", "NONE_SUCH"], "'NONE_SUCH' is not set"),
        (["-", "--dialect", "klingon"], "is not known: use one of"),
    ],
    ids=["file", "table", "dialect", "variable", "no-dialect"],
)
def test_what_is_wrong_is_one_line(terminal, monkeypatch, arguments, said):
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT a FROM no_such_table"))
    code, _, err = terminal("sql", "lineage", *arguments)
    assert code == 1
    assert said in err

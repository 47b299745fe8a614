"""Where the command line finds the ledger, without Airflow."""

from __future__ import annotations

import json

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.postgres.dsn import parse_connection
from airflow_dataml.cli.connection import resolve_dsn
from airflow_dataml.core.errors import ConnectionSpecError

FULL = {"host": "db", "port": "5433", "dbname": "dataml", "user": "me", "password": "p@ss/word"}
JSON = {
    "conn_type": "dataml",
    "host": "db",
    "port": 5433,
    "schema": "dataml",
    "login": "me",
    "password": "p@ss/word",
}
CONNECTIONS = {
    "uri": ("dataml://me:p%40ss%2Fword@db:5433/dataml", FULL),
    "postgres uri": ("postgresql://me:p%40ss%2Fword@db:5433/dataml", FULL),
    "json": (json.dumps(JSON), FULL),
    "json, text extra": (json.dumps(JSON | {"extra": '{"sslmode": "require"}'}), FULL | {"sslmode": "require"}),
    "json, object extra": (json.dumps(JSON | {"extra": {"sslmode": "require"}}), FULL | {"sslmode": "require"}),
    "extra in query": ("dataml://me@db/d?sslmode=require", {"host": "db", "port": "5432", "dbname": "d", "user": "me", "sslmode": "require"}),
    "extra as json": ("dataml://db/d?__extra__=%7B%22sslmode%22%3A+%22require%22%7D", {"host": "db", "port": "5432", "dbname": "d", "sslmode": "require"}),
    "socket directory": ("postgres://me@%2Fvar%2Frun%2FPg:5433/d", {"host": "/var/run/Pg", "port": "5433", "dbname": "d", "user": "me"}),
    "unknown extra": ("postgres://db/d?cursor=dictcursor", {"host": "db", "port": "5432", "dbname": "d"}),
    "no host": ("postgres:///d", {"host": "localhost", "port": "5432", "dbname": "d"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_airflow_connection_from_the_environment(text, expected):
    dsn = resolve_dsn("dataml_default", {"AIRFLOW_CONN_DATAML_DEFAULT": text})
    assert conninfo_to_dict(dsn) == expected


def test_our_own_variable_comes_first():
    found = resolve_dsn("x", {"DATAML_LEDGER_DSN": "dbname=mine", "AIRFLOW_CONN_X": "postgres://db/other"})
    assert found == "dbname=mine"


def test_the_configured_connection_is_meant_unless_another_is_given():
    env = {
        "AIRFLOW__DATAML__CONN_ID": "mine",
        "AIRFLOW_CONN_MINE": "postgres://db/mine",
        "AIRFLOW_CONN_X": "postgres://db/x",
    }
    assert conninfo_to_dict(resolve_dsn(None, env))["dbname"] == "mine"
    assert conninfo_to_dict(resolve_dsn("x", env))["dbname"] == "x"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("mysql://db/d", "of type 'mysql'"),
        ("postgres://me:hunter2@db", "names no database"),
        ("{broken hunter2", "neither a URI nor"),
        ("[1]", "of type ''"),
        ("postgres://me:hunter2@db:port/d", "neither a URI nor"),
    ],
    ids=["other type", "no database", "broken json", "no scheme", "broken port"],
)
def test_an_unusable_connection_is_refused_without_its_password(text, match):
    with pytest.raises(ConnectionSpecError, match=match) as caught:
        resolve_dsn("x", {"AIRFLOW_CONN_X": text})
    assert "hunter2" not in str(caught.value)


def test_an_unreadable_dsn_is_refused_without_its_password():
    with pytest.raises(ConnectionSpecError, match="DATAML_LEDGER_DSN is not a libpq") as caught:
        resolve_dsn("x", {"DATAML_LEDGER_DSN": "hunter2 is my password"})
    assert "hunter2" not in str(caught.value)


def test_fields_do_not_show_the_password():
    assert "hunter2" not in repr(parse_connection("x", "postgres://me:hunter2@db/d?password=hunter2"))


@pytest.mark.parametrize("text", [text for text, _ in CONNECTIONS.values()], ids=CONNECTIONS)
def test_the_hook_reads_the_same_connection_alike(text, monkeypatch):
    from airflow_dataml.hooks.ledger import DataMLHook

    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", text)
    assert conninfo_to_dict(DataMLHook().dsn()) == conninfo_to_dict(resolve_dsn("dataml_default"))

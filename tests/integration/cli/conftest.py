"""The command line on a filled ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.cli.main import main
from tests.integration.ledger_facts import fill


@dataclass(frozen=True)
class Terminal:
    """Runs ``dataml`` in this process and keeps what it wrote."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *argv):
        code = main(argv)
        out, err = self.capture.readouterr()
        return code, out, err

    def json(self, *argv):
        code, out, err = self(*argv, "--json")
        assert err == ""
        return code, json.loads(out)


@pytest.fixture
def filled_dsn(postgres_dsn):
    fill(postgres_dsn)
    return postgres_dsn


@pytest.fixture
def terminal(filled_dsn, capsys, monkeypatch):
    monkeypatch.setenv(DSN_VARIABLE, filled_dsn)
    return Terminal(capsys)


@pytest.fixture
def empty_terminal(postgres_dsn, capsys, monkeypatch):
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    return Terminal(capsys)

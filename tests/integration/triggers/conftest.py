"""A ledger the default connection leads to, and hands to fill it with."""

from __future__ import annotations

import pytest

from tests.integration.waiting_facts import Facts, connection_uri


@pytest.fixture
def facts(ledger_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", connection_uri(ledger_dsn))
    return Facts(ledger_dsn)

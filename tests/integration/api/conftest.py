"""The API on a filled ledger, behind Airflow's own auth manager."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.api.app import create_app
from tests.integration.ledger_facts import fill


@pytest.fixture
def filled_dsn(postgres_dsn):
    fill(postgres_dsn)
    return postgres_dsn


@pytest.fixture
def client_on():
    """Make a client of the API on a ledger, as a user with or without a role, or as nobody."""
    create_auth_manager()

    def make(dsn, *, role="VIEWER", anonymous=False):
        app = create_app(lambda: PostgresLedger.connect(dsn))
        if not anonymous:
            app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="someone", role=role)
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture
def viewer(client_on, filled_dsn):
    return client_on(filled_dsn)

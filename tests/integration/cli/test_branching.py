"""What ``dataml dataset`` says of datasets that are on a branch alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.core.errors import VersionNotFoundError
from airflow_dataml.steps.branches import create_branch, merge_branch
from tests.integration.cli.conftest import Terminal
from tests.integration.steps.rides import Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    made = Rides(ledger)
    create_branch(ledger=ledger, store=ledger.store, identity=identity("create"), name="dev-x", assets=[])
    made.write([(1, "bike", 1.0)], branch="dev-x")
    return made


@pytest.fixture
def dataml(rides, ledger_dsn, capsys, monkeypatch):
    monkeypatch.setenv(DSN_VARIABLE, ledger_dsn)
    return Terminal(capsys)


def test_a_version_of_a_branch_is_not_everybodys(dataml, rides):
    [listed] = dataml.json("dataset", "list")[1]
    assert (listed["name"], listed["version"], listed["versions"]) == ("rides", None, 1)
    assert dataml.json("dataset", "show", "rides")[1]["version"] is None
    with pytest.raises(VersionNotFoundError, match="rides@dev-x"):
        rides.ledger.versions.find("rides")
    assert rides.ledger.versions.find("rides", branch="dev-x").number == 1


def test_a_version_of_a_branch_is_shown_by_its_number(dataml):
    assert dataml.json("dataset", "show", "rides@1")[1]["version"]["aliases"] == ["dev-x"]


def test_after_the_merge_it_is(dataml, rides):
    merge_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("merge"), name="dev-x")
    [listed] = dataml.json("dataset", "list")[1]
    assert listed["version"] == 2

"""Releases and rollbacks of models on the command line."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.cli.connection import DSN_VARIABLE
from tests.integration.cli.conftest import Terminal
from tests.integration.steps.rides import Rides
from tests.releasing import register_versions

pytestmark = pytest.mark.integration


@pytest.fixture
def two_of_each(ledger_dsn, capsys, monkeypatch):
    """A terminal; readers see the second version of ``rides`` and of the model ``demand``."""
    monkeypatch.setenv(DSN_VARIABLE, ledger_dsn)
    with PostgresLedger.connect(ledger_dsn) as ledger:
        rides = Rides(ledger)
        rides.write([(1, "bike", 1.0)])
        rides.write([(2, "bus", 2.0)])
        register_versions(ledger, "demand", 2)
    return Terminal(capsys)


def test_datasets_and_models_are_released_together(two_of_each):
    code, out, _ = two_of_each("release", "rides@1", "demand@1", "--reason", "they belong together")
    heading, *moved, follows = out.splitlines()
    assert (code, heading[:9], moved) == (
        0,
        "Released ",
        ["demand: demand@2 -> demand@1", "rides: rides@2 -> rides@1"],
    )
    assert "MLflow follows" in follows
    assert "already" in two_of_each("release", "rides@1", "demand@1", "--reason", "once more")[1]


def test_only_what_was_approved_is_released(two_of_each):
    said = ("release", "rides@1", "demand@1", "--reason", "why", "--approved")
    code, _, err = two_of_each(*said, "abc")
    assert code != 0
    assert "release abc was approved" in err


def test_an_asset_twice_is_refused(two_of_each):
    code, _, err = two_of_each("release", "rides@1", "rides@2", "--reason", "why")
    assert code != 0
    assert "more than once" in err


def test_a_model_goes_back_and_forth(two_of_each):
    code, out, _ = two_of_each("model", "rollback", "demand", "--to", "1", "--reason", "it was worse")
    assert code == 0
    assert out.startswith("Rolled demand back from demand@2 to demand@1. MLflow follows")
    _, found = two_of_each.json("model", "rollback", "demand", "--reason", "it was not")
    assert (found["version"], found["left"]) == ("demand@2", "demand@1")

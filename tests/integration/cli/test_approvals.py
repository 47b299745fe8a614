"""Approvals on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.core.approvals import ApprovalPolicy, ApprovalVote
from airflow_dataml.steps.approve import record_vote, request_approval
from airflow_dataml.steps.approved import release_of_model
from tests.integration.cli.conftest import Terminal
from tests.releasing import register_versions
from tests.support import identity

pytestmark = pytest.mark.integration
AT = datetime.now(UTC)


@pytest.fixture
def asked(ledger_dsn, capsys, monkeypatch):
    """A terminal; one approval was given and another is waited for."""
    monkeypatch.setenv(DSN_VARIABLE, ledger_dsn)
    with PostgresLedger.connect(ledger_dsn) as ledger:
        first, second = register_versions(ledger, "demand", 2)
        [other] = register_versions(ledger, "late", 1)
        for run, release in (
            ("r1", release_of_model(first, second)),
            ("r2", release_of_model(other, None)),
        ):
            who, policy = identity("approve", run), ApprovalPolicy(approvers=("ann", "bob"))
            request_approval(ledger=ledger, identity=who, release=release, policy=policy)
            if run == "r1":
                vote = ApprovalVote("ann", "ann", True, AT, release.release_hash, "ti", "looks right")
                record_vote(ledger=ledger, identity=who, release=release, vote=vote)
    return Terminal(capsys)


def test_who_was_asked_and_who_answered(asked):
    code, out, _ = asked("approvals")
    assert code == 0
    waiting, given = out.splitlines()[1:]
    assert all(
        words in waiting for words in ("late@1", "waiting", "1 of ann, bob", "nobody in person", "none")
    )
    assert all(
        words in given
        for words in ("demand@1", "approved", f"ann approved {AT:%Y-%m-%d %H:%M:%S} (looks right)")
    )


def test_json_tells_the_hash_and_each_vote(asked):
    _, found = asked.json("approvals", "--asset", "demand")
    assert [(one["state"], one["ended"], len(one["votes"])) for one in found] == [("approved", "approve", 1)]
    assert found[0]["votes"][0]["release_hash"] == found[0]["release_hash"]
    assert asked.json("approvals", found[0]["release_hash"])[1] == found
    assert asked.json("approvals", "--before", str(found[0]["entry"]))[1] == []


def test_only_those_that_are_not_over(asked):
    _, found = asked.json("approvals", "--waiting")
    assert [one["release"]["entries"][0]["asset"] for one in found] == ["late"]
    assert asked("approvals", "abc")[1] == "Nobody was asked.\n"


def test_what_was_changed_in_the_database_is_said(asked, ledger_dsn):
    with psycopg.connect(ledger_dsn, autocommit=True) as admin:
        admin.execute("ALTER TABLE dataml.audit DISABLE TRIGGER USER")
        admin.execute(
            """UPDATE dataml.audit SET detail = detail || '{"voter": "bob"}' WHERE action = 'vote'"""
        )
    code, found = asked.json("approvals", "--asset", "demand")
    assert (code, found[0]["state"]) == (1, "tampered with")

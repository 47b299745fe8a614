"""What the API answers about approvals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.approvals import ApprovalPolicy, ApprovalVote
from airflow_dataml.steps.approve import record_vote, request_approval
from airflow_dataml.steps.approved import release_of_model
from tests.releasing import register_versions
from tests.support import identity

pytestmark = pytest.mark.integration


@pytest.fixture
def asked(ledger_dsn):
    """One approval was given, one is waited for, one was not answered in time."""
    with PostgresLedger.connect(ledger_dsn) as ledger:
        first, second = register_versions(ledger, "demand", 2)
        [other] = register_versions(ledger, "late", 1)
        for run, release, seconds in (
            ("r1", release_of_model(first, second), 600.0),
            ("r2", release_of_model(other, None), 600.0),
            ("r3", release_of_model(second, None), 1e-6),
        ):
            who = identity("approve", run)
            policy = ApprovalPolicy(approvers=("ann", "bob"), expires_after=seconds)
            request_approval(ledger=ledger, identity=who, release=release, policy=policy)
            if run == "r1":
                at = datetime.now(UTC) + timedelta(seconds=1)
                vote = ApprovalVote("ann", "ann", True, at, release.release_hash, "ti", "looks right")
                record_vote(ledger=ledger, identity=who, release=release, vote=vote)
    return ledger_dsn


def _items(client, query=""):
    answer = client.get(f"/approvals{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_who_was_asked_about_what_and_what_came_of_it(client_on, asked):
    late, waiting, given = _items(client_on(asked))
    assert [one["state"] for one in (late, waiting, given)] == ["expired", "waiting", "approved"]
    assert given["releases"] == [
        {"asset": "demand", "kind": "model", "version": "demand@1", "left": "demand@2"}
    ]
    assert (given["required"], given["approvers"], given["requesters"]) == (1, ["ann", "bob"], [])
    assert [(vote["voter"], vote["approves"], vote["comment"]) for vote in given["votes"]] == [
        ("ann", True, "looks right")
    ]
    assert given["reasons"] == ["approved by ann, 1 of 1"]
    assert (waiting["votes"], waiting["ended_at"]) == ([], None)


def test_of_one_asset_only_those_waited_for_and_by_pages(client_on, asked):
    client = client_on(asked)
    assert {one["releases"][0]["asset"] for one in _items(client, "?asset=demand")} == {"demand"}
    assert [one["releases"][0]["asset"] for one in _items(client, "?waiting=true&asset=late")] == ["late"]
    page = client.get("/approvals?limit=2").json()
    rest = client.get(f"/approvals?limit=2&before={page['next']}").json()
    assert [len(page["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


def test_changed_entries_are_not_believed(client_on, asked):
    with psycopg.connect(asked, autocommit=True) as admin:
        admin.execute("ALTER TABLE dataml.audit DISABLE TRIGGER USER")
        admin.execute(
            "UPDATE dataml.audit SET detail = jsonb_set(detail, '{voter}', '\"eve\"') WHERE action = 'vote'"
        )
    assert _items(client_on(asked), "?asset=demand")[1]["state"] == "tampered with"

"""Counting votes: who counts, until when, about what, and what that comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.approvals import (
    ENDED,
    REQUESTED,
    VOTED,
    ApprovalPolicy,
    ApprovalRequest,
    ApprovalVote,
    approvals_in,
    tally,
)
from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.governance import AuditEntry
from airflow_dataml.core.release import Release, ReleaseEntry

AT = datetime(2026, 3, 1, tzinfo=UTC)
RELEASE = Release.of([ReleaseEntry("demand", "model", "abc", "demand@2", "demand@1")])
TWO_OF_THREE: dict[str, Any] = {"required": 2, "approvers": ("ann", "bob", "eve"), "expires_after": 3600}
ANYONE: dict[str, Any] = {"required": 1, "expires_after": 3600}


def asked(policy: dict[str, Any], *requesters: str) -> ApprovalRequest:
    return ApprovalRequest("t#1", RELEASE, ApprovalPolicy(**policy), requesters, AT)


def vote(
    who: str,
    *,
    yes: bool = True,
    minute: int = 1,
    about: str = RELEASE.release_hash,
    voter_id: str | None = None,
) -> ApprovalVote:
    return ApprovalVote(voter_id or who, who, yes, AT + timedelta(minutes=minute), about, "ti")


@pytest.mark.parametrize(
    ("policy", "requesters", "votes", "minute", "action", "reason"),
    [
        pytest.param(ANYONE, [], [], 1, "wait", "0 of 1", id="nobody answered"),
        pytest.param(ANYONE, [], [vote("bob")], 2, "approve", "approved by bob, 1 of 1", id="one of anyone"),
        pytest.param(TWO_OF_THREE, [], [vote("ann")], 2, "wait", "1 of 2", id="one of two"),
        pytest.param(
            TWO_OF_THREE, [], [vote("ann"), vote("eve")], 2, "approve", "by ann, eve, 2 of 2", id="two of three"
        ),
        pytest.param(
            TWO_OF_THREE, [], [vote("ann"), vote("ann", minute=2)], 3, "wait", "1 of 2", id="one person twice is one"
        ),
        pytest.param(
            TWO_OF_THREE, [], [vote("ann"), vote("mallory")], 2, "wait", "none of the approvers", id="a stranger"
        ),
        pytest.param(
            TWO_OF_THREE, [], [vote("Eve Eden", voter_id="eve")], 2, "wait", "1 of 2", id="an approver by user id"
        ),
        pytest.param(ANYONE, ["bob"], [vote("bob")], 2, "wait", "bob does not count: asked for it", id="who asked"),
        pytest.param(ANYONE, ["BOB"], [vote("bob")], 2, "wait", "asked for it", id="who asked, in other letters"),
        pytest.param(
            ANYONE, ["Bob B"], [vote("Bob B", voter_id="7")], 2, "wait", "asked for it", id="who asked, by name"
        ),
        pytest.param(
            ANYONE | {"requester_may_approve": True}, ["bob"], [vote("bob")], 2, "approve", "by bob", id="who asked may"
        ),
        pytest.param(
            ANYONE, ["bob"], [vote("bob", yes=False)], 2, "reject", "rejected by bob", id="who asked may take it back"
        ),
        pytest.param(
            ANYONE | {"required": 2}, [], [vote("ann"), vote("bob", yes=False)], 2, "reject", "by bob", id="one veto"
        ),
        pytest.param(
            ANYONE | {"required": 1, "rejections": 2}, [], [vote("bob", yes=False), vote("ann")], 2, "approve", "by ann",
            id="one veto of two",
        ),
        pytest.param(
            ANYONE | {"rejections": 2}, [], [vote("bob", yes=False), vote("bob", minute=2)], 3, "approve", "by bob",
            id="the last answer counts",
        ),
        pytest.param(
            TWO_OF_THREE, [], [vote("mallory", yes=False)], 2, "wait", "none of the approvers", id="a stranger's veto"
        ),
        pytest.param(ANYONE, [], [], 61, "expire", "over since 2026-03-01 01:00:00", id="nobody in time"),
        pytest.param(ANYONE, [], [vote("bob", minute=61)], 61, "expire", "after the end", id="too late"),
        pytest.param(ANYONE, [], [vote("bob")], 61, "expire", "with 1 of 1", id="approved and then over"),
        pytest.param(ANYONE, [], [vote("bob", yes=False)], 61, "reject", "by bob", id="rejected stays rejected"),
        pytest.param(
            ANYONE, [], [vote("bob", about="f00")], 2, "wait", "answered about f00", id="other content voids"
        ),
        pytest.param(
            ANYONE, [], [vote("bob", about="f00"), vote("ann", minute=2)], 3, "approve", "by ann, 1 of 1",
            id="other content, then this",
        ),
    ],
)  # fmt: skip
def test_a_tally(
    policy: dict[str, Any],
    requesters: list[str],
    votes: list[ApprovalVote],
    minute: int,
    action: str,
    reason: str,
) -> None:
    request = asked(policy, *requesters)
    decision = tally(request=request, votes=votes, policy=request.policy, now=AT + timedelta(minutes=minute))
    assert decision.action == action
    assert reason in "; ".join(decision.reasons)


def test_who_releases_goes_by_a_policy_and_requesters_of_its_own() -> None:
    request, votes = asked(ANYONE), [vote("bob")]
    counted = {
        "approve": tally(request=request, votes=votes, policy=request.policy, now=AT),
        "wait": tally(request=request, votes=votes, policy=ApprovalPolicy(required=2), now=AT),
        "expire": tally(
            request=request, votes=votes, policy=ApprovalPolicy(expires_after=1), now=AT + timedelta(2)
        ),
    }
    assert {wanted: found.action for wanted, found in counted.items()} == {one: one for one in counted}
    assert (
        tally(request=request, votes=votes, policy=request.policy, now=AT, requesters=["bob"]).action
        == "wait"
    )


@pytest.mark.parametrize(
    ("said", "match"),
    [
        pytest.param({"required": 0}, "required", id="nobody"),
        pytest.param({"approvers": ()}, "approvers", id="no approvers"),
        pytest.param({"required": 2, "approvers": ("ann", "ann")}, "only 1 people", id="more than there are"),
        pytest.param({"expires_after": 0}, "expires_after", id="no time"),
        pytest.param({"on_expiry": "approve"}, "on_expiry", id="approved by waiting"),
    ],
)
def test_a_policy_that_cannot_be_met(said: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        ApprovalPolicy(**said)


def test_too_few_are_left_without_who_asked() -> None:
    policy = ApprovalPolicy(**TWO_OF_THREE)
    assert policy.eligible(["ann"]) == ("bob", "eve")
    assert ApprovalPolicy().eligible(["ann"]) is None
    with pytest.raises(PolicyError, match="ann, bob asked and may not approve, and that leaves \\['eve'\\]"):
        policy.eligible(["ann", "bob"])


def entry(action: str, detail: dict[str, Any], *, actor: str = "task:ask") -> AuditEntry:
    return AuditEntry(1, AT, actor, action, "release x", detail, intact=True)


def test_an_approval_is_read_from_its_entries() -> None:
    request = asked(TWO_OF_THREE, "zoe")
    bob = vote("bob")
    entries = [
        entry(REQUESTED, request.to_dict()),
        entry(VOTED, {"request": "t#1"} | bob.to_dict()),
        entry(VOTED, {"request": "t#2"} | bob.to_dict()),
        entry(VOTED, {"request": "t#1"} | vote("eve").to_dict(), actor="task:forger"),
        entry(ENDED, {"request": "t#1", "action": "expire", "reasons": ["over"], "facts": {}}),
    ]
    [found] = approvals_in(entries)
    assert (found.request, found.votes, found.ended, found.reasons) == (request, (bob,), "expire", ("over",))
    assert approvals_in(entries[1:]) == ()


def test_votes_and_requests_survive_json() -> None:
    bob = replace(vote("bob"), comment="looks right")
    assert ApprovalVote.from_dict(bob.to_dict()) == bob
    request = asked(TWO_OF_THREE, "zoe")
    assert ApprovalRequest.from_dict(request.to_dict(), AT) == request

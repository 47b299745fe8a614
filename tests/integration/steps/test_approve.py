"""Approvals in a real ledger: asked, answered, ended, and what releases make of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.core.approvals import ApprovalPolicy, ApprovalVote, subject_of
from airflow_dataml.core.errors import ApprovalDeniedError, PolicyError, StaleVersionError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.release import ReleaseRequest
from airflow_dataml.steps.approve import (
    Asking,
    record_vote,
    refuse_vote,
    request_approval,
    require_same,
    settle_approval,
)
from airflow_dataml.steps.approved import release_of_model, require_approval
from airflow_dataml.steps.card import newest_report
from airflow_dataml.steps.promote import promote_model
from airflow_dataml.steps.release import plan_release, release
from tests.releasing import register_versions
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.release import Release
    from airflow_dataml.core.runs import RunIdentity

pytestmark = pytest.mark.integration
POLICY = ApprovalPolicy(required=2, approvers=("ann", "bob", "eve"))
LATER = timedelta(days=30)


class World:
    """A model with a champion and a challenger that was found better."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.challenger, self.champion = register_versions(ledger, "demand", 2)
        run = ledger.runs.begin(identity("evaluate"), input_digest="")
        self.evaluation = ledger.reports.add(
            run=run,
            fact=run.fact("demand"),
            kind="evaluation",
            verdict=Verdict.PASS,
            body={
                "summary": "better",
                "champion_id": self.champion.version_id,
                "champion_ref": self.champion.ref,
            },
            version_id=self.challenger.version_id,
        ).report_id

    @property
    def release(self) -> Release:
        return release_of_model(self.challenger, self.champion)

    def ask(
        self, run: str = "r1", *, by: str | None = "zoe", policy: ApprovalPolicy = POLICY, **said: Any
    ) -> Asking:
        return request_approval(
            ledger=self.ledger, identity=who("approve", run, by), release=said.pop("release", self.release), policy=policy, **said
        )  # fmt: skip

    def vote(self, voter: str, run: str = "r1", *, yes: bool = True, **said: Any) -> Asking:
        wanted = said.pop("release", self.release)
        given = ApprovalVote(voter, voter, yes, datetime.now(UTC), wanted.release_hash, "ti-1", **said)
        return record_vote(ledger=self.ledger, identity=who("approve", run), release=wanted, vote=given)

    def promote(
        self, run: str = "r1", *, by: str | None = "zoe", policy: ApprovalPolicy | None = POLICY
    ) -> Any:
        return promote_model(
            ledger=self.ledger,
            identity=who("promote", run, by),
            model="demand",
            evaluation=self.evaluation,
            approval=policy,
        )

    def audit(self, subject: str | None = None) -> list[str]:
        subject = subject or subject_of(self.release.release_hash)
        return [entry.action for entry in self.ledger.audit.entries(subject)]

    def alias(self) -> str | None:
        found: Version | None = self.ledger.versions.alias("demand", "champion")
        return found.ref if found else None


def who(task: str, run: str = "r1", by: str | None = "zoe") -> RunIdentity:
    return replace(identity(task, run), environment={"triggered_by": by} if by else {})


@pytest.fixture
def world(ledger: PostgresLedger) -> World:
    return World(ledger)


def test_two_of_three_approve_and_the_model_is_promoted(world: World) -> None:
    assert world.ask().decision.action == "wait"
    assert world.vote("ann").decision.action == "wait"
    ended = world.vote("eve")
    assert (ended.decision.action, ended.decision.reasons) == ("approve", ("approved by ann, eve, 2 of 2",))
    assert world.audit() == ["request approval", "vote", "vote", "end approval"]
    assert world.audit("demand@1")[-1] == "approve"
    decision = world.promote().body
    assert (decision["action"], decision["reasons"]) == (
        "promote",
        ["better", "approved by ann, eve, 2 of 2"],
    )
    assert decision["facts"]["release_hash"] == world.release.release_hash
    assert world.alias() == "demand@1"
    assert world.ledger.audit.verify()[1] is None


def test_the_end_is_a_report_that_cards_find(world: World) -> None:
    world.ask()
    world.vote("ann")
    reports = world.vote("bob").reports
    kept = newest_report(ledger=world.ledger, version=world.challenger, kind="approval")
    assert kept is not None
    assert (kept.verdict, {"demand": kept.report_id}) == ("pass", reports)
    assert [vote["voter"] for vote in kept.body["votes"]] == ["ann", "bob"]
    assert kept.body["requesters"] == ["zoe"]


def test_nothing_is_promoted_that_nobody_was_asked_about(world: World) -> None:
    with pytest.raises(
        ApprovalDeniedError, match=r"nobody was asked to approve release .* \(demand@1\): run an"
    ):
        world.promote()
    assert world.alias() == "demand@2"
    assert world.ledger.reports.latest(asset="demand", kind="decision").body == {"action": "promote"}  # type: ignore[union-attr]


def test_nothing_is_promoted_while_it_waits(world: World) -> None:
    world.ask()
    world.vote("ann")
    with pytest.raises(
        ApprovalDeniedError, match=r"waits: 1 of 2 approvals\. It was asked for by task:dag/r1/approve"
    ):
        world.promote()


def test_a_rejection_holds_and_a_new_run_may_ask_again(world: World) -> None:
    world.ask()
    assert world.vote("bob", yes=False, comment="drifts").decision.action == "reject"
    assert world.ask().decision.reasons == ("rejected by bob",)
    with pytest.raises(ApprovalDeniedError, match="is not approved: rejected by bob"):
        world.promote()
    assert world.ask("r2").decision.action == "wait"
    for name in ("ann", "bob"):
        world.vote(name, "r2")
    assert world.promote().body["action"] == "promote"


def test_the_newest_request_is_the_one_that_counts(world: World) -> None:
    world.ask()
    world.vote("ann")
    world.vote("bob")
    world.ask("r2")
    with pytest.raises(ApprovalDeniedError, match="waits"):
        world.promote()


def test_who_asked_may_not_approve(world: World) -> None:
    policy = ApprovalPolicy()
    world.ask(policy=policy)
    waiting = world.vote("zoe")
    assert waiting.decision.reasons == ("0 of 1 approvals", "zoe does not count: asked for it")
    assert world.vote("ann").decision.action == "approve"
    with pytest.raises(ApprovalDeniedError, match="ann does not count: asked for it"):
        world.promote(by="ann", policy=policy)
    assert world.promote(policy=policy).body["action"] == "promote"


def test_who_made_the_version_counts_as_asking(world: World) -> None:
    ledger = world.ledger
    run = ledger.runs.begin(who("train", "by ann", "ann"), input_digest="")
    with ledger.transaction():
        made = ledger.versions.add(run=run, fact=run.fact("demand"), facts={"artifact_digest": "new"})
    asking = world.ask(release=release_of_model(made, world.champion), by=None)
    assert asking.approval.request.requesters == ("ann",)
    with pytest.raises(PolicyError, match="ann, bob asked and may not approve"):
        world.ask("r2", release=release_of_model(made, world.champion), by="bob")


def test_an_approval_is_over_after_its_time(world: World) -> None:
    world.ask()
    for name in ("ann", "bob"):
        world.vote(name)
    with pytest.raises(ApprovalDeniedError, match=r"over since .* with 2 of 2 approvals"):
        require_approval(
            ledger=world.ledger, release=world.release, policy=POLICY, now=datetime.now(UTC) + LATER
        )
    assert require_approval(ledger=world.ledger, release=world.release, policy=POLICY).ended == "approve"


def test_what_nobody_answered_in_time_is_asked_anew(world: World) -> None:
    world.ask()
    world.vote("ann")
    ended = settle_approval(
        ledger=world.ledger, identity=who("approve"), release=world.release, now=datetime.now(UTC) + LATER
    )
    assert ended.decision.action == "expire"
    with pytest.raises(ApprovalDeniedError, match="over since"):
        world.promote(policy=POLICY.model_copy(update={"expires_after": 1e9, "required": 1}))
    again = world.ask()
    assert (again.decision.reasons, again.approval.votes) == (("0 of 2 approvals",), ())
    assert world.audit().count("request approval") == 2
    assert world.audit("demand@1") == ["let approval expire"]


def test_other_content_has_none_of_the_votes(world: World) -> None:
    ledger = world.ledger
    world.ask()
    world.vote("ann")
    run = ledger.runs.begin(identity("train", "new"), input_digest="")
    with ledger.transaction():
        made = ledger.versions.add(run=run, fact=run.fact("demand"), facts={"artifact_digest": "other"})
    changed = release_of_model(made, world.champion)
    with pytest.raises(StaleVersionError, match="its answers are void"):
        require_same(
            ledger=ledger, identity=who("approve"), asked=world.release.release_hash, release=changed
        )
    assert world.audit()[-1] == "end approval"
    with pytest.raises(ApprovalDeniedError, match="is not approved: the content changed to"):
        world.promote()
    asked = world.ask(release=changed)
    assert asked.approval.votes == ()
    # What was asked about first is void, even where the content is that again.
    assert world.ask().approval.votes == ()


def test_an_approval_of_other_content_is_said(world: World) -> None:
    world.ask()
    for name in ("ann", "bob"):
        world.vote(name)
    other = release_of_model(world.champion, world.champion)
    with pytest.raises(
        ApprovalDeniedError, match=f"is of {world.release.release_hash}, which is other content"
    ):
        require_approval(ledger=world.ledger, release=other, policy=POLICY)


def test_a_retry_finds_its_request_with_the_answers(world: World) -> None:
    world.ask()
    first = world.vote("ann").approval.votes[0]
    again = record_vote(ledger=world.ledger, identity=who("approve"), release=world.release, vote=first)
    assert again.approval.votes == (first,)
    assert world.ask().approval.votes == (first,)
    assert world.audit() == ["request approval", "vote"]
    ended = world.vote("bob")
    assert world.ask().reports == ended.reports


def test_another_policy_asks_anew(world: World) -> None:
    world.ask(policy=ApprovalPolicy())
    world.vote("ann")
    assert world.ask().approval.votes == ()


def test_a_task_that_did_not_ask_has_no_votes_to_give(world: World) -> None:
    world.ask()
    with pytest.raises(ApprovalDeniedError, match="this task asked for no approval"):
        world.vote("ann", "r2")
    run = world.ledger.runs.begin(identity("forge"), input_digest="")
    for voter in ("ann", "bob"):
        forged = ApprovalVote(voter, voter, True, datetime.now(UTC), world.release.release_hash, "ti")
        world.ledger.audit.add(
            action="vote",
            subject=subject_of(world.release.release_hash),
            run=run,
            detail={"request": world.ask().approval.request.key} | forged.to_dict(),
        )
    with pytest.raises(ApprovalDeniedError, match="waits: 0 of 2"):
        world.promote()


def test_an_answer_of_nobody_is_kept_and_counts_for_nothing(world: World) -> None:
    world.ask()
    waiting = refuse_vote(
        ledger=world.ledger, identity=who("approve"), release=world.release, why="no person gave it"
    )
    assert (waiting.decision.action, waiting.approval.votes) == ("wait", ())
    assert world.audit() == ["request approval", "refuse vote"]


def test_answers_that_were_changed_in_the_database_count_for_nothing(world: World, ledger_dsn: str) -> None:
    world.ask()
    for name in ("ann", "bob"):
        world.vote(name, yes=name != "bob")
    with psycopg.connect(ledger_dsn, autocommit=True) as admin:
        admin.execute("ALTER TABLE dataml.audit DISABLE TRIGGER USER")
        admin.execute(
            "UPDATE dataml.audit SET detail = jsonb_set(detail, '{approves}', 'true') WHERE detail ->> 'voter' = 'bob'"
        )
    with pytest.raises(ApprovalDeniedError, match="were changed after they were written"):
        world.promote()


def test_a_policy_stricter_than_the_one_asked_by(world: World) -> None:
    world.ask(policy=ApprovalPolicy())
    world.vote("mallory")
    with pytest.raises(ApprovalDeniedError, match="mallory does not count: is none of the approvers"):
        world.promote()


def test_a_challenger_that_stays_a_shadow_needs_nobody(world: World) -> None:
    run = world.ledger.runs.begin(identity("evaluate", "worse"), input_digest="")
    champion = {"champion_id": world.champion.version_id, "champion_ref": world.champion.ref}
    world.evaluation = world.ledger.reports.add(
        run=run,
        fact=run.fact("demand"),
        kind="evaluation",
        verdict=Verdict.FAIL,
        body={"summary": "worse"} | champion,
        version_id=world.challenger.version_id,
    ).report_id
    assert world.promote().body["action"] == "keep"


def test_a_release_is_held_to_its_approval(world: World) -> None:
    ledger = world.ledger
    wanted = ReleaseRequest(reason="better", models={"demand": "demand@1"}, approval=POLICY)

    def go(run: str) -> Any:
        return release(
            ledger=ledger,
            store=ledger.store,
            identity=who("release", run),
            wanted=wanted,
            hold=lambda _: None,
        )

    plan = plan_release(ledger=ledger, store=ledger.store, wanted=wanted)
    assert plan == world.release
    with pytest.raises(ApprovalDeniedError, match="nobody was asked"):
        go("r1")
    world.ask(release=plan)
    for name in ("ann", "bob"):
        world.vote(name, release=plan)
    assert [version.ref for version in go("r2").moved] == ["demand@1"]

"""Approvals through Airflow itself: people answer on its page, and what they answered decides."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.approvals import ApprovalPolicy, subject_of
from airflow_dataml.core.errors import PolicyError, SpecError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.operators.approval import ApprovalOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.steps.approve import request_approval
from airflow_dataml.steps.approved import release_of_model
from dev.embedded import ensure_database
from dev.lifecycle.airflow_api import AirflowApi
from dev.lifecycle.server import Server, airflow_environment, free_port
from dev.lifecycle.state import State
from tests.integration.operators.harness import DEMAND, context, run
from tests.integration.operators.telling import started
from tests.openlineage_schemas import problems
from tests.releasing import register_versions
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.operators.world import World

pytestmark = pytest.mark.integration

_DAGS = """
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.hitl import update_hitl_detail_response
from airflow_dataml.assets import model
from airflow_dataml.core.approvals import ApprovalPolicy
from airflow_dataml.operators.approval import ApprovalOperator
from airflow_dataml.operators.registry import ModelPromoteOperator

MODEL = model("demand")
TWO = ApprovalPolicy(required=2, approvers=("ann", "bob", "eve"), expires_after=3600)


class Forging(ApprovalOperator):
    # A pipeline that answers its own request, as far as Airflow lets a task.
    def _wait(self, context, asking, *, tell=False):
        try:
            return super()._wait(context, asking, tell=tell)
        finally:
            try:
                update_hitl_detail_response(context["ti"].id, ["Approve"], {"comment": "me"})
            except AirflowRuntimeError as err:
                print("Airflow said", err)


with DAG("promoting", schedule=None):

    @task
    def evaluate():
        return {"report": REPORT, "verdict": "pass"}

    measured = evaluate()
    approve = ApprovalOperator(task_id="approve", models={MODEL: measured}, policy=TWO)
    promote = ModelPromoteOperator(task_id="promote", model=MODEL, evaluation="{{ ti.xcom_pull(task_ids='evaluate')['report'] }}", approval=TWO)
    approve >> promote

with DAG("asking", schedule=None):

    @task
    def after():
        return 1

    asked = Forging(task_id="approve", models={MODEL: "demand@2"}, policy=ApprovalPolicy())
    asked >> after()

with DAG("expiring", schedule=None):
    ApprovalOperator(
        task_id="approve", models={MODEL: "demand@2"}, policy={"expires_after": 1, "on_expiry": "fail"}
    )
"""


class Deployment:
    """Airflow with people in it."""

    def __init__(self, server: Server, ledger_dsn: str) -> None:
        self.server, self.dsn = server, ledger_dsn
        path = server.state.airflow_home / "simple_auth_manager_passwords.json.generated"
        self.people = {
            name: AirflowApi(server.base, user=name, password=password)
            for name, password in json.loads(path.read_text()).items()
        }

    def state(self, dag: str, run_id: str, task: str = "approve") -> str | None:
        return {one["task_id"]: one["state"] for one in self.server.api.tasks(dag, run_id)}.get(task)

    def wait(self, dag: str, run_id: str, wanted: str) -> None:
        self.until(lambda: self.state(dag, run_id) == wanted, f"{dag} {wanted}")

    def checked(self) -> tuple[int, list[dict[str, Any]]]:
        """What ``airflow dataml approvals --check`` says."""
        argv = [sys.executable, "-m", "airflow", "dataml", "approvals", "--check", "--json"]
        done = subprocess.run(  # noqa: S603 - our own code
            argv, env=self.server.environment, check=False, stdout=subprocess.PIPE, text=True
        )
        return done.returncode, json.loads(done.stdout)

    def until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 240
        while not done():
            assert time.monotonic() < deadline, what
            time.sleep(0.5)

    def answer(self, who: str, dag: str, run_id: str, option: str = "Approve") -> None:
        """Answer once Airflow takes an answer."""

        def taken() -> bool:
            if self.state(dag, run_id) != "awaiting_input":
                return False
            said = {"chosen_options": [option], "params_input": {"comment": f"{who} says so"}}
            path = f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
            self.people[who].call("PATCH", path, said)
            return True

        self.until(taken, f"{who} answers")

    def says(self, who: str, dag: str, run_id: str, votes: int, option: str = "Approve") -> None:
        """Answer until there are so many votes: an answer in the very second that Airflow pauses may be lost."""

        def heard() -> bool:
            waits = self.state(dag, run_id) == "awaiting_input"
            if len(self.entries("vote")) == votes:
                return True
            if waits:
                self.answer(who, dag, run_id, option)
            return False

        self.until(heard, f"{who} says {option}")

    def log(self, dag: str, run_id: str) -> str:
        tasks = self.server.api.tasks(dag, run_id)
        [asking] = [one for one in tasks if one["task_id"] == "approve"]
        return self.server.task_log(asking).read_text()

    def entries(self, action: str) -> list[dict[str, Any]]:
        """Details of what the audit chain has of releases, under one action."""
        with PostgresLedger.connect(self.dsn) as ledger:
            return ledger.connection.rows(
                """SELECT detail ->> 'voter' AS voter, detail ->> 'approves' AS approves, detail ->> 'comment' AS comment,
                          detail ->> 'action' AS action FROM dataml.audit
                   WHERE action = %s AND subject LIKE 'release %%' ORDER BY seq""",
                [action],
            )


@pytest.fixture
def deployment(postgres_server: str, ledger_dsn: str, tmp_path: Path) -> Iterator[Deployment]:
    report = _evaluated(ledger_dsn)
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "approvals.py").write_text(_DAGS.replace("REPORT", str(report)))
    state = State(tmp_path / "state")
    state.claim()
    ensure_database(postgres_server, "airflow_approvals")
    environment = airflow_environment(
        state,
        metadata_dsn=make_conninfo(postgres_server, dbname="airflow_approvals"),
        dataml_dsn=ledger_dsn,
        port=free_port(18280),
        dags=dags,
    ) | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,ann:op,bob:op,eve:op,vic:viewer",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
    }
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
    )
    server = Server(state, environment, tell=lambda _: None)
    server.start()
    try:
        server.wait_until_healthy()
        server.wait_for_dags({"promoting", "asking", "expiring"})
        yield Deployment(server, ledger_dsn)
    finally:
        server.stop()


def _evaluated(dsn: str) -> int:
    """A champion, and a version before it that was found better; returns the evaluation."""
    with PostgresLedger.connect(dsn) as ledger:
        better, champion = register_versions(ledger, "demand", 2)
        run = ledger.runs.begin(identity("evaluate"), input_digest="")
        return ledger.reports.add(
            run=run,
            fact=run.fact("demand"),
            kind="evaluation",
            verdict=Verdict.PASS,
            body={"summary": "better", "champion_id": champion.version_id, "champion_ref": champion.ref},
            version_id=better.version_id,
        ).report_id


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_people_decide_in_airflow(deployment: Deployment) -> None:
    _two_of_three_promote(deployment)
    _one_rejects_and_the_rest_is_skipped(deployment)
    run_id = deployment.server.api.trigger("expiring")
    deployment.wait("expiring", run_id, "failed")
    assert deployment.entries("end approval")[-1]["action"] == "expire"
    with PostgresLedger.connect(deployment.dsn) as ledger:
        assert ledger.audit.verify()[1] is None
    code, listed = deployment.checked()
    assert (code, [one["not_in_airflow"] for one in listed]) == (0, [[], [], []])
    assert [(one["state"], len(one["votes"])) for one in listed] == [
        ("expired", 0),
        ("rejected", 2),
        ("approved", 3),
    ]
    _forge(deployment.dsn)
    code, listed = deployment.checked()
    assert (code, [vote["voter"] for one in listed for vote in one["not_in_airflow"]]) == (1, ["eve"])


def _forge(dsn: str) -> None:
    """What code with the ledger's password can write, and Airflow knows nothing of."""
    with PostgresLedger.connect(dsn) as ledger:
        ledger.connection.execute(
            """INSERT INTO dataml.audit (actor, action, subject, detail)
               SELECT actor, action, subject, detail || '{"voter": "eve", "voter_id": "eve"}' FROM dataml.audit
               WHERE action = 'vote' ORDER BY seq LIMIT 1"""
        )


def _two_of_three_promote(deployment: Deployment) -> None:
    run_id = deployment.server.api.trigger("promoting")
    deployment.wait("promoting", run_id, "awaiting_input")
    for nobody in ("admin", "vic"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            deployment.answer(nobody, "promoting", run_id)
    for count, who in enumerate(("ann", "ann", "bob"), 1):
        deployment.says(who, "promoting", run_id, count)
    deployment.wait("promoting", run_id, "success")
    deployment.until(lambda: deployment.state("promoting", run_id, "promote") == "success", "promoted")
    votes = deployment.entries("vote")
    assert [(one["voter"], one["comment"]) for one in votes] == [
        (w, f"{w} says so") for w in ("ann", "ann", "bob")
    ]
    with PostgresLedger.connect(deployment.dsn) as ledger:
        champion = ledger.versions.alias("demand", "champion")
        assert champion is not None
        assert champion.ref == "demand@1"
        report = ledger.reports.latest(asset="demand", kind="approval")
        assert report is not None
        assert (report.verdict, report.body["requesters"]) == ("pass", ["admin"])


def _one_rejects_and_the_rest_is_skipped(deployment: Deployment) -> None:
    run_id = deployment.server.api.trigger("asking")
    deployment.wait("asking", run_id, "awaiting_input")
    assert "Airflow said API_SERVER_ERROR" in deployment.log("asking", run_id)
    # Who asked is heard, and does not count.
    deployment.says("admin", "asking", run_id, 4)
    deployment.says("bob", "asking", run_id, 5, "Reject")
    deployment.wait("asking", run_id, "success")
    deployment.until(lambda: deployment.state("asking", run_id, "after") == "skipped", "skipped")
    assert deployment.entries("end approval")[-1]["action"] == "reject"


def test_it_asks_for_models_and_datasets_and_never_for_a_branch() -> None:
    asking = ApprovalOperator(task_id="a", models={DEMAND: "ride_late@1"}, policy=ApprovalPolicy())
    assert problems(started(asking)) == []
    said = context("a")
    said["dag_run"].conf = {"dataml_branch": "dev"}
    with pytest.raises(SpecError, match="an approval would be everybody's"):
        asking.execute(said)


@pytest.mark.parametrize(
    ("said", "action"),
    [
        pytest.param({"responded_by_user": None, "chosen_options": ["Approve"]}, "refuse vote", id="nobody"),
        pytest.param(
            {"responded_by_user": {"id": "b", "name": "bob"}, "chosen_options": []},
            "refuse vote",
            id="nothing",
        ),
        pytest.param(
            {"responded_by_user": {"id": "b", "name": "bob"}, "chosen_options": ["Approve"]}, "vote", id="bob"
        ),
    ],
)
def test_only_a_person_s_answer_is_a_vote(ledger_dsn: str, said: dict[str, Any], action: str) -> None:
    asking = ApprovalOperator(task_id="a", models={DEMAND: "ride_late@1"}, policy=ApprovalPolicy())
    with PostgresLedger.connect(ledger_dsn) as ledger:
        version, champion = register_versions(ledger, "ride_late", 2)
        wanted, given = release_of_model(version, champion), context("a")
        request_approval(
            ledger=ledger, identity=asking.identity(given), release=wanted, policy=ApprovalPolicy()
        )
        asking._answered(ledger, given, wanted, {"responded_at": datetime.now(UTC)} | said)
        entries = ledger.audit.entries(subject_of(wanted.release_hash))
    assert entries[1].action == action


def test_nobody_is_asked_about_what_is_not_surely_better(make_world: Callable[[], World]) -> None:
    with make_world().ledger() as ledger:
        [version] = register_versions(ledger, "ride_late", 1)
        task = ledger.runs.begin(identity("evaluate"), input_digest="")
        worse = ledger.reports.add(
            run=task,
            fact=task.fact("ride_late"),
            kind="evaluation",
            verdict=Verdict.UNKNOWN,
            body={"summary": "too few rows"},
            version_id=version.version_id,
        ).report_id
    asked = run(ApprovalOperator(task_id="a", models={DEMAND: {"report": worse}}, policy={}))
    assert (asked["action"], asked["reasons"], asked["reports"]) == ("none", ["too few rows"], {})
    with pytest.raises(SpecError, match="a release of nothing"):
        run(ApprovalOperator(task_id="b", policy={}))


@pytest.mark.parametrize("policy", [{"required": 0}, {"approver": ["ann"]}], ids=["nobody", "unknown field"])
def test_a_policy_that_was_written_wrongly_is_refused(
    policy: dict[str, Any], make_world: Callable[[], Any]
) -> None:
    make_world()
    with pytest.raises(PolicyError, match="ApprovalPolicy was written as"):
        run(ApprovalOperator(task_id="a", models={DEMAND: "ride_late@1"}, policy=policy))
    with pytest.raises(PolicyError, match="ApprovalPolicy was written as"):
        run(ModelPromoteOperator(task_id="p", model=DEMAND, evaluation=1, approval=policy))

"""The decision as a task: what its event tells, and a tuning that happens only where it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.operators.retraining import RetrainDecideOperator
from airflow_dataml.operators.tune import ModelTuneOperator
from tests.integration.operators.harness import DEMAND, context
from tests.integration.sensors.conftest import facts as facts  # noqa: PLC0414 - the same ledger
from tests.integration.steps.test_decide import Feeds, other_rule
from tests.integration.steps.test_models import GOOD, SPEC

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from tests.integration.waiting_facts import Facts

TUNING = {"training": SPEC.model_dump(mode="json"), "trials": 2, "space": {"learning_rate": {"low": 0.001, "high": 0.1}}}  # fmt: skip


@pytest.fixture
def feeds(ledger: PostgresLedger, facts: Facts, tmp_path: Path) -> Feeds:
    made = Feeds(ledger, tmp_path, GOOD)
    made.champion()
    return made


def decide(**said: Any) -> RetrainDecideOperator:
    return RetrainDecideOperator(task_id="decide", model=DEMAND, **said)


def tune(plan: TrainingPlan, **said: Any) -> ModelTuneOperator:
    arguments = {
        "task_id": "tune",
        "model": DEMAND,
        "plan": plan.to_dict(),
        "spec": TUNING,
        "only_asked": True,
    }
    return ModelTuneOperator(**(arguments | said))


def test_the_event_says_how_and_what_for(feeds: Feeds) -> None:
    monitor = feeds.watch(3, other_rule)
    said = context("decide")
    policy = {"strategy": "warm_start", "action": "challenger"}
    decision = decide(monitor=monitor.report_id, policy=policy).execute(said)
    [extra] = said["outlet_events"].extras.values()
    assert extra["dataml"] == {
        "report": decision["report"],
        "monitor": monitor.report_id,
        "reasons": decision["reasons"],
        "strategy": "warm_start",
        "action": "challenger",
    }
    plan = feeds.plan()
    assert isinstance(plan, TrainingPlan)
    assert tune(plan).execute(context("tune"))["report"] is None


def test_new_data_decides_without_a_monitor(feeds: Feeds) -> None:
    with pytest.raises(AirflowSkipException, match="no drift and no decay"):
        decide(policy={"new_batches": 1}).execute(context("decide"))
    feeds.arrives(3)
    said = context("decide", run_id="r2")
    assert decide(policy={"new_batches": 1}).execute(said)["action"] == "retrain"
    assert next(iter(said["outlet_events"].extras.values()))["dataml"]["monitor"] is None


def test_nothing_asked_for_hands_the_spec_on(feeds: Feeds) -> None:
    first = TrainingPlan.from_dict(feeds.ledger.versions.find("ride_late@1").facts["plan"])
    handed = tune(first).execute(context("tune"))
    assert handed == {"spec": SPEC.model_dump(mode="json"), "report": None}
    with pytest.raises(SpecError, match="leave either out"):
        tune(first, shards=2)

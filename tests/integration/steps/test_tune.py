"""A tuning on a ledger: planned because somebody asks, reported once, chosen only when all shards are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.optuna import OptunaStudies
from airflow_dataml.core.errors import SpecError, TrainingSpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.tuning import TuningSpec
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.trials import TuningBench
from airflow_dataml.steps.tune import choose_trial, tune_model
from tests.fakes import LineScorer
from tests.integration.steps.test_models import GOOD, SPEC, WINDOW, Deployment
from tests.support import identity
from tests.unit.steps.test_trials import Told

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

SPACE = {"learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}


def test_a_champion_is_trained_anew_because_somebody_asks(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment = Deployment(ledger, tmp_path, GOOD)
    deployment.first_champion()
    assert isinstance(deployment.plan(), Decision)
    common: dict[str, Any] = {"model": "ride_late", "dataset": "rides", "target": "late", "window": WINDOW}
    plan = plan_training(ledger=ledger, warehouse=ledger.warehouse, **common, because="a tuning was started")
    assert isinstance(plan, TrainingPlan)
    assert plan.reasons == ("a tuning was started",)


def test_shards_are_chosen_from_when_all_are_done(
    ledger: PostgresLedger, ledger_dsn: str, tmp_path: Path
) -> None:
    deployment = Deployment(ledger, tmp_path)
    for month in (1, 2):
        deployment.ingest(month)
    plan = deployment.plan()
    assert isinstance(plan, TrainingPlan)
    spec = TuningSpec.from_mapping({"training": SPEC, "space": SPACE, "trials": 3})
    bench = TuningBench(
        Told(0.6, 0.8, 0.7), OptunaStudies(ledger_dsn), deployment.registry, LineScorer, tmp_path, "rides"
    )
    common: dict[str, Any] = {"ledger": ledger, "plan": plan, "bench": bench}

    def tune(shard: int) -> Any:
        return tune_model(
            **common,
            warehouse=ledger.warehouse,
            identity=identity("tune", "r"),
            spec=spec,
            shard=shard,
            shards=2,
        )

    first = tune(0)
    where = {"study": first.study, "run_id": first.run_id}
    with pytest.raises(SpecError, match=r"has 2 trials of 3, and none running: let all shards succeed first"):
        choose_trial(**common, identity=identity("choose", "r"), spec=spec, **where)
    assert (first.report, tune(1).study) == (None, first.study)
    report = choose_trial(**common, identity=identity("choose", "r"), spec=spec, **where)
    assert (report.kind, report.verdict, report.body["best"], report.body["front"]) == (
        "tuning",
        "pass",
        1,
        [1],
    )
    assert [trial["metric"] for trial in report.body["trials"]] == [0.6, 0.8, 0.7]
    again = choose_trial(**common, identity=identity("choose", "r"), spec=spec, **where)
    assert again.report_id == report.report_id
    graph = ledger.lineage.walk(f"report:{report.report_id}", direction="upstream", depth=1)
    assert "rides@2" in {node.label for node in graph.nodes}
    absent = spec.model_copy(update={"training": SPEC.model_copy(update={"target": "lat"})})
    with pytest.raises(TrainingSpecError, match=r"column of rides@2 'lat' does not exist.*'late'"):
        tune_model(**common, warehouse=ledger.warehouse, identity=identity("tune", "x"), spec=absent)

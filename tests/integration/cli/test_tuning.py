"""The trials of a tuning on the command line."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.tuning_trials import Trial

pytestmark = pytest.mark.integration
TRIALS = (
    Trial(
        number=0,
        shard=0,
        params={"learning_rate": 0.00123456, "module_arguments.hidden": [16, 8]},
        state="complete",
        metric=0.81234,
        latency_ms=1.25,
        seconds=3.0,
    ),
    Trial(number=1, shard=0, params={"learning_rate": 0.01}, state="complete", metric=0.7, latency_ms=0.5),
    Trial(number=2, shard=0, params={"learning_rate": 9.0}, state="failed", why="lower learning_rate"),
)
BODY = {
    "dataset": "rides@2", "objective": "both", "metric": "auc", "direction": "maximize", "study": "s", "run_id": "r7",
    "trials": [trial.to_dict() for trial in TRIALS], "front": [0, 1], "best": 1,
}  # fmt: skip


@pytest.fixture
def tuned(filled_dsn):
    """Keep a tuning of a model, and return the id of its report."""
    with PostgresLedger.connect(filled_dsn) as ledger, ledger.transaction():
        run = ledger.runs.begin(RunIdentity(TaskKey("rides", "r", "tune")), input_digest="x")
        report = ledger.reports.add(
            run=run, fact=run.fact("ride_demand"), kind="tuning", verdict="pass", body=BODY
        )
    return report.report_id


def test_trials_are_printed_with_the_front(terminal, tuned):
    code, out, _ = terminal("model", "trials", "ride_demand")
    assert code == 0
    assert "3 trials on rides@2, objective both (auc, maximize)" in out
    assert "learning_rate 0.001235, hidden [16, 8]" in out
    assert [line.split()[0] for line in out.splitlines() if "complete" in line] == ["0*", "1**"]
    assert "lower learning_rate" in out
    assert "* is on the Pareto front, ** was chosen. MLflow run r7." in out


def test_they_are_json_too(terminal, tuned):
    code, out, _ = terminal("model", "trials", "ride_demand", "--report", str(tuned), "--json")
    assert (code, json.loads(out)["body"]["front"]) == (0, [0, 1])


def test_what_was_never_tuned_is_said(terminal, filled_dsn):
    code, _, err = terminal("model", "trials", "ride_demand")
    assert code != 0
    assert "ride_demand was never tuned: run ModelTuneOperator" in err


def test_another_report_is_no_tuning(terminal, tuned, filled_dsn):
    with PostgresLedger.connect(filled_dsn) as ledger:
        other = next(r for r in ledger.reports.list(asset="ride_demand") if r.kind != "tuning")
    code, _, err = terminal("model", "trials", "ride_demand", "--report", str(other.report_id))
    assert code != 0
    assert f"is a {other.kind} of ride_demand, not a tuning" in err

"""Incidents resolved on the command line, and the alarms of a model counted."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.cli.connection import DSN_VARIABLE
from tests.integration.cli.conftest import Terminal
from tests.support import declare, identity

pytestmark = pytest.mark.integration


def _watch(ledger, batch, verdict, *, budget=2):
    """Write the report of one window, and open an incident where it alarms."""
    run = ledger.runs.begin(identity("monitor", batch), input_digest=batch)
    policy = {"alarm_budget": {"windows": budget} if budget else None}
    with ledger.transaction():
        report = ledger.reports.add(
            run=run, fact=run.fact("late"), kind="monitor", verdict=verdict,
            body={"partition_key": batch, "policy": policy},
        )  # fmt: skip
        if verdict == "fail":
            ledger.incidents.open(
                asset="late", kind="drift", severity="low", title=batch, report_id=report.report_id
            )


@pytest.fixture
def watched(ledger_dsn, capsys, monkeypatch):
    """A terminal and a way to watch a model."""
    monkeypatch.setenv(DSN_VARIABLE, ledger_dsn)
    with PostgresLedger.connect(ledger_dsn) as ledger:
        declare(ledger, "late", kind="model")
        yield Terminal(capsys), lambda *args, **kwargs: _watch(ledger, *args, **kwargs)


def test_false_alarms_are_counted_beside_what_was_stated(watched):
    terminal, watch = watched
    assert terminal("model", "alarms", "late")[:2] == (0, "Late was not watched yet.\n")
    for month, verdict in enumerate(("pass", "fail", "unknown", "pass"), start=1):
        watch(f"2026-{month:02d}", verdict)
    code, found = terminal.json("model", "alarms", "late")
    assert (code, found["windows"], found["alarms"], found["unresolved"], found["verdict"]) == (
        0,
        3,
        1,
        1,
        "pass",
    )
    code, out, _ = terminal("incident", "resolve", "1", "--reason", "false_alarm", "--words", "a holiday")
    assert (code, out) == (0, "Incident 1 is resolved: false_alarm, a holiday\n")
    found = terminal.json("model", "alarms", "late")[1]
    assert (found["false_alarms"], found["unresolved"], found["reasons"]) == (1, 0, {"false_alarm": 1})


def test_more_false_alarms_than_were_stated_fail(watched):
    terminal, watch = watched
    for day in range(1, 6):
        watch(f"2026-01-{day:02d}", "fail", budget=1000)
        assert (
            terminal("incident", "resolve", str(day), "--reason", "false_alarm", "--words", "nothing")[0] == 0
        )
    code, out, _ = terminal("model", "alarms", "late")
    assert code == 1
    assert out.startswith(
        "5 of 5 alarms in 5 windows were false, 1.0000 per window [0.3247, 2.3337]; 1 in 1000"
    )


def test_a_reason_belongs_to_a_resolution_that_can_be(watched):
    terminal, watch = watched
    watch("2026-01", "fail", budget=None)
    assert terminal("incident", "resolve", "9", "--reason", "fixed", "--words", "x")[0] == 1
    assert terminal("incident", "resolve", "1", "--reason", "fixed", "--words", " ")[0] == 1
    assert terminal("incident", "resolve", "1", "--reason", "fixed", "--words", "x")[0] == 0
    assert terminal("incident", "resolve", "1", "--reason", "fixed", "--words", "x")[0] == 1
    assert terminal.json("model", "alarms", "late")[1]["verdict"] == "unknown"

"""The card and the explanation of a model on the command line."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity

pytestmark = pytest.mark.integration


def attribution(feature, share):
    return {
        "feature": feature,
        "share": share,
        "importance": {"estimate": share / 2, "low": share / 4, "high": share, "level": 0.95, "n": 10},
    }


BODY = {
    "version": "ride_demand@1", "dataset": "rides@2", "metric": "log_loss", "rows": 900,
    "summary": "permutation importance on 900 rows: km 80%, hour 20%",
    "features": [attribution("km", 0.8), attribution("hour", 0.2)],
    "slices": [
        {"column": "kind", "value": "bus", "rows": 600, "loss": {"estimate": 0.4}, "features": [attribution("km", 1.0)]},
        {"column": "kind", "value": "tram", "rows": 3, "loss": {"estimate": 0.5}, "features": []},
    ],
    "predictions": [
        {
            "method": "occlusion", "key": {"id": "7"}, "end": "high", "score": 0.93, "label": 1.0,
            "features": [{"feature": "km", "contribution": 0.4}, {"feature": "hour", "contribution": -0.1}],
        }
    ],
}  # fmt: skip


@pytest.fixture
def explained(filled_dsn):
    """Keep an explanation of the champion, and a second version beside it."""
    with PostgresLedger.connect(filled_dsn) as ledger, ledger.transaction():
        run = ledger.runs.begin(RunIdentity(TaskKey("rides", "r", "explain")), input_digest="x")
        fact = run.fact("ride_demand")
        version = ledger.versions.find("ride_demand@1")
        ledger.reports.add(
            run=run, fact=fact, kind="explanation", verdict="pass", body=BODY, version_id=version.version_id
        )
        ledger.versions.add(run=run, fact=fact, facts={"training": {"metrics": {"loss": 0.5}}})


@pytest.mark.parametrize("ref", ["ride_demand", "ride_demand@1", "ride_demand@champion"], ids=str)
def test_a_card_is_printed_as_markdown(terminal, ref):
    code, out, _ = terminal("model", "card", ref)
    assert code == 0
    assert out.startswith("# ride\\_demand@1\n")
    assert "| Dataset | rides@2 |" in out
    assert "Verdict: **pass**" in out
    assert "**became champion**" in out


def test_programs_get_it_as_json(terminal):
    code, data = terminal.json("model", "card", "ride_demand")
    assert (code, data["version"]) == (0, "ride_demand@1")
    assert data["markdown"].startswith("# ride\\_demand@1\n")


def test_what_is_no_model_has_none(terminal):
    code, _, err = terminal("model", "card", "rides")
    assert code != 0
    assert "'rides' is a dataset: a card is of a model" in err


def test_a_card_is_a_page_too(terminal, explained):
    code, out, _ = terminal("model", "card", "ride_demand", "--format", "html")
    assert code == 0
    assert out.startswith("<!doctype html>")
    assert "<td>km</td>" in out


def test_a_card_is_facts_too(terminal, explained):
    code, out, _ = terminal("model", "card", "ride_demand", "--format", "json")
    assert (code, json.loads(out)["controls"]["verdict"]) == (0, "fail")
    _, data = terminal.json("model", "card", "ride_demand", "--format", "json")
    assert data["json"] == json.loads(out)


def test_two_cards_are_compared(terminal, explained):
    code, out, _ = terminal("model", "card", "ride_demand@2", "--diff", "ride_demand@1")
    lines = out.split("\n")
    assert (code, lines[:2]) == (0, ["--- ride_demand@1", "+++ ride_demand@2"])
    assert {"-| loss | 0.25 |", "+| loss | 0.5 |", "+_Not explained._"} <= set(lines)
    _, data = terminal.json("model", "card", "ride_demand@2", "--diff", "ride_demand@1")
    assert (data["old"], data["new"], data["diff"] + "\n") == ("ride_demand@1", "ride_demand@2", out)


def test_a_card_does_not_differ_from_itself(terminal):
    _, out, _ = terminal("model", "card", "ride_demand", "--diff", "ride_demand@1")
    assert out == "The cards of ride_demand@1 and ride_demand@1 do not differ.\n"


def test_the_kept_explanation_is_printed_as_tables(terminal, explained):
    code, out, _ = terminal("model", "explain", "ride_demand")
    assert code == 0
    for line in (
        "ride_demand@1 is PASS",
        "km       +0.4                +0.2   +0.8  80%",
        "kind bus: 600 rows, mean log_loss 0.4",
        "Too few rows to explain.",
        "id 7: score 0.93 (high), by occlusion",
        "hour     -0.1",
    ):
        assert line in out, (line, out)


def test_programs_get_the_explanation_as_it_was_kept(terminal, explained):
    code, data = terminal.json("model", "explain", "ride_demand@1")
    assert (code, data["kind"], data["body"]) == (0, "explanation", BODY)


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        ("ride_demand@2", "ride_demand@2 has no explanation: run ModelExplainOperator on it."),
        ("rides", "'rides' is a dataset: an explanation is of a model."),
    ],
    ids=str,
)
def test_what_has_no_explanation_says_so(terminal, explained, ref, error):
    code, _, err = terminal("model", "explain", ref)
    assert code != 0
    assert error in err

"""A card says what is known and says what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_dataml.core.datasets import Version
from airflow_dataml.core.governance import Incident, Report
from airflow_dataml.core.model_card import CardFacts, diff_cards, model_card, render_card
from airflow_dataml.core.model_controls import ControlPolicy

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASSET = {"name": "ride_late", "kind": "model", "owner": "ana", "tags": ["gold"], "importance": "high"}
VERSION = Version(
    version_id=5, asset="ride_late", kind="model", number=2, fact_key="k", rows=None, fingerprint=None, schema_hash=None,
    partition_key=None, created_at=AT, aliases=("champion",),
    facts={
        "spec": {
            "task": "binary", "target": "late", "seed": 7, "features": [{"name": "km", "kind": "numeric"}],
            "module_arguments": {"hidden": 64},
        },
        "plan": {"version": "rides@2", "partitions": ["2026-01", "2026-02"], "cut": "2026-02-15", "reasons": ["decay: worse"]},
        "training": {"metrics": {"loss": 0.123456}, "rows": 3000, "weights_digest": "abc"},
        "registry": {"version": 4, "run_id": "r1"},
    },
)  # fmt: skip
BARE = CardFacts({"name": "ride_late", "kind": "model"}, replace(VERSION, facts={}, aliases=()))


def report(kind, body, *, verdict="pass", number=1):
    return Report(number, "ride_late", kind, verdict, body, AT, version_id=5)


def interval(estimate):
    return {"estimate": estimate, "low": estimate - 0.1, "high": estimate + 0.1, "level": 0.95, "n": 900}


EVALUATION = report(
    "evaluation",
    {
        "summary": "log_loss 0.5 against 0.6", "metric": "log_loss", "rows": 900, "dataset": "rides@2",
        "challenger": {"who": "ride_late@2", "loss": interval(0.5), "auc": 0.8},
        "opponent": {"who": "ride_late@1", "loss": interval(0.6), "auc": None},
        "difference": interval(-0.1),
    },
    number=9,
)  # fmt: skip


def test_it_says_what_it_learnt_from_and_how_good_it_is():
    moves = [{"name": "champion", "moved_at": AT, "report_id": 10, "reasons": ["surely better"]}]
    card = model_card(
        CardFacts(
            ASSET, VERSION, evaluation=EVALUATION, moves=moves, run={"dag_id": "rides", "task_id": "train"}
        )
    )
    for line in (
        "# ride\\_late@2", "| Dataset | rides@2 |", "| Batches | 2026-01, 2026-02 |", "| km | numeric |", "| seed | 7 |",
        "| module\\_arguments.hidden | 64 |", "| loss | 0.1235 |", "| Rows read | 3,000 |", "| Task | rides.train |",
        "Verdict: **pass** (report 9, 2026-03-01 UTC).", "| ride\\_late@1 | 0.6 (0.5 to 0.7, 95%) | - |",
        "- 2026-03-01 **became champion** (report 10): surely better",
    ):  # fmt: skip
        assert line in card.split("\n"), line
    assert "Paired difference -0.1 (-0.2 to 0, 95%) on 900 rows of rides@2" in card


def finding(name, verdict="pass", *, holds=True, measured=None):
    return {
        "kind": "gate", "name": name, "verdict": verdict, "reason": f"why {name}", "rows": 450, "interval": measured,
        "holds": holds,
    }  # fmt: skip


def test_it_shows_every_metric_with_its_interval_and_what_each_condition_found():
    body = EVALUATION.body | {
        "champion_ref": "ride_late@1",
        "challenger": EVALUATION.body["challenger"]
        | {"metrics": {"roc_auc": interval(0.8), "accuracy": interval(0.7)}},
        "opponent": EVALUATION.body["opponent"] | {"metrics": {"roc_auc": interval(0.6)}},
        "gates": [finding("roc_auc", measured=interval(0.8))],
        "slices": [finding("kind=bike", "fail", measured=interval(0.05))],
        "fairness": [finding("kind=tram", "unknown", holds=False)],
    }
    card = model_card(CardFacts(ASSET, VERSION, evaluation=report("evaluation", body)))
    for line in (
        "| Metric | This version | ride_late@1 |",
        "| roc auc | 0.8 (0.7 to 0.9, 95%) | 0.6 (0.5 to 0.7, 95%) |",
        "| accuracy | 0.7 (0.6 to 0.8, 95%) | - |",
        "| Gate | Verdict | Rows | Interval | Why |",
        "| roc\\_auc | pass | 450 | 0.8 (0.7 to 0.9, 95%) | why roc\\_auc |",
        "| Slice | Verdict | Rows | Interval | Why |",
        "| kind=bike | fail | 450 | 0.05 (-0.05 to 0.15, 95%) | why kind=bike |",
        "| Groups | Verdict | Rows | Interval | Why |",
        "| kind=tram | unknown, only said | 450 | - | why kind=tram |",
    ):
        assert line in card.split("\n"), card
    assert "| Metric | This version |" not in model_card(CardFacts(ASSET, VERSION, evaluation=EVALUATION))


@pytest.mark.parametrize(
    "words",
    [
        "_Nobody described this model yet._", "_Unknown: the version was not trained from a version of the ledger._",
        "_Not evaluated._", "_Not observed on live data yet._", "_None yet._", "_Not written down.",
    ],
    ids=str,
)  # fmt: skip
def test_it_says_what_nobody_knows(words):
    assert words in model_card(BARE)


def test_it_is_the_same_for_the_same_facts():
    facts = CardFacts(ASSET, VERSION, evaluation=EVALUATION)
    assert model_card(facts) == model_card(facts)


def test_what_people_wrote_is_no_markup():
    card = model_card(replace(BARE, asset={"description": "a | b\n# not a title <script>", "owner": "x|y"}))
    assert "a \\| b \\# not a title \\<script\\>" in card
    assert "| Owner | x\\|y |" in card


def test_days_on_which_nothing_was_to_be_done_are_left_out():
    reports = [
        report("decision", {"action": "wait", "reasons": ["calm"]}),
        report("decision", {"action": "retrain", "reasons": ["decay: worse"]}, number=3),
        report(
            "monitor", {"partition_key": "2026-03", "inputs": [{"column": "km", "psi": 0.4}]}, verdict="warn"
        ),
    ]
    incident = Incident(1, "ride_late", "decay", "high", "new", "it does worse", 3, AT)
    card = model_card(CardFacts(ASSET, VERSION, reports=reports, incidents=[incident]))
    assert "- 2026-03-01 **retrain** (report 3): decay: worse" in card
    assert "calm" not in card
    assert "| 2026-03 | warn | 0.4 | - | - |" in card
    assert "- high decay: it does worse (new)" in card


def attribution(feature, share):
    return {"feature": feature, "share": share, "importance": interval(share)}


EXPLANATION = report(
    "explanation",
    {
        "summary": "km 80%", "metric": "log_loss", "rows": 900, "dataset": "rides@2",
        "features": [attribution("km", 0.8), attribution("hour", 0.2)],
        "slices": [
            {"column": "kind", "value": "bus", "rows": 600, "loss": interval(0.4), "features": [attribution("km", 1.0)]},
            {"column": "kind", "value": "tram", "rows": 3, "loss": interval(0.5), "features": []},
        ],
        "drift": {"share_shift": 0.3, "rank_correlation": -0.5, "against": "ride_late@1"},
    },
    verdict="warn", number=12,
)  # fmt: skip


def test_it_says_what_the_scores_rest_on():
    card = model_card(CardFacts(ASSET, VERSION, explanation=EXPLANATION))
    for line in (
        "Verdict: **warn** (report 12, 2026-03-01 UTC).",
        "How much the mean log loss grows when a feature is shuffled, on 900 rows of rides@2.",
        "| km | 0.8 (0.7 to 0.9, 95%) | 80% |",
        "| kind bus | 600 | 0.4 | km 100% |",
        "| kind tram | 3 | 0.5 | too few rows |",
        "30% of importance moved since ride\\_late@1; the rank correlation is -0.5.",
    ):
        assert line in card.split("\n"), line


def test_it_lists_what_is_missing_and_what_to_do():
    card = model_card(CardFacts(ASSET, VERSION, evaluation=EVALUATION))
    for line in (
        "Verdict: **fail** for high importance.",
        "| owner | yes | - |",
        "| evaluation | yes | - |",
        "| explanation | missing | explain this version with ModelExplainOperator |",
    ):
        assert line in card.split("\n"), line


@pytest.mark.parametrize(("verdict", "there"), [("pass", "yes"), ("fail", "missing")], ids=str)
def test_only_a_given_approval_counts(verdict, there):
    asset = ASSET | {"importance": "critical"}
    facts = CardFacts(asset, VERSION, approval=report("approval", {}, verdict=verdict))
    assert f"| approval | {there} |" in model_card(facts)


def test_a_policy_of_ones_own_is_gone_by():
    policy = ControlPolicy(high=("owner",))
    assert "Verdict: **pass** for high importance." in model_card(CardFacts(ASSET, VERSION), policy=policy)


@pytest.mark.parametrize(
    ("environment", "lines"),
    [
        (
            {"python": "3.12.1", "platform": "Linux", "commit": "abc", "packages": {"onnx": "1.20"}},
            ["| Python | 3.12.1 |", "| Platform | Linux |", "| Commit | abc |", "| onnx | 1.20 |"],
        ),
        ({"python": "3.12.1"}, ["| Python | 3.12.1 |"]),
        ({"packages": ["onnx"]}, []),
        ("unreadable", []),
    ],
    ids=["all", "some", "no mapping of packages", "no mapping"],
)
def test_where_it_was_made_is_told_as_far_as_it_is_known(environment, lines):
    facts = CardFacts(ASSET, replace(VERSION, facts={**VERSION.facts, "environment": environment}))
    written = model_card(facts).split("\n")
    assert [line for line in lines if line not in written] == []


def test_the_three_languages_say_the_same():
    facts = CardFacts(ASSET, VERSION, evaluation=EVALUATION, explanation=EXPLANATION)
    page, data = render_card(facts, form="html"), json.loads(render_card(facts, form="json"))
    assert render_card(facts, form="markdown") == model_card(facts)
    titles = [one["title"] for one in data["sections"]]
    assert [line[3:] for line in model_card(facts).split("\n") if line.startswith("## ")] == titles
    assert all(f"<h2>{title}</h2>" in page for title in titles)
    assert "<td>0.8 (0.7 to 0.9, 95%)</td>" in page
    assert data["controls"]["verdict"] == "fail"


def test_a_diff_shows_what_changed_alone():
    before = model_card(CardFacts(ASSET, VERSION))
    after = model_card(CardFacts(ASSET, VERSION, evaluation=EVALUATION))
    changed = diff_cards(("a@1", before), ("a@2", after)).split("\n")
    assert changed[:2] == ["--- a@1", "+++ a@2"]
    assert "-_Not evaluated._" in changed
    assert diff_cards(("a@1", before), ("a@2", before)) == ""

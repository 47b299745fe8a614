"""``dataml model estimate`` on scored batches."""

from __future__ import annotations

import pytest

from tests.integration.steps.test_models import GOOD, Deployment

pytestmark = pytest.mark.integration


@pytest.fixture
def deployment(ledger, tmp_path):
    deployment = Deployment(ledger, tmp_path, GOOD)
    deployment.first_champion()
    for month in (3, 4):
        deployment.ingest(month)
        deployment.score(f"2026-{month:02d}")
    return deployment


def test_estimate_and_measured_stand_side_by_side(empty_terminal, deployment):
    code, out, _ = empty_terminal("model", "estimate", "ride_scores", "--batch", "2026-03")
    assert code == 0
    assert "ride_late@1 on batch 2026-03 of ride_scores@1: 2,000 scores, 2,000 of them labelled." in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert {"roc_auc", "log_loss", "brier_score_loss", "accuracy"} <= set(lines)
    assert all(lines[name][-1] == "yes" for name in ("roc_auc", "log_loss", "brier_score_loss"))
    assert "with 95% intervals" in out


def test_the_newest_batch_unless_another_is_named(empty_terminal, deployment):
    _, found = empty_terminal.json("model", "estimate", "ride_scores", "--level", "0.99")
    assert (found["batch"], found["expected"]["level"]) == ("2026-04", 0.99)
    expected, measured = found["expected"], found["measured"]
    assert measured["n"] == 2000
    assert set(measured) - {"n"} == {name for name, one in expected.items() if isinstance(one, dict)}


def test_without_labels_only_the_estimate(empty_terminal, deployment):
    ledger = deployment.ledger
    [part] = [
        p
        for p in ledger.versions.manifest(ledger.versions.find("rides").version_id)
        if p.partition_key == "2026-04"
    ]
    # As if they had not come yet.
    ledger.connection.execute(f"ALTER TABLE {part.relation.quoted} DISABLE TRIGGER USER")
    ledger.connection.execute(f"UPDATE {part.relation.quoted} SET late = NULL")
    _, out, _ = empty_terminal("model", "estimate", "ride_scores")
    assert "none of them labelled yet" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("rides",), "holds no batch that ModelScoreOperator scored", id="no predictions"),
        pytest.param(("ride_scores", "--batch", "2026-09"), "'2026-09' does not exist", id="no such batch"),
    ],
)
def test_what_cannot_be_estimated_is_said(empty_terminal, deployment, words, said):
    code, _, err = empty_terminal("model", "estimate", *words)
    assert code != 0
    assert said in err

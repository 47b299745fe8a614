"""Hard examples: rows that the champion got surely wrong, or that two versions see apart, as a dataset to learn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.hard_examples import HardExamplePolicy, HardRowsQuery
from airflow_dataml.core.layout import Layout
from airflow_dataml.steps.hard_examples import stage_hard_examples
from airflow_dataml.steps.ingest import Target
from airflow_dataml.steps.publish import place_of, publish_part
from tests.integration.steps.rides import Rides
from tests.integration.steps.test_guidance import Guided
from tests.integration.steps.test_models import GOOD, POOR
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version

HARD = "hard_rides"


class Teaching(Guided):
    """A deployment that gathers the hard rows of what was scored."""

    def __init__(self, ledger: PostgresLedger, folder: Path, *lines: tuple[float, float]) -> None:
        super().__init__(ledger, folder, *lines)
        declare(ledger, HARD)

    def gather(
        self, run: str = "a", *, key: str | None = None, labels: str | None = None, **policy: Any
    ) -> StagedPart | Decision:
        return stage_hard_examples(
            **self._common,
            store=self.ledger.store,
            identity=identity("gather", run),
            target=Target(HARD, "partition" if key else "replace", key, location=f"public.{HARD}"),
            model="ride_late",
            predictions="ride_scores",
            key_columns=("id",),
            policy=HardExamplePolicy(**policy),
            labels=labels,
        )

    def keep(self, run: str = "a", **how: Any) -> Version:
        staged = self.gather(run, **how)
        assert not isinstance(staged, Decision), staged.reasons
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("keep", run),
            staged=staged,
            place=place_of(self.ledger, HARD, f"public.{HARD}", Layout()),
            require_check=False,
        )

    def rows(self) -> list[dict[str, Any]]:
        return self.ledger.connection.rows(f"SELECT * FROM public.{HARD} ORDER BY id")


@pytest.fixture
def deployment(ledger: PostgresLedger, tmp_path: Path) -> Teaching:
    """``ride_late@1``, champion, has scored two months; ``ride_late@2``, a shadow, the second of them."""
    made = Teaching(ledger, tmp_path, GOOD, POOR)
    made.first_champion()
    made.score("2026-01")
    made.promote("second", made.challenge()[1])
    made.score("2026-02")
    return made


def test_what_was_surely_wrong_and_where_two_versions_disagree(deployment: Teaching) -> None:
    version = deployment.keep(loss_quantile=0.9, disagreement=0.25)
    rows = deployment.rows()
    assert set(rows[0]) == {
        *("id", "score", "label", "loss", "reason", "model_version", "other_score", "other_version", "batch")
    }
    truth = {
        row["id"]: row for row in deployment.ledger.connection.rows("SELECT id, km, late FROM public.rides")
    }
    for row in rows:
        km, late = truth[row["id"]]["km"], truth[row["id"]]["late"]
        assert row["score"] == pytest.approx(min(max(GOOD[1] * km, 0.01), 0.99))
        assert (row["label"], row["model_version"]) == (float(late), 1)
        assert row["loss"] == pytest.approx(-math.log(row["score"] if late else 1 - row["score"]))
        if "wrong" in row["reason"]:
            assert (row["score"] >= 0.5) != late
        if "disagreed" in row["reason"]:
            assert row["other_version"] == 2
            assert row["other_score"] == pytest.approx(POOR[0] + POOR[1] * km)
            assert abs(row["other_score"] - row["score"]) >= 0.25
            assert row["batch"] == "2026-02", "no other version scored January"
        else:
            assert (row["other_score"], row["other_version"]) == (None, None)
    by_reason = {reason: [r for r in rows if r["reason"] == reason] for reason in {r["reason"] for r in rows}}
    assert set(by_reason) == {"wrong", "disagreed", "wrong and disagreed"}
    january = [r for r in rows if r["batch"] == "2026-01"]
    assert 100 <= len(january) <= 200, "a tenth of the batch, and of it what is on the wrong side"
    assert min(r["loss"] for r in january) > 1.0
    labels = {node.label: kind for node, kind in _upstream(deployment, version)}
    assert labels == dict.fromkeys(("ride_scores@2", "rides@2", "ride_late@1", "ride_late@2"), "derived")
    flows = deployment.ledger.columns.of_parts([version.facts["part_id"]])
    scores = deployment.ledger.versions.find("ride_scores@2")
    assert ["score", "score", "direct", "value"] in flows[scores.version_id].mapping


def _upstream(deployment: Teaching, version: Version) -> list[tuple[Any, str]]:
    graph = deployment.ledger.lineage.walk(f"version:{version.version_id}", direction="upstream", depth=1)
    kinds = {source: kind for source, _, kind in graph.edges}
    return [(node, kinds[node.node]) for node in graph.nodes if node.node in kinds]


def test_a_training_weights_them_and_no_row_of_its_holdout(deployment: Teaching) -> None:
    deployment.keep(loss_quantile=0.9)
    ids = {row["id"] for row in deployment.rows()}
    version = deployment.guided("a", POOR, hard_examples={"dataset": HARD, "weight": 4})
    [rows] = deployment.looking.found
    cut = version.facts["plan"]["cut"]
    before = deployment.ledger.connection.rows(
        "SELECT id, at < %s::timestamptz AS trains FROM public.rides WHERE late IS NOT NULL", [cut]
    )
    later = {row["id"] for row in before if not row["trains"]}
    assert ids & later, "some hard rows are of the holdout"
    assert len(rows) == sum(row["trains"] for row in before)
    assert sum(float(row["dataml_weight"]) == 4 for row in rows) == len(ids - later)
    assert {float(row["dataml_weight"]) for row in rows} == {1, 4}
    assert (f"{HARD}@1", "weighted") in deployment.edges(version)


def test_a_retry_stages_once_and_the_next_run_brings_another_version(deployment: Teaching) -> None:
    first, again = deployment.gather(), deployment.gather()
    assert first == again
    one, other = deployment.keep(), deployment.keep("b", loss_quantile=0.5)
    assert (one.ref, other.ref) == (f"{HARD}@1", f"{HARD}@2")
    assert other.rows is not None
    assert one.rows is not None
    assert other.rows > one.rows


@pytest.mark.parametrize(
    ("policy", "batches"),
    [
        ({"batches": 1}, {"2026-02"}),
        ({"most": 3, "disagreement": None}, {"2026-01", "2026-02"}),
        ({"key": "2026-01"}, {"2026-01"}),
    ],
    ids=["the newest", "the worst", "one batch"],
)
def test_how_much_is_searched(deployment: Teaching, policy: dict[str, Any], batches: set[str]) -> None:
    version = deployment.keep(**policy)
    rows = deployment.rows()
    assert {row["batch"] for row in rows} <= batches
    if "most" in policy:
        deployment.keep("all", disagreement=None)
        worst = sorted((row["loss"] for row in deployment.rows()), reverse=True)[:3]
        assert sorted((row["loss"] for row in rows), reverse=True) == worst
    assert version.partition_key == policy.get("key")


def test_nothing_to_gather_is_said(ledger: PostgresLedger, tmp_path: Path) -> None:
    fresh = Teaching(ledger, tmp_path, GOOD)
    found = fresh.gather()
    assert isinstance(found, Decision)
    assert found.reasons == ("model 'ride_late' has no champion yet",)
    fresh.first_champion()
    found = fresh.gather()
    assert isinstance(found, Decision)
    assert found.reasons == ("'ride_scores' has no version yet",)
    fresh.score("2026-02")
    found = fresh.gather(key="2026-01")
    assert isinstance(found, Decision)
    assert "no batch of ride_scores@1 has a labelled row that was hard" in found.reasons[0]


def test_labels_that_come_in_a_dataset_of_their_own(deployment: Teaching) -> None:
    later = Rides(deployment.ledger, "outcomes")
    later.write(
        [[10_000 + index, index < 5] for index in range(500)],
        columns=[Column("id", "integer"), Column("late", "boolean")],
    )
    version = deployment.keep(labels="outcomes", disagreement=None)
    rows = deployment.rows()
    assert {row["batch"] for row in rows} == {"2026-01"}
    assert max(row["id"] for row in rows) < 10_500
    assert "outcomes@1" in {node.label for node, _ in _upstream(deployment, version)}


def test_what_cannot_be_is_refused(deployment: Teaching) -> None:
    with pytest.raises(SpecError, match=r"key columns \['score'\] have names"):
        stage_hard_examples(
            **deployment._common,
            store=deployment.ledger.store,
            identity=identity("gather"),
            target=Target(HARD, "replace"),
            model="ride_late",
            predictions="ride_scores",
            key_columns=("id", "score"),
            policy=HardExamplePolicy(),
        )
    deployment.ledger.connection.execute(
        """UPDATE dataml.version SET facts = jsonb_set(facts, '{spec,task}', '"ranking"') WHERE facts ? 'plan'"""
    )
    with pytest.raises(SpecError, match="a model for 'ranking': hard examples are found for binary, regr"):
        deployment.gather()


def test_a_regression_disagrees_in_deviations_of_its_scores(deployment: Teaching) -> None:
    deployment.ledger.connection.execute(
        """UPDATE dataml.version SET facts = jsonb_set(facts, '{spec,task}', '"regression"') WHERE facts ? 'plan'"""
    )
    deployment.keep(loss_quantile=0.99, disagreement=1.2)
    rows = deployment.rows()
    [spread] = deployment.ledger.connection.rows(
        "SELECT stddev_pop(score) AS sd FROM public.ride_scores p JOIN public.rides USING (id) "
        "WHERE model_role = 'champion' AND id BETWEEN 20000 AND 29999"
    )
    far = [row for row in rows if "disagreed" in row["reason"]]
    assert far
    assert min(abs(row["other_score"] - row["score"]) for row in far) >= 1.2 * spread["sd"]
    assert all(row["loss"] == pytest.approx((row["label"] - row["score"]) ** 2) for row in rows)


@pytest.mark.parametrize("shadows", [False, True], ids=["champion-alone", "with-a-shadow"])
def test_a_key_of_many_columns_reads_no_row_over_and_over(ledger: PostgresLedger, shadows: bool) -> None:
    """A planner that takes the columns for independent expects a row, and would look at all rows for each of them."""
    keys, db = ("a", "b", "c", "d"), ledger.connection
    rows = "SELECT n / 100 AS a, n % 100 AS b, n / 100 * 2 AS c, n % 100 * 3 AS d FROM generate_series(0, 9999) n"
    roles = "'champion'" if not shadows else "unnest(ARRAY['champion', 'shadow'])"
    db.execute(
        f"CREATE TABLE scored AS SELECT *, {roles} AS model_role, 1 AS model_version, 0.5 AS score FROM ({rows}) k"
    )
    db.execute(f"CREATE TABLE labelled AS SELECT *, true AS late FROM ({rows}) k")
    db.execute("ANALYZE scored, labelled")
    asked = HardRowsQuery(keys, "binary", "late", HardExamplePolicy()).counts("scored", "labelled")
    plan = "\n".join(row["QUERY PLAN"] for row in db.rows(f"EXPLAIN {asked}"))
    assert "Nested Loop" not in plan
    assert db.rows(asked)[0]["labelled"] == 10_000

"""The model half of the lifecycle, step by step, without Airflow, torch or MLflow."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import (
    AliasMovedError,
    NotFoundError,
    PromotionRefusedError,
    RegistryError,
    SpecError,
)
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.retraining import RetrainPolicy
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.windows import DataWindow, TrainingPlan
from airflow_dataml.steps.branches import create_branch, location_on
from airflow_dataml.steps.decide import decide_after_monitor
from airflow_dataml.steps.evaluate import Bench, evaluate_model
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.promote import drain_aliases, promote_model
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.score import score_batch
from airflow_dataml.steps.train import Workshop, train_model
from airflow_dataml.testing import InMemoryRegistry
from tests.fakes import LineScorer, LineTrainer
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report

COLUMNS = (
    Column("id", "integer"),
    Column("at", "timestamptz"),
    Column("km", "double precision"),
    Column("late", "boolean"),
)
SPEC = TrainingSpec.from_mapping(
    {"model": "ride_late", "task": "binary", "target": "late", "features": [{"name": "km"}]}
)
WINDOW = DataWindow(time_column="at", key_columns=("id",), batches=2, min_batches=2)
# Late grows with km up to .9 at 10 km and more; the second line says so, the first knows less.
GOOD, POOR = (0.0, 0.08), (0.3, 0.02)


class Deployment:
    """One ledger with everything beside it; each verb is one task."""

    def __init__(self, ledger: PostgresLedger, folder: Path, *lines: tuple[float, float]) -> None:
        self.ledger, self.folder = ledger, folder
        self.registry, self.trainer = InMemoryRegistry(), LineTrainer(*lines)
        self.bench = Bench(self.registry, LineScorer, folder)
        declare(ledger, "rides")
        declare(ledger, "ride_late", kind="model")
        declare(ledger, "ride_scores", kind="prediction")

    @property
    def _common(self) -> dict[str, Any]:
        return {"ledger": self.ledger, "warehouse": self.ledger.warehouse}

    def ingest(self, month: int, *, longer: float = 0.0, branch: str | None = None) -> Version:
        key, draw = f"2026-{month:02d}", random.Random(month)  # noqa: S311 - test data
        lines = ["id,at,km,late"]
        for index in range(2000):
            km = draw.uniform(0, 10) + longer
            late = "t" if draw.random() < min(0.08 * km, 0.95) else "f"
            lines.append(
                f"{month * 10_000 + index},2026-{month:02d}-{1 + index // 80:02d}T10:00:00+00:00,{km:.4f},{late}"
            )
        path = self.folder / f"{key}.csv"
        path.write_text("\n".join(lines) + "\n")
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", key),
            target=Target("rides", "partition", key, location="public.rides", branch=branch),
            path=path,
            columns=COLUMNS,
        )
        where = "public.rides" if branch is None else location_on(self.ledger, branch, "public.rides")
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", key),
            staged=staged,
            place=place_of(self.ledger, "rides", where, Layout(), branch=branch),
            require_check=False,
        )

    def plan(self) -> TrainingPlan | Decision:
        return plan_training(**self._common, model="ride_late", dataset="rides", target="late", window=WINDOW)

    def train(self, run: str, plan: TrainingPlan) -> Version:
        workshop = Workshop(self.trainer, self.registry, LineScorer, self.folder, "rides")
        return train_model(
            **self._common, identity=identity("train", run), plan=plan, spec=SPEC, workshop=workshop
        )

    def evaluate(self, run: str, challenger: str, **policy: Any) -> Report:
        return evaluate_model(
            **self._common,
            identity=identity("evaluate", run),
            challenger=challenger,
            policy=PromotionPolicy(**policy),
            bench=self.bench,
        )

    def promote(self, run: str, evaluation: Report) -> Report:
        return promote_model(
            ledger=self.ledger,
            identity=identity("promote", run),
            model="ride_late",
            evaluation=evaluation.report_id,
        )

    def first_champion(self) -> Version:
        for month in (1, 2):
            self.ingest(month)
        plan = self.plan()
        assert isinstance(plan, TrainingPlan)
        version = self.train("first", plan)
        self.promote("first", self.evaluate("first", version.ref))
        return self.ledger.versions.find("ride_late@champion")

    def challenge(self) -> tuple[Version, Report]:
        """Train another version on the same data, as if it had been asked for, and measure it."""
        champion = self.ledger.versions.find("ride_late@champion")
        plan = TrainingPlan.from_dict(champion.facts["plan"] | {"champion": champion.version_id})
        version = self.train("second", plan)
        return version, self.evaluate("second", version.ref)

    def score(self, key: str, branch: str | None = None) -> Version | Decision:
        return score_batch(
            **self._common,
            store=self.ledger.store,
            identity=identity("score", key),
            model="ride_late",
            dataset="rides",
            predictions="ride_scores",
            view=Relation("public", "ride_scores"),
            key_columns=("id",),
            partition_key=key,
            bench=self.bench,
            branch=branch,
        )

    def observe(self, key: str, branch: str | None = None) -> Report:
        return observe_batch(
            **self._common,
            identity=identity("monitor", key),
            model="ride_late",
            predictions="ride_scores",
            key_columns=("id",),
            partition_key=key,
            policy=MonitorPolicy(),
            branch=branch,
        )

    def decide(self, key: str, monitor: Report, run: str = "") -> Report:
        return decide_after_monitor(
            ledger=self.ledger,
            identity=identity("decide", key + run),
            monitor=monitor.report_id,
            policy=RetrainPolicy(),
        )


@pytest.fixture
def make(ledger: PostgresLedger, tmp_path: Path) -> Any:
    return lambda *lines: Deployment(ledger, tmp_path, *lines)


class TestPlan:
    def test_a_first_model_waits_for_enough_batches(self, make: Any) -> None:
        deployment = make()
        deployment.ingest(1)
        plan = deployment.plan()
        assert isinstance(plan, Decision)
        assert plan.reasons == ("1 of 2 batches have arrived",)

    def test_a_later_model_waits_to_be_asked_for(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        plan = deployment.plan()
        assert isinstance(plan, Decision)
        assert "ride_late@1 is champion and nothing asks" in plan.reasons[0]

    def test_the_holdout_is_later_than_every_training_row(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        # All of January and the first half of February.
        assert 2900 <= deployment.trainer.rows[0] <= 3000


class TestBranch:
    def test_what_is_scored_and_seen_on_a_branch_is_nobody_elses(self, make: Any) -> None:
        deployment = make(GOOD)
        ledger = deployment.ledger
        deployment.first_champion()
        everybodys = deployment.score("2026-02")
        create_branch(ledger=ledger, store=ledger.store, identity=identity("create"), name="dev-x")
        features = deployment.ingest(3, longer=30.0, branch="dev-x")
        with pytest.raises(NotFoundError, match="batch of rides@2 '2026-03'"):
            deployment.score("2026-03")
        scored = deployment.score("2026-03", branch="dev-x")
        assert scored.facts["features"] == features.version_id
        assert ledger.versions.find("ride_scores").ref == everybodys.ref
        assert ledger.versions.find("ride_scores", branch="dev-x").ref == scored.ref
        seen = {
            view: ledger.connection.scalar(f"SELECT max(features_version) FROM {view}.ride_scores")
            for view in ("public", "branch_dev_x")
        }
        assert seen == {"public": 2, "branch_dev_x": features.number}
        report = deployment.observe("2026-03", branch="dev-x")
        assert (report.verdict, report.asset, report.version_id) == ("fail", "ride_scores", scored.version_id)
        assert ledger.connection.scalar("SELECT count(*) FROM dataml.incident") == 0
        with pytest.raises(SpecError, match="is about branch 'dev-x'"):
            deployment.decide("2026-03", report)


class TestPromote:
    def test_a_first_model_must_beat_the_mean(self, make: Any) -> None:
        deployment = make((0.4, 0.0))
        for month in (1, 2):
            deployment.ingest(month)
        version = deployment.train("first", deployment.plan())
        evaluation = deployment.evaluate("first", version.ref)
        assert evaluation.verdict == "fail"
        assert deployment.promote("first", evaluation).body["action"] == "keep"
        assert deployment.ledger.versions.alias("ride_late", "champion") is None

    def test_a_better_challenger_takes_over_and_the_old_one_is_previous(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        deployment.first_champion()
        version, evaluation = deployment.challenge()
        assert deployment.promote("second", evaluation).body["action"] == "promote"
        aliases = {
            name: deployment.ledger.versions.alias("ride_late", name) for name in ("champion", "previous")
        }
        assert [v.ref for v in aliases.values() if v] == [version.ref, "ride_late@1"]

    def test_an_equal_challenger_stays_a_shadow(self, make: Any) -> None:
        deployment = make(GOOD, GOOD)
        deployment.first_champion()
        version, evaluation = deployment.challenge()
        assert deployment.promote("second", evaluation).body["action"] == "keep"
        assert deployment.ledger.versions.find("ride_late@challenger").ref == version.ref

    def test_too_few_rows_do_not_promote(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        deployment.first_champion()
        version, _ = deployment.challenge()
        evaluation = deployment.evaluate("third", version.ref, min_rows=100_000)
        assert evaluation.verdict == "unknown"
        assert deployment.promote("third", evaluation).body["action"] == "keep"

    def test_a_champion_that_moved_meanwhile_stops_the_promotion(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        deployment.first_champion()
        version, evaluation = deployment.challenge()
        run = deployment.ledger.runs.begin(identity("by hand"), input_digest="x")
        deployment.ledger.versions.move_alias(
            asset="ride_late", name="champion", version_id=version.version_id, run=run
        )
        with pytest.raises(
            AliasMovedError, match=r"is ride_late@2 and was ride_late@1 when ride_late@2 was evaluated"
        ):
            deployment.promote("second", evaluation)

    def test_only_an_evaluation_promotes(self, make: Any) -> None:
        deployment = make(GOOD)
        version = deployment.first_champion()
        training = deployment.ledger.reports.latest(
            asset="ride_late", kind="training", version_id=version.version_id
        )
        with pytest.raises(
            PromotionRefusedError, match="is a 'training' report; a promotion needs an evaluation"
        ):
            deployment.promote("x", training)

    def test_the_evaluation_of_another_model_promotes_nothing(self, make: Any) -> None:
        deployment = make(GOOD)
        for month in (1, 2):
            deployment.ingest(month)
        version = deployment.train("first", deployment.plan())
        evaluation = deployment.evaluate("first", version.ref)
        with pytest.raises(
            PromotionRefusedError, match="evaluates 'ride_late', and 'other' is to be promoted"
        ):
            promote_model(
                ledger=deployment.ledger,
                identity=identity("p"),
                model="other",
                evaluation=evaluation.report_id,
            )

    def test_after_the_champion_moved_another_evaluation_heals(self, make: Any) -> None:
        deployment = make(POOR, POOR, GOOD)
        deployment.first_champion()
        second, _ = deployment.challenge()
        run = deployment.ledger.runs.begin(identity("by hand"), input_digest="x")
        deployment.ledger.versions.move_alias(
            asset="ride_late", name="champion", version_id=second.version_id, run=run
        )
        plan = TrainingPlan.from_dict(second.facts["plan"])
        third = deployment.train("third", plan)
        evaluation = deployment.evaluate("third", third.ref)
        assert evaluation.body["champion_ref"] == second.ref
        assert deployment.promote("third", evaluation).body["action"] == "promote"

    def test_the_registry_follows_through_the_outbox_even_after_an_outage(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        deployment.registry.down = True
        assert drain_aliases(ledger=deployment.ledger, registry=deployment.registry) == 0
        deployment.registry.down = False
        deployment.ledger.connection.execute("UPDATE dataml.outbox SET next_at = now()")
        drain_aliases(ledger=deployment.ledger, registry=deployment.registry)
        assert deployment.registry.aliases("ride_late") == {"champion": 1}

    def test_an_unreachable_registry_starts_no_training(self, make: Any) -> None:
        deployment = make(GOOD)
        for month in (1, 2):
            deployment.ingest(month)
        deployment.registry.down = True
        with pytest.raises(RegistryError):
            deployment.train("first", deployment.plan())
        assert not deployment.trainer.trained


class TestScore:
    def test_without_a_champion_nothing_is_scored(self, make: Any) -> None:
        deployment = make()
        deployment.ingest(1)
        assert isinstance(deployment.score("2026-01"), Decision)

    def test_champion_and_shadow_score_every_row_once(self, make: Any) -> None:
        deployment = make(GOOD, GOOD)
        deployment.first_champion()
        deployment.promote("second", deployment.challenge()[1])
        version = deployment.score("2026-02")
        assert deployment.score("2026-02").version_id == version.version_id
        found = deployment.ledger.connection.rows(
            "SELECT model_role, model_version, count(*) AS n, count(DISTINCT id) AS ids FROM public.ride_scores GROUP BY 1, 2 ORDER BY 1"
        )
        assert [tuple(row.values()) for row in found] == [
            ("challenger", 2, 2000, 2000),
            ("champion", 1, 2000, 2000),
        ]
        graph = deployment.ledger.lineage.walk(f"version:{version.version_id}", direction="upstream", depth=1)
        assert {n.label for n in graph.nodes} == {"ride_scores@1", "rides@2", "ride_late@1", "ride_late@2"}

    def test_an_unknown_batch_names_the_known_ones(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        with pytest.raises(NotFoundError, match=r"'2026-09' does not exist.*2026-01"):
            deployment.score("2026-09")

    def test_files_that_are_not_the_registered_ones_are_refused(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        for path in deployment.folder.glob("models/*/model.onnx"):
            path.write_text("[0, 0]")
        with pytest.raises(RegistryError, match="are not the ones that were registered"):
            deployment.score("2026-02")


class TestWatch:
    def watched(self, deployment: Deployment, month: int, **said: Any) -> Report:
        deployment.ingest(month, **said)
        deployment.score(f"2026-{month:02d}")
        return deployment.observe(f"2026-{month:02d}")

    def test_a_month_like_the_others_is_quiet(self, make: Any) -> None:
        deployment = make(GOOD)
        deployment.first_champion()
        report = self.watched(deployment, 3)
        assert (report.verdict, deployment.ledger.incidents.list()) == ("pass", [])
        assert deployment.decide("2026-03", report).body["action"] == "wait"

    def test_an_alarm_asks_once_and_the_answer_closes_the_incident(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        deployment.first_champion()
        report = self.watched(deployment, 3, longer=8.0)
        assert report.verdict == "fail"
        asked = deployment.decide("2026-03", report)
        assert asked.body["action"] == "retrain"
        assert deployment.decide("2026-03", report, run="again").body["action"] == "wait"
        plan = deployment.plan()
        assert isinstance(plan, TrainingPlan)
        assert plan.reason_report == asked.report_id
        version = deployment.train("asked", plan)
        deployment.promote("asked", deployment.evaluate("asked", version.ref))
        [incident] = deployment.ledger.incidents.list(asset="ride_late")
        assert (incident.state, incident.resolution) == ("resolved", "replaced by ride_late@2")
        graph = deployment.ledger.lineage.walk(f"version:{version.version_id}", direction="upstream")
        labels = {node.label for node in graph.nodes}
        assert {
            f"decision report {asked.report_id} of ride_late",
            f"monitor report {report.report_id} of ride_late",
        } <= labels
        assert {"rides@1", "rides@2", "rides@3", "ride_late@1"} & labels >= {"rides@3", "ride_late@1"}

    def test_a_broken_feed_is_to_be_mended_not_learnt(self, make: Any) -> None:
        deployment = make(POOR)
        deployment.first_champion()
        deployment.ingest(3, longer=8.0)
        ledger = deployment.ledger
        run = ledger.runs.begin(identity("audit", "2026-03"), input_digest="x")
        body = {"partition_key": "2026-03"}
        broken = ledger.reports.add(run=run, fact=run.fact("rides"), kind="check", verdict="fail", body=body)
        ledger.incidents.open(
            asset="rides",
            kind="data",
            severity="high",
            title="kilometres for miles",
            report_id=broken.report_id,
        )
        deployment.score("2026-03")
        decision = deployment.decide("2026-03", deployment.observe("2026-03"))
        assert decision.body["action"] == "fix_data"
        assert "kilometres for miles" in decision.body["reasons"][0]
        assert isinstance(deployment.plan(), Decision)

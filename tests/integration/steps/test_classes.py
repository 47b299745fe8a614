"""A model of three classes, step by step, with the real trainer, the real scorer and PostgreSQL."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.adapters.onnx import OnnxScorer, read_weights
from airflow_dataml.adapters.sklearn.importance import permutation_growth
from airflow_dataml.core.datasets import Column, StagedPart
from airflow_dataml.core.errors import PolicyError, SpecError, TrainingSpecError
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.explanation import ExplanationSpec
from airflow_dataml.core.hard_examples import HardExamplePolicy
from airflow_dataml.core.humility import HumilityRule
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.model_controls import ControlPolicy
from airflow_dataml.core.monitor_policy import MonitorPolicy
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.windows import DataWindow, TrainingPlan
from airflow_dataml.steps.card import card_facts, keep_card
from airflow_dataml.steps.evaluate import Bench, evaluate_model
from airflow_dataml.steps.explain import explain_model
from airflow_dataml.steps.hard_examples import stage_hard_examples
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.prediction_log import log_predictions
from airflow_dataml.steps.promote import promote_model
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.reproduce import Rerun, reproduce_model
from airflow_dataml.steps.score import ScoringOptions, score_batch
from airflow_dataml.steps.train import Workshop, train_model
from airflow_dataml.testing import InMemoryRegistry
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report

pytestmark = pytest.mark.integration
CLASSES = ("cancelled", "late", "on time")
COLUMNS = (
    Column("id", "integer"),
    Column("at", "timestamptz"),
    Column("km", "double precision"),
    Column("carrier", "text"),
    Column("outcome", "text"),
    Column("flag", "boolean"),
)
WINDOW = DataWindow(time_column="at", key_columns=("id",), batches=2, min_batches=2)


def spec(**changes: Any) -> TrainingSpec:
    return TrainingSpec.from_mapping(
        {
            "model": "ride_outcome",
            "task": "multiclass",
            "target": "outcome",
            "features": [{"name": "km"}, {"name": "carrier", "kind": "categorical"}],
            "max_epochs": 8,
            "batch_size": 64,
            "learning_rate": 0.01,
        }
        | changes
    )


class World:
    """One ledger with everything beside it; each verb is one task."""

    def __init__(self, ledger: PostgresLedger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder
        self.registry = InMemoryRegistry()
        self.bench = Bench(self.registry, OnnxScorer.load, folder)
        declare(ledger, "rides")
        declare(ledger, "ride_outcome", kind="model")
        declare(ledger, "ride_scores", kind="prediction")

    @property
    def _common(self) -> dict[str, Any]:
        return {"ledger": self.ledger, "warehouse": self.ledger.warehouse}

    def ingest(self, month: int, *, strange: int = 0, without: str = "") -> None:
        """A month of rides; the last ``strange`` of them end as no earlier one did, and none as ``without``."""
        key, draw = f"2026-{month:02d}", random.Random(month)  # noqa: S311 - test data
        lines = ["id,at,km,carrier,outcome,flag"]
        for index in range(1000):
            km, carrier = draw.uniform(0, 10), draw.choice("AB")
            likely = "late" if km + draw.gauss(0, 1) > 5 else "on time"
            outcome = "cancelled" if carrier == "B" and draw.random() < 0.4 else likely
            outcome = likely if outcome == without else outcome
            outcome = "diverted" if index >= 1000 - strange else outcome
            at = f"2026-{month:02d}-{1 + index // 40:02d}T10:00:00+00:00"
            lines.append(f"{month * 10_000 + index},{at},{km:.4f},{carrier},{outcome},t")
        path = self.folder / f"{key}.csv"
        path.write_text("\n".join(lines) + "\n")
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", key),
            target=Target("rides", "partition", key, location="public.rides"),
            path=path,
            columns=COLUMNS,
        )
        publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", key),
            staged=staged,
            place=place_of(self.ledger, "rides", "public.rides", Layout()),
            require_check=False,
        )

    def train(self, run: str, because: str | None = None, **changes: Any) -> Version:
        asked = spec(**changes)
        plan = plan_training(
            **self._common,
            model="ride_outcome",
            dataset="rides",
            target=asked.target,
            window=WINDOW,
            because=because,
        )
        assert isinstance(plan, TrainingPlan)
        return train_model(
            **self._common,
            identity=identity("train", run),
            plan=plan,
            spec=asked,
            workshop=Workshop(
                LightningTrainer(), self.registry, OnnxScorer.load, self.folder, "rides", read_weights
            ),
        )

    def evaluate(self, run: str, challenger: str, **policy: Any) -> Report:
        return evaluate_model(
            **self._common,
            identity=identity("evaluate", run),
            challenger=challenger,
            policy=PromotionPolicy(**({"min_rows": 100} | policy)),
            bench=self.bench,
        )

    def promote(self, run: str, evaluation: Report) -> Report:
        return promote_model(
            ledger=self.ledger,
            identity=identity("promote", run),
            model="ride_outcome",
            evaluation=evaluation.report_id,
        )

    def score(self, key: str, run: str = "", **options: Any) -> Version:
        found = score_batch(
            **self._common,
            store=self.ledger.store,
            identity=identity("score", key + run),
            model="ride_outcome",
            dataset="rides",
            predictions="ride_scores",
            view=Relation("public", "ride_scores"),
            key_columns=("id",),
            partition_key=key,
            bench=self.bench,
            options=ScoringOptions(**options),
        )
        assert not hasattr(found, "reasons")
        return found

    def observe(self, key: str) -> Report:
        return observe_batch(
            **self._common,
            identity=identity("monitor", key),
            model="ride_outcome",
            predictions="ride_scores",
            key_columns=("id",),
            partition_key=key,
            policy=MonitorPolicy(),
            branch=None,
        )

    def explain(self, version: str) -> Report:
        return explain_model(
            **self._common,
            identity=identity("explain", version),
            version=version,
            spec=ExplanationSpec(repeats=2, min_rows=100, extremes=4, slices=("carrier",)),
            bench=self.bench,
            permuter=permutation_growth,
        )

    def reproduce(self, version: str) -> Report:
        return reproduce_model(
            **self._common,
            identity=identity("reproduce", version),
            model=version,
            rerun=Rerun(LightningTrainer(), self.registry, OnnxScorer.load, read_weights, self.folder),
        )

    def name_challenger(self, version: Version, name: str = "challenger") -> None:
        run = self.ledger.runs.begin(identity("alias", version.ref), input_digest="x" * 64)
        self.ledger.versions.move_alias(
            asset="ride_outcome", name=name, version_id=version.version_id, run=run
        )

    def score_with(self, version: Version, key: str) -> Version:
        self.name_challenger(version, "champion")
        return self.score(key)

    def gather(self, **policy: Any) -> Version:
        declare(self.ledger, "hard_rides")
        staged = stage_hard_examples(
            **self._common,
            store=self.ledger.store,
            identity=identity("gather"),
            target=Target("hard_rides", "replace", location="public.hard_rides"),
            model="ride_outcome",
            predictions="ride_scores",
            key_columns=("id",),
            policy=HardExamplePolicy(**policy),
        )
        assert isinstance(staged, StagedPart), staged.reasons
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("keep"),
            staged=staged,
            place=place_of(self.ledger, "hard_rides", "public.hard_rides", Layout()),
            require_check=False,
        )

    def upstream(self, version: Version) -> set[tuple[str, str]]:
        graph = self.ledger.lineage.walk(f"version:{version.version_id}", direction="upstream", depth=1)
        labels = {node.node: node.label for node in graph.nodes}
        return {(labels[source], kind) for source, _, kind in graph.edges}

    def rows(self, what: str, where: str = "true") -> Any:
        return self.ledger.connection.rows(
            f"SELECT {what} FROM public.ride_scores JOIN public.rides USING (id) WHERE {where}"
        )


@pytest.fixture
def world(ledger: PostgresLedger, tmp_path: Path) -> World:
    made = World(ledger, tmp_path)
    for month in (1, 2):
        made.ingest(month)
    return made


def test_three_classes_from_training_to_reproduction(world: World) -> None:
    version = world.train("first")
    assert version.facts["classes"] == list(CLASSES)
    assert sum(n for _, n in version.facts["score_cells"]) == version.facts["training"]["rows"]
    assert {"log_loss", "accuracy", "f1_macro", "roc_auc_ovr"} <= set(version.facts["training"]["metrics"])

    gates = [{"metric": "f1_macro", "threshold": 0.5}, {"metric": "roc_auc_ovr", "threshold": 0.6}]
    gates += [
        {"metric": "multiclass_accuracy", "min_absolute_change": 0.1},
        {"metric": "log_loss", "threshold": 2},
    ]
    evaluation = world.evaluate("first", version.ref, gates=gates, slices=["carrier"])
    body = evaluation.body
    assert evaluation.verdict == "pass", body["summary"]
    assert body["metric"] == "multiclass_log_loss"
    assert {"accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc_ovr"} <= set(
        body["challenger"]["metrics"]
    )
    assert body["challenger"]["loss"]["estimate"] < body["opponent"]["loss"]["estimate"]
    assert body["opponent"]["auc"] == pytest.approx(0.5)
    assert "unseen_classes" not in body
    assert set(body["calibration"]["released"]) == {"accuracy", "log_loss"}
    assert world.promote("first", evaluation).body["action"] == "promote"

    scored = world.score("2026-02")
    names = [c.name for c in world.ledger.versions.columns(scored.version_id)]
    assert names[-3:] == ["prediction_id", "label", "probabilities"]
    [found] = world.rows(
        """count(*) AS n, count(DISTINCT prediction_id) AS ids, min(score) AS low, max(score) AS high,
           bool_and(abs((probabilities ->> label)::float8 - score) < 1e-7) AS same, avg((label = outcome)::int) AS right,
           max(abs((SELECT sum(v::float8) FROM jsonb_each_text(probabilities) e(k, v)) - 1)) AS off"""
    )
    assert (found["n"], found["ids"], found["same"]) == (1000, 1000, True)
    assert 1 / 3 <= found["low"] <= found["high"] <= 1
    assert found["off"] < 1e-6
    assert found["right"] > 0.6
    assert {row["label"] for row in world.rows("DISTINCT label")} <= set(CLASSES)

    watched = world.observe("2026-02")
    assert watched.body["rows"] == 1000
    [told] = world.rows("avg(-ln(greatest(1e-7, (probabilities ->> outcome)::float8))) AS loss")
    now = watched.body["performance"]["now"]
    assert (now["n"], watched.body["findings"]["decay"]) == (1000, [])
    assert now["estimate"] == pytest.approx(told["loss"])
    assert now["low"] < now["estimate"] < now["high"]

    explained = world.explain("ride_outcome@1")
    assert explained.body["metric"] == "multiclass_log_loss"
    assert {one["feature"] for one in explained.body["features"]} == {"km", "carrier"}
    assert all(one["share"] > 0 for one in explained.body["features"])
    assert {one["label"] for one in explained.body["predictions"]} <= set(CLASSES)

    again = world.reproduce("ride_outcome@1")
    assert (again.verdict, again.body["bit_equal"]) == ("pass", True)


def test_a_class_that_nobody_learnt_is_said_and_counts_as_wrong(world: World) -> None:
    world.ingest(2, strange=30)
    version = world.train("first")
    evaluation = world.evaluate("first", version.ref)
    assert evaluation.body["unseen_classes"] == {"rows": 30, "classes": ["diverted"]}
    assert "30 rows have classes it never learnt: 'diverted'" in evaluation.body["summary"]
    assert math.isfinite(evaluation.body["challenger"]["loss"]["high"])
    # An explanation bounds them just so.
    assert math.isfinite(world.explain(version.ref).body["loss"]["estimate"])


@pytest.mark.slow
def test_a_shadow_and_rules_on_the_score_of_the_predicted_class(world: World) -> None:
    first = world.train("first")
    world.promote("first", world.evaluate("first", first.ref))
    second = world.train("second", because="asked", seed=3, warm_start="champion")
    evaluation = world.evaluate("second", second.ref, margin=-5.0)
    assert evaluation.body["opponent"]["who"] == first.ref
    world.promote("second", evaluation)
    world.name_challenger(first)
    with pytest.raises(SpecError, match="'sure' writes a score, and ride_outcome@2 gives classes"):
        world.score(
            "2026-02", humility=(HumilityRule(name="sure", band=(0, 1), action="override", value=0.5),)
        )
    rules = (
        HumilityRule(name="unsure", band=(0.0, 0.6), action="abstain"),
        HumilityRule(name="any", band=(0, 1)),
    )
    world.score("2026-02", humility=rules, explain_extremes=2)
    [found] = world.rows(
        """count(*) AS n, count(*) FILTER (WHERE action = 'previous') AS asked,
           bool_and(abs((probabilities ->> label)::float8 - score) < 1e-7) AS same,
           count(*) FILTER (WHERE action = 'previous' AND abs(score - model_score) > 1e-9) AS other""",
        "model_role = 'champion'",
    )
    assert (found["n"], found["same"]) == (1000, True)
    assert 0 < found["other"] <= found["asked"]
    assert world.rows("count(*) AS n", "model_role = 'challenger' AND label IS NOT NULL")[0]["n"] == 1000


@pytest.mark.slow
def test_who_abstains_gives_no_class(world: World) -> None:
    world.promote("first", world.evaluate("first", world.train("first").ref))
    world.score("2026-02", humility=(HumilityRule(name="unsure", band=(0.0, 0.6), action="abstain"),))
    silent = world.rows("score, label, probabilities, model_score", "action = 'abstain'")
    assert silent
    assert {(r["score"], r["label"], r["probabilities"]) for r in silent} == {(None, None, None)}
    assert all(r["model_score"] <= 0.6 for r in silent)
    assert world.rows("count(*) AS n", "action IS NULL AND label IS NULL")[0]["n"] == 0


def test_what_classes_cannot_do_is_refused(world: World) -> None:
    with pytest.raises(TrainingSpecError, match=r"'flag' is boolean.*task: binary"):
        world.train("flag", target="flag")
    with pytest.raises(TrainingSpecError, match=r"target 'km' .*task: regression"):
        world.train("km", target="km", features=[{"name": "carrier", "kind": "categorical"}])
    version = world.train("first")
    with pytest.raises(
        PolicyError, match="'recall' is no metric of a multiclass model: gate on one of log_loss"
    ):
        world.evaluate("recall", version.ref, gates=[{"metric": "recall", "threshold": 0.5}])
    with pytest.raises(
        PolicyError, match="names 'diverted', and the model's classes are 'cancelled', 'late'"
    ):
        world.evaluate("fair", version.ref, fairness=[{"column": "carrier", "classes": ["diverted"]}])


def test_the_champion_teaches_its_probabilities_and_the_pupil_is_reproduced(world: World) -> None:
    first = world.train("first")
    world.promote("first", world.evaluate("first", first.ref))
    pupil = world.train(
        "second", because="asked", seed=3, module_arguments={"hidden": [8]}, distill={"weight": 1.0}
    )
    assert pupil.facts["spec"]["distill"] == {"teacher": "ride_outcome@1", "weight": 1.0}
    assert pupil.facts["guidance"] == {"teacher": "ride_outcome@1"}
    assert pupil.facts["classes"] == list(CLASSES)
    assert ("ride_outcome@1", "taught") in world.upstream(pupil)
    # It has seen no label, and says what its teacher says.
    fair = [
        {"column": "carrier", "rate": rate, "max_difference": 0.6, "min_rows": 20}
        for rate in ("true_positive_rate", "accuracy")
    ]
    evaluation = world.evaluate(
        "second",
        pupil.ref,
        margin=-0.1,
        fairness=[*fair, {"column": "carrier", "rate": "log_loss", "max_difference": 1.5, "small": "say"}],
    )
    assert evaluation.body["opponent"]["who"] == first.ref
    assert abs(evaluation.body["difference"]["estimate"]) < 0.05
    names = [one["name"] for one in evaluation.body["fairness"]]
    # Carrier A cancels nothing, so that there is no recall to compare.
    assert "true_positive_rate of 'cancelled' by carrier, A" in names
    for name in ("late", "on time"):
        compared = [one for one in names if one.startswith(f"true_positive_rate of {name!r} by carrier, ")]
        assert ["/" in one for one in compared] == [True], names
    assert evaluation.verdict == "unknown", evaluation.body["summary"]
    assert "true_positive_rate of 'cancelled' by carrier, A: 0 rows" in evaluation.body["summary"]
    shown = keep_card(
        ledger=world.ledger,
        identity=identity("card"),
        facts=card_facts(ledger=world.ledger, ref=pupil.ref),
        form="json",
        policy=ControlPolicy(),
    )
    assert "true_positive_rate of 'late' by carrier" in shown.body["card"]

    again = world.reproduce(pupil.ref)
    assert (again.verdict, again.body["bit_equal"]) == ("pass", True), again.body


def test_a_teachers_classes_stay_and_a_new_one_is_learnt_from_its_labels(world: World) -> None:
    world.promote("first", world.evaluate("first", world.train("first").ref))
    world.ingest(1, strange=300, without="cancelled")
    world.ingest(2, without="cancelled")
    pupil = world.train("second", because="asked", seed=3, distill={"weight": 0.9})
    assert pupil.facts["classes"] == ["cancelled", "diverted", "late", "on time"]
    assert "untrained_classes" not in pupil.facts["training"]["metrics"]
    world.score_with(pupil, "2026-01")
    [found] = world.rows(
        "avg((label = outcome)::int) AS right, avg((probabilities ->> 'cancelled')::float8) AS kept",
        "outcome = 'diverted'",
    )
    assert found["kept"] > 0.01


def test_hard_rows_of_classes_are_gathered_and_weighed(world: World) -> None:
    first = world.train("first")
    world.promote("first", world.evaluate("first", first.ref))
    poor = world.train("poor", because="asked", max_epochs=1, learning_rate=1e-5, seed=9)
    world.name_challenger(poor)
    world.score("2026-01", humility=(HumilityRule(name="unsure", band=(0.0, 0.6), action="abstain"),))
    version = world.gather(loss_quantile=0.8, disagreement=0.2)
    rows = world.ledger.connection.rows(
        """SELECT h.*, r.outcome, c.probabilities AS said, c.label AS told, o.probabilities AS other, o.label AS other_told
           FROM public.hard_rides h JOIN public.rides r USING (id)
           JOIN public.ride_scores c ON c.id = h.id AND c.model_role = 'champion'
           JOIN public.ride_scores o ON o.id = h.id AND o.model_role = 'challenger'"""
    )
    for row in rows:
        assert (row["label"], row["predicted"]) == (row["outcome"], row["told"])
        assert row["loss"] == pytest.approx(-math.log(max(row["said"][row["outcome"]], 1e-7)))
        if "wrong" in row["reason"]:
            assert row["predicted"] != row["label"]
        if "disagreed" in row["reason"]:
            assert (row["other_predicted"], row["other_version"]) == (row["other_told"], poor.number)
            assert row["other_predicted"] != row["predicted"]
            assert row["said"][row["predicted"]] - row["other"][row["predicted"]] >= 0.2
        else:
            assert (row["other_predicted"], row["other_version"]) == (None, None)
    assert {row["reason"] for row in rows} == {"wrong", "disagreed", "wrong and disagreed"}
    [silent] = world.rows("count(*) AS n", "action = 'abstain'")
    assert silent["n"] > 0, "who abstained said no class, and is not judged"
    apart = world.ledger.connection.rows(
        """SELECT count(*) AS n FROM public.ride_scores c JOIN public.ride_scores o USING (id)
           WHERE c.model_role = 'champion' AND o.model_role = 'challenger' AND c.action IS DISTINCT FROM 'abstain'
             AND c.label <> o.label AND c.score - (o.probabilities ->> c.label)::float8 >= 0.2"""
    )
    assert sum("disagreed" in row["reason"] for row in rows) == apart[0]["n"]
    assert {ref for ref, _ in world.upstream(version)} == {*("rides@2", "ride_scores@1"), first.ref, poor.ref}

    heavier = world.train("heavier", because="asked", hard_examples={"dataset": "hard_rides", "weight": 4})
    assert heavier.facts["guidance"] == {"hard_examples": "hard_rides@1"}
    assert (version.ref, "weighted") in world.upstream(heavier)
    again = world.reproduce(heavier.ref)
    assert (again.verdict, again.body["bit_equal"]) == ("pass", True)


def test_the_log_of_predictions_made_elsewhere_takes_classes(world: World) -> None:
    world.train("first")
    made = {"predicted_at": "2026-03-01T00:00:00Z", "model_version": 1, "score": 0.7, "label": "late"}
    given = [
        made | {"prediction_id": "a", "probabilities": {"late": 0.7, "on time": 0.3}},
        made | {"prediction_id": "b"},
    ]

    def post(batch: list[dict[str, Any]]) -> Any:
        return log_predictions(
            **world._common,
            store=world.ledger.store,
            identity=identity("log", str(len(batch))),
            model="ride_outcome",
            given=batch,
        )

    for change, message in (
        (
            {"label": "diverted"},
            "label is 'diverted', and the model's classes are 'cancelled', 'late', 'on time'",
        ),
        ({"label": None}, "prediction 0: label is None"),
        ({"score": 1.5}, "score is 1.5, and it is the probability"),
        ({"probabilities": {"x": 0.5}}, "probabilities hold 'x': 0.5"),
    ):
        with pytest.raises(SpecError, match=message):
            post([given[0] | change])
    assert post(given).stored == 2
    assert (post([*given, made | {"prediction_id": "c"}]).stored, post(given[:1]).known) == (1, 1)
    rows = world.ledger.connection.rows(
        "SELECT label, probabilities FROM public.ride_outcome_online ORDER BY prediction_id"
    )
    assert [row["label"] for row in rows] == ["late"] * 3
    assert rows[0]["probabilities"] == {"late": 0.7, "on time": 0.3}

"""Scoring beside the scores: humility, explanations, ids, profiles, and a task that is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.features import (
    CategoricalEncoding,
    FeatureEncoding,
    NumericEncoding,
    as_coded,
    column_of,
)
from airflow_dataml.core.humility import HumilityRule, rules_from
from airflow_dataml.core.refs import Relation
from airflow_dataml.steps.evaluate import Bench
from airflow_dataml.steps.score import ScoringOptions, score_batch
from airflow_dataml.steps.scoring import Panel, reads
from airflow_dataml.steps.train import Workshop, train_model
from tests.fakes import LineScorer
from tests.integration.steps.test_decide import Feeds, Row
from tests.integration.steps.test_models import GOOD, POOR, SPEC, Deployment
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.windows import TrainingPlan

pytestmark = pytest.mark.integration
TOO_LONG = HumilityRule(name="too long", feature="km", action="abstain")
UNSURE = HumilityRule(name="unsure", band=(0.45, 0.55), action="override", value=0.5)
LOW = HumilityRule(name="low", band=(0.0, 0.1))


@pytest.fixture
def deployment(ledger: PostgresLedger, tmp_path: Path) -> Deployment:
    made = Deployment(ledger, tmp_path, POOR, GOOD)
    made.first_champion()
    return made


def score(deployment: Deployment, key: str, **options: Any) -> Version:
    found = score_batch(
        ledger=deployment.ledger,
        warehouse=deployment.ledger.warehouse,
        store=deployment.ledger.store,
        identity=identity("score", key),
        model="ride_late",
        dataset="rides",
        predictions="ride_scores",
        view=Relation("public", "ride_scores"),
        key_columns=("id",),
        partition_key=key,
        bench=deployment.bench,
        options=ScoringOptions(**options),
    )
    assert not hasattr(found, "reasons")
    return found


def rows_of(deployment: Deployment, what: str, where: str = "true") -> Any:
    return deployment.ledger.connection.rows(
        f"SELECT {what} FROM public.ride_scores JOIN public.rides USING (id) WHERE {where}"
    )


def report_of(deployment: Deployment, version: Version) -> Any:
    return deployment.ledger.reports.latest(
        asset="ride_scores", kind="scoring", version_id=version.version_id
    )


class TestPass:
    def test_every_row_has_the_score_of_its_model_and_an_id_of_its_own(self, deployment: Deployment) -> None:
        score(deployment, "2026-02")
        found = rows_of(
            deployment,
            "count(*) AS n, count(DISTINCT prediction_id) AS ids, max(abs(score - (0.3 + 0.02 * km))) AS off",
        )
        assert (found[0]["n"], found[0]["ids"]) == (2000, 2000)
        assert found[0]["off"] < 1e-12

    def test_the_profile_made_on_the_way_is_the_one_the_database_makes(self, deployment: Deployment) -> None:
        ledger = deployment.ledger
        [part] = ledger.versions.manifest(score(deployment, "2026-02").version_id)
        theirs = ledger.warehouse.profile(
            part.relation, [c for c in part.columns if c.name == "score"], {"score": (0.0, 1.0)}
        )
        ours = part.profile["columns"]["score"]
        for name in ("sum", "squares"):
            assert ours.pop(name) == pytest.approx(theirs["columns"]["score"].pop(name))
        assert ours == theirs["columns"]["score"]

    def test_without_options_there_is_no_report_and_no_column_of_them(self, deployment: Deployment) -> None:
        version = score(deployment, "2026-02")
        assert report_of(deployment, version) is None
        names = [c.name for c in deployment.ledger.versions.columns(version.version_id)]
        assert names == ["id", "model_role", "model_version", "features_version", "score", "prediction_id"]


class TestHumility:
    def test_rules_note_override_and_abstain_and_are_counted(self, deployment: Deployment) -> None:
        deployment.ingest(3, longer=4.0)
        version = score(deployment, "2026-03", humility=(TOO_LONG, UNSURE))
        beyond = rows_of(deployment, "score, action, rule, model_score", "km > 10")
        assert beyond
        assert {(r["score"], r["action"], r["rule"]) for r in beyond} == {(None, "abstain", "too long")}
        assert all(r["model_score"] is not None for r in beyond)
        unsure = rows_of(deployment, "score, action", "rule = 'unsure'")
        assert {(r["score"], r["action"]) for r in unsure} == {(0.5, "override")}
        report = report_of(deployment, version)
        assert report.verdict == "warn"
        assert [(r["rule"], r["actions"]) for r in report.body["humility"]] == [
            ("too long", {"abstain": len(rows_of(deployment, "id", "rule = 'too long'"))}),
            ("unsure", {"override": len(unsure)}),
        ]
        # Whoever looks at the batch later looks at the scores there are.
        assert deployment.observe("2026-03").body["rows"] == 2000

    def test_a_champion_that_abstains_lets_its_previous_version_speak(self, deployment: Deployment) -> None:
        second, evaluation = deployment.challenge()
        deployment.promote("second", evaluation)
        deployment.ingest(3, longer=4.0)
        version = score(deployment, "2026-03", humility=(TOO_LONG,))
        assert version.facts["models"]["champion"] == second.version_id
        beyond = rows_of(
            deployment,
            "score - (0.3 + 0.02 * km) AS off, action, model_score",
            "km > 10 AND model_role = 'champion'",
        )
        assert beyond
        assert {r["action"] for r in beyond} == {"previous"}
        assert max(abs(r["off"]) for r in beyond) < 1e-12

    def test_a_note_changes_nothing(self, deployment: Deployment) -> None:
        score(deployment, "2026-02", humility=(HumilityRule(name="any", band=(0.0, 1.0)),))
        assert rows_of(deployment, "count(*) AS n", "score = model_score AND action = 'note'")[0]["n"] == 2000

    def test_a_rule_on_a_feature_nobody_trained_on_is_refused(self, deployment: Deployment) -> None:
        with pytest.raises(SpecError, match="'kmm' does not exist"):
            score(deployment, "2026-02", humility=(HumilityRule(name="x", feature="kmm"),))
        assert deployment.ledger.versions.head("ride_scores") is None

    def test_rules_come_from_yaml(self, tmp_path: Path) -> None:
        path = tmp_path / "rules.yaml"
        path.write_text("humility:\n- {name: low, band: [0, 0.1]}\n")
        assert rules_from(path) == (LOW,)


class Table(LineScorer):
    """A score for each kilometre it knows: the first version knows three, the second two."""

    def __init__(self, model_dir: Path) -> None:
        super().__init__(model_dir)
        known = (
            {"1": 0.2, "2": 0.5, "3": 0.6}
            if (self._intercept, self._slope) == POOR
            else {"1": 0.01, "2": 0.99}
        )
        self._scores = known
        self.encoding = FeatureEncoding(
            categorical=(CategoricalEncoding(name="km", vocabulary=tuple(known)),)
        )

    def score(self, columns: dict[str, Any]) -> Any:
        import numpy as np

        spelled = as_coded(column_of(columns, "km")).to_objects()
        return np.array([self._scores.get(value, 0.4) for value in spelled])


def kilometres(most: int) -> Any:
    def change(rows: list[Row]) -> list[Row]:
        return [(a, at, 1 + a % most, a % most == 1) for a, at, _, _ in rows]

    return change


class Tables(Feeds):
    """A deployment whose models read kilometres as a category."""

    SPEC = SPEC.model_copy(
        update={"features": tuple(f.model_copy(update={"kind": "categorical"}) for f in SPEC.features)}
    )

    def __init__(self, ledger: PostgresLedger, folder: Path) -> None:
        super().__init__(ledger, folder, POOR, GOOD)
        self.bench = Bench(self.registry, Table, folder)

    def arrives(self, month: int, change: Any = None) -> Version:
        return super().arrives(month, change or kilometres(2))

    def train(self, run: str, plan: TrainingPlan) -> Version:
        workshop = Workshop(self.trainer, self.registry, Table, self.folder, "rides")
        who = identity("train", run)
        return train_model(**self._common, identity=who, plan=plan, spec=self.SPEC, workshop=workshop)


def test_a_previous_version_is_asked_about_categories_that_it_alone_knows(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    tables = Tables(ledger, tmp_path)
    tables.champion()
    second, evaluation = tables.challenge()
    tables.promote("second", evaluation)
    assert ledger.versions.find("ride_late@champion").ref == second.ref
    tables.arrives(3, kilometres(3))
    score(tables, "2026-03", humility=(HumilityRule(name="strange", feature="km", action="abstain"),))
    found = rows_of(tables, "DISTINCT km, score, action", "model_role = 'champion'")
    assert sorted((r["km"], r["score"], r["action"]) for r in found) == [
        (1, 0.01, None),
        (2, 0.99, None),
        (3, 0.6, "previous"),
    ]


def test_a_version_that_reads_a_feature_as_another_kind_is_not_asked(deployment: Deployment) -> None:
    champion = deployment.ledger.versions.find("ride_late@champion")
    coded = dict(champion.facts["spec"], features=[{"name": "km", "kind": "categorical"}])
    panel = Panel({"champion": deployment.bench.open(champion)}, {"champion": champion})
    assert reads(panel, champion)
    assert not reads(panel, replace(champion, facts={**champion.facts, "spec": coded}))


class KnownLine(LineScorer):
    """A line that says what its training rows looked like."""

    encoding = FeatureEncoding(numeric=(NumericEncoding(name="km", mean=5.0, std=1.0, missing_fraction=0.0),))


class TestExtremes:
    def test_the_highest_and_lowest_scores_are_explained_by_the_key_of_their_rows(
        self, deployment: Deployment
    ) -> None:
        deployment.bench = Bench(deployment.registry, KnownLine, deployment.folder)
        version = score(deployment, "2026-02", explain_extremes=2)
        found = report_of(deployment, version).body["predictions_explained"]
        assert [one["end"] for one in found] == ["high", "high", "low", "low"]
        ordered = rows_of(deployment, "id, km", "true ORDER BY km DESC, id")
        for one, row in zip(found, [*ordered[:2], *ordered[-2:]], strict=True):
            assert one["key"] == {"id": str(row["id"])}
            [owed] = one["features"]
            assert owed["contribution"] == pytest.approx(0.02 * (row["km"] - 5.0))

    def test_a_scorer_that_does_not_know_its_training_explains_nothing(self, deployment: Deployment) -> None:
        with pytest.raises(SpecError, match="give explain_extremes=0"):
            score(deployment, "2026-02", explain_extremes=2)


_KILLED = """
import sys
from pathlib import Path
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from tests.integration.steps.test_models import GOOD, POOR, Deployment
dsn, folder, source = sys.argv[1:]
with PostgresLedger.connect(dsn) as ledger:
    made = Deployment(ledger, Path(folder), POOR, GOOD)
    made.registry.__dict__.update(__import__("pickle").loads(Path(source).read_bytes()))
    print("ready", flush=True)
    made.score("2026-02")
"""


def test_a_task_killed_at_any_moment_leaves_one_set_of_predictions(
    deployment: Deployment, tmp_path: Path, postgres_dsn: str
) -> None:
    import pickle

    kept = tmp_path / "registry"
    kept.write_bytes(pickle.dumps(deployment.registry.__dict__))
    draw = random.Random(5)  # noqa: S311 - moments to kill at
    killed = 0
    for _ in range(6):
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-c", _KILLED, postgres_dsn, str(tmp_path), str(kept)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        until = time.monotonic() + draw.uniform(0.0, 0.25)
        while time.monotonic() < until and child.poll() is None:
            pass
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        child.stdout.close()
    assert killed
    deployment.score("2026-02")
    found = deployment.ledger.connection.one(
        "SELECT count(*) AS n, count(DISTINCT id) AS keys, count(DISTINCT prediction_id) AS ids FROM public.ride_scores"
    )
    assert found == {"n": 2000, "keys": 2000, "ids": 2000}
    assert [v.number for v in deployment.ledger.versions.list("ride_scores")] == [1]

"""Explanations and cards on a ledger, without Airflow, torch or MLflow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.sklearn import permutation_growth
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.explanation import ExplanationSpec
from airflow_dataml.core.features import FeatureEncoding, NumericEncoding
from airflow_dataml.core.model_controls import ControlPolicy
from airflow_dataml.steps.card import card_facts, keep_card
from airflow_dataml.steps.evaluate import Bench
from airflow_dataml.steps.explain import explain_model
from tests.fakes import LineScorer
from tests.integration.steps.test_models import GOOD, POOR, Deployment
from tests.support import identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class KnowingScorer(LineScorer):
    """A line that knows the mean of its training rows."""

    def __init__(self, model_dir: Path) -> None:
        super().__init__(model_dir)
        self.encoding = FeatureEncoding(
            numeric=(NumericEncoding(name="km", mean=5.0, std=2.9, missing_fraction=0.0),)
        )


class Explaining(Deployment):
    """A deployment whose models can be explained."""

    def explain(self, run: str, version: str, *, scorers: Any = KnowingScorer, **spec: Any) -> Report:
        return explain_model(
            **self._common,
            identity=identity("explain", run),
            version=version,
            spec=ExplanationSpec(**spec),
            bench=Bench(self.registry, scorers, self.folder),
            permuter=permutation_growth,
        )

    def card(self, run: str, ref: str, policy: ControlPolicy | None = None) -> Report:
        return keep_card(
            ledger=self.ledger,
            identity=identity("card", run),
            facts=card_facts(ledger=self.ledger, ref=ref),
            form="markdown",
            policy=policy or ControlPolicy(),
        )


@pytest.fixture
def make(ledger: PostgresLedger, tmp_path: Path) -> Any:
    return lambda *lines: Explaining(ledger, tmp_path, *lines)


class TestExplain:
    def test_a_model_of_one_feature_rests_on_it(self, make: Any) -> None:
        deployment = make(GOOD)
        version = deployment.first_champion()
        report = deployment.explain("first", version.ref, repeats=4, slices=("km",), extremes=3)
        body = report.body
        [found] = body["features"]
        assert (report.verdict, report.version_id, body["rows"]) == (
            "pass",
            version.version_id,
            body["holdout_rows"],
        )
        assert (found["feature"], found["share"]) == ("km", 1.0)
        assert found["importance"]["low"] > 0.1
        assert [one["rows"] for one in body["slices"]] == [body["rows"] // 4] * 4
        assert "drift" not in body
        # Within a slice km says little: most of what it tells is in which slice a ride is.
        assert all(
            one["features"][0]["importance"]["estimate"] < found["importance"]["estimate"]
            for one in body["slices"]
        )

    def test_an_extreme_score_owes_to_a_feature_what_it_loses_at_its_mean(self, make: Any) -> None:
        deployment = make(GOOD)
        report = deployment.explain("first", deployment.first_champion().ref, extremes=2)
        high, low = report.body["predictions"]
        assert (high["end"], low["end"]) == ("high", "low")
        for one in (high, low):
            [found] = one["features"]
            assert found["contribution"] == pytest.approx(one["score"] - 0.08 * 5.0)
            assert set(one["key"]) == {"id"}
        assert high["score"] > 0.75
        assert low["score"] < 0.05

    def test_a_retry_keeps_what_was_found(self, make: Any) -> None:
        deployment = make(GOOD)
        version = deployment.first_champion()
        first = deployment.explain("first", version.ref)
        assert deployment.explain("first", version.ref).report_id == first.report_id
        again = deployment.explain("again", version.ref)
        assert again.report_id != first.report_id
        assert {k: v for k, v in again.body.items() if k != "drift"} == first.body

    def test_more_rows_than_wanted_are_drawn_from(self, make: Any) -> None:
        deployment = make(GOOD)
        version = deployment.first_champion()
        one, two, other = (
            deployment.explain(str(seed) + name, version.ref, max_rows=300, seed=seed)
            for seed, name in ((1, "a"), (1, "b"), (2, "c"))
        )
        assert (one.body["rows"], one.body["holdout_rows"] > 900) == (300, True)
        assert one.body["loss"] == two.body["loss"] != other.body["loss"]

    def test_too_few_rows_are_not_judged(self, make: Any) -> None:
        deployment = make(GOOD)
        report = deployment.explain(
            "first", deployment.first_champion().ref, max_rows=200, min_rows=400, slices=("km",)
        )
        assert report.verdict == "unknown"
        assert {(one["verdict"], len(one["features"])) for one in report.body["slices"]} == {("unknown", 0)}

    def test_it_is_compared_with_the_champion_and_linked_to_it(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        champion = deployment.first_champion()
        before = deployment.explain("first", champion.ref)
        version, _ = deployment.challenge()
        report = deployment.explain("second", version.ref)
        drift = report.body["drift"]
        assert (drift["against"], drift["report"], drift["share_shift"]) == (
            champion.ref,
            before.report_id,
            0.0,
        )
        graph = deployment.ledger.lineage.walk(f"report:{report.report_id}", direction="upstream", depth=1)
        assert {node.label for node in graph.nodes} >= {"rides@2", champion.ref, version.ref}

    def test_a_champion_is_compared_with_the_version_before(self, make: Any) -> None:
        deployment = make(POOR, GOOD)
        champion = deployment.first_champion()
        deployment.explain("first", champion.ref)
        version, evaluation = deployment.challenge()
        deployment.promote("second", evaluation)
        assert deployment.explain("second", version.ref).body["drift"]["against"] == champion.ref

    def test_a_slice_of_what_is_no_feature_is_refused(self, make: Any) -> None:
        deployment = make(GOOD)
        with pytest.raises(NotFoundError, match=r"feature of ride_late@1 'kms' does not exist.*'km'"):
            deployment.explain("first", deployment.first_champion().ref, slices=("kms",))

    def test_what_is_no_model_is_refused(self, make: Any) -> None:
        deployment = make()
        deployment.ingest(1)
        with pytest.raises(
            SpecError,
            match="an explanation needs to know what rides@1 was trained on, and nobody trained it here",
        ):
            deployment.explain("first", "rides@1")

    def test_without_typical_values_no_prediction_is_explained(self, make: Any) -> None:
        deployment = make(GOOD)
        ref = deployment.first_champion().ref
        with pytest.raises(SpecError, match="give extremes=0"):
            deployment.explain("first", ref, scorers=LineScorer)
        assert deployment.explain("second", ref, scorers=LineScorer, extremes=0).body["predictions"] == []


class TestCard:
    def test_it_is_kept_with_its_digest_and_a_retry_keeps_it(self, make: Any) -> None:
        deployment = make(GOOD)
        version = deployment.first_champion()
        kept = deployment.card("first", "ride_late")
        assert (kept.kind, kept.version_id, kept.body["version"]) == ("card", version.version_id, version.ref)
        assert hashlib.sha256(kept.body["card"].encode()).hexdigest() == kept.body["digest"]
        deployment.explain("first", version.ref)
        assert deployment.card("first", "ride_late").report_id == kept.report_id
        assert deployment.card("second", "ride_late").body["digest"] != kept.body["digest"]

    def test_what_a_critical_model_lacks_fails_and_is_listed(self, make: Any) -> None:
        deployment = make(GOOD)
        ledger = deployment.ledger
        version = deployment.first_champion()
        facts = card_facts(ledger=ledger, ref=version.ref)
        critical = replace(
            facts,
            asset={
                **facts.asset,
                "importance": "critical",
                "owner": "ana",
                "description": "d",
                "documentation": "x",
            },
        )
        for run, kind in (("before", None), ("after", "explanation")):
            if kind:
                deployment.explain("first", version.ref)
                critical = replace(
                    critical, explanation=card_facts(ledger=ledger, ref=version.ref).explanation
                )
            report = keep_card(
                ledger=ledger,
                identity=identity("card", run),
                facts=critical,
                form="html",
                policy=ControlPolicy(),
            )
            lacking = [one["control"] for one in report.body["controls"]["results"] if not one["present"]]
            assert (report.verdict, lacking) == (
                "fail",
                ["explanation", "approval"] if not kind else ["approval"],
            )
        assert "<td>have a person approve this version</td>" in report.body["card"]

    def test_an_approval_in_the_ledger_counts(self, make: Any) -> None:
        deployment = make(GOOD)
        ledger = deployment.ledger
        version = deployment.first_champion()
        policy = ControlPolicy(moderate=("evaluation", "approval"))
        assert deployment.card("before", version.ref, policy).verdict == "fail"
        run = ledger.runs.begin(identity("approve"), input_digest="x")
        ledger.reports.add(
            run=run,
            fact=run.fact("ride_late"),
            kind="approval",
            verdict="pass",
            body={},
            version_id=version.version_id,
        )
        assert deployment.card("after", version.ref, policy).verdict == "pass"

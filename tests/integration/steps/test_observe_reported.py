"""Windows of models served elsewhere: counted there, reported, and watched as those that were scored here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import NotFoundError, PolicyError, SpecError
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.core.retraining import RetrainPolicy
from airflow_dataml.core.window_counts import count_window, own_counting
from airflow_dataml.steps.decide import decide_after_monitor
from airflow_dataml.steps.observe_reported import observe_reported
from airflow_dataml.steps.reported import report_window
from airflow_dataml.steps.reported_reference import what_to_count
from tests.integration.steps.test_models import GOOD
from tests.integration.steps.test_observe import Watched
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.steps.reported import Received


@pytest.fixture
def watched(ledger: PostgresLedger, tmp_path: Path) -> Watched:
    deployment = Watched(ledger, tmp_path, GOOD, GOOD)
    deployment.first_champion()
    return deployment


@pytest.fixture
def foreign(ledger: PostgresLedger) -> Version:
    """A model that was adopted: nobody here knows what it learnt from, nor its features."""
    declare(ledger, "eta", kind="model")
    run = ledger.runs.begin(identity("adopt"), input_digest="x")
    return ledger.versions.add(
        run=run, fact=run.fact("eta"), facts={"adopted": {"loadable": False}, "training": {"metrics": {}}}
    )


def send(ledger: PostgresLedger, given: Any, *, model: str = "ride_late", run: str = "") -> Received:
    name = given.get("window", "") if isinstance(given, dict) else "x"
    return report_window(ledger=ledger, identity=identity("report", name + run), model=model, given=given)


def look(
    ledger: PostgresLedger, key: str, *, model: str = "ride_late", run: str = "", **policy: Any
) -> Report:
    return observe_reported(
        ledger=ledger,
        identity=identity("watch reported", key + run),
        model=model,
        partition_key=key,
        policy=MonitorPolicy(**policy),
    )


def counted(
    watched: Watched, key: str, *, window: str | None = None, labelled: bool = True
) -> dict[str, Any]:
    """The counts of a month that was scored here, as a serving process would make them."""
    head, scores = (watched.ledger.versions.find(name) for name in ("rides", "ride_scores"))
    [features] = [p for p in watched.ledger.versions.manifest(head.version_id) if p.partition_key == key]
    [said] = [p for p in watched.ledger.versions.manifest(scores.version_id) if p.partition_key == key]
    rows = watched.ledger.connection.rows(
        f"SELECT f.*, p.score FROM {features.relation.quoted} f JOIN {said.relation.quoted} p USING (id) "
        "WHERE p.model_role = 'champion'"
    )
    asked = what_to_count(ledger=watched.ledger, model="ride_late").to_dict()
    return count_window(
        asked,
        window=window or key,
        rows=rows,
        scores=[row["score"] for row in rows],
        labels=[row["late"] for row in rows] if labelled else None,
    )


class TestTheSameVerdict:
    @pytest.mark.parametrize(
        "said", [{}, {"longer": 4.0}, {"longer": 0.4}, {"labelled": 0.0, "longer": 4.0}], ids=str
    )
    @pytest.mark.parametrize("policy", [{}, {"alarm_budget": 5, "tolerance": 0.01}], ids=["single", "budget"])
    def test_rows_and_their_counts_say_the_same(self, watched: Watched, said: Any, policy: Any) -> None:
        by_rows = watched.watch(3, said=said, **policy)
        # Under a name of its own: the same batch is no evidence twice.
        send(watched.ledger, counted(watched, "2026-03", window="elsewhere"))
        by_counts = look(watched.ledger, "elsewhere", **policy)
        same = ("inputs", "prediction", "distances", "blind", "rows", "reference")
        if not policy:
            same = (*same, "findings")
            assert by_counts.verdict == by_rows.verdict
        else:
            assert by_counts.body["over_time"]["evidence"] == by_rows.body["over_time"]["evidence"]
        for name in same:
            assert by_counts.body[name] == by_rows.body[name], name
        ours, theirs = by_rows.body["performance"], by_counts.body["performance"]
        assert theirs["labelled"] == ours["labelled"]
        assert theirs["now"] == (pytest.approx(ours["now"]) if ours["now"] else None)
        assert by_counts.body["estimated"] == by_rows.body["estimated"]

    def test_an_alarm_opens_an_incident_and_leads_to_a_retraining(self, watched: Watched) -> None:
        watched.ingest(3, longer=4.0)
        watched.score("2026-03")
        given = counted(watched, "2026-03")
        send(watched.ledger, given)
        report = look(watched.ledger, "2026-03")
        assert report.verdict == "fail"
        assert watched.incidents
        decision = decide_after_monitor(
            ledger=watched.ledger,
            identity=identity("decide"),
            monitor=report.report_id,
            policy=RetrainPolicy(on=("decay", "prediction_drift", "input_drift")),
        )
        assert decision.body["action"] == "retrain"

    def test_a_second_try_finds_what_the_first_wrote(self, watched: Watched) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        send(watched.ledger, counted(watched, "2026-03"))
        assert look(watched.ledger, "2026-03").report_id == look(watched.ledger, "2026-03").report_id


class TestOnce:
    def test_the_same_numbers_again_change_nothing(self, watched: Watched) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        given = counted(watched, "2026-03")
        first, second = send(watched.ledger, given), send(watched.ledger, given, run="again")
        assert (first.known, second.known, second.report) == (False, True, first.report)

    def test_other_numbers_are_refused(self, watched: Watched) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        given = counted(watched, "2026-03")
        send(watched.ledger, given)
        cells = given["features"]["km"]["cells"]
        cells[0][1], cells[1][1] = cells[0][1] + 1, cells[1][1] - 1
        with pytest.raises(
            SpecError, match=r"reported before \(report \d+\) with other numbers \(features\)"
        ):
            send(watched.ledger, given)

    def test_labels_may_come_later_and_are_judged_then(self, watched: Watched) -> None:
        watched.ingest(3, longer=4.0)
        watched.score("2026-03")
        bare = counted(watched, "2026-03", labelled=False)
        send(watched.ledger, bare)
        assert look(watched.ledger, "2026-03").body["performance"]["now"] is None
        whole = counted(watched, "2026-03")
        assert not send(watched.ledger, whole, run="labels").known
        assert send(watched.ledger, bare, run="late").known
        assert look(watched.ledger, "2026-03").body["performance"]["labelled"] == 2000
        whole["labels"]["cells"][0][3] += 0.01
        with pytest.raises(SpecError, match=r"as many as before, with other sums|no .* losses"):
            send(watched.ledger, whole)

    def test_who_reported_is_in_the_audit_chain(self, watched: Watched) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        send(watched.ledger, counted(watched, "2026-03"))
        entries = watched.ledger.audit.entries("ride_late@1")
        assert [one.detail["window"] for one in entries if one.action == "report window"] == ["2026-03"]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"rows": 1999}, "add up to 2,000, and the window has 1,999 rows"),
            ({"features": {"km": {"nulls": -1}}}, "greater than or equal to 0"),
            ({"features": {"km": {"nulls": 2000}}}, "counted by nulls, and cells were asked for"),
            ({"features": {"km": {"grid": [0, 1], "cells": [[1, 2000]]}}}, "its cells lie from 0.0 to 1.0"),
            (
                {"features": {"miles": {"nulls": 2000}}},
                "feature of ride_late@1 in rides@2 'miles' does not exist",
            ),
            ({"score": None, "labels": None}, "received no score"),
            ({"reference": "yesterday@x"}, "has no bins that stay"),
            ({"verdict": "pass"}, "verdict: Extra inputs"),
        ],
        ids=["sum", "negative", "kind", "grid", "feature", "score", "reference", "field"],
    )
    def test_what_does_not_fit_is_refused_before_anything_is_written(
        self, watched: Watched, change: dict[str, Any], words: str
    ) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        given = counted(watched, "2026-03") | change
        with pytest.raises(SpecError, match=words):
            send(watched.ledger, given)
        assert watched.ledger.reports.latest(asset="ride_late", kind="reported") is None

    def test_an_unknown_model_or_window_is_said(self, watched: Watched) -> None:
        with pytest.raises(NotFoundError, match="ride_lat"):
            what_to_count(ledger=watched.ledger, model="ride_lat")
        with pytest.raises(NotFoundError, match="reported window of ride_late '2026-03' does not exist"):
            look(watched.ledger, "2026-03")
        with pytest.raises(SpecError, match="windows are reported of a model"):
            what_to_count(ledger=watched.ledger, model="rides")

    def test_what_counts_cannot_tell_is_refused(self, watched: Watched) -> None:
        with pytest.raises(PolicyError, match="slices, labels_from of the policy cannot be told from counts"):
            look(watched.ledger, "2026-03", slices=("kind",), labels_from=2)

    def test_reference_of_reported_windows_is_none_of_our_own(self, watched: Watched) -> None:
        with pytest.raises(SpecError, match="is for windows that were reported as counts"):
            watched.watch(3, reference="first")


def trips(month: int, *, longer: float = 0.0) -> list[dict[str, Any]]:
    draw = random.Random(month)  # noqa: S311 - test data
    return [{"km": draw.uniform(0, 10) + longer, "kind": draw.choice(("bus", "taxi"))} for _ in range(1500)]


class TestAdopted:
    def test_its_reference_is_never_chosen_silently(self, ledger: PostgresLedger, foreign: Version) -> None:
        with pytest.raises(
            SpecError, match="eta@1 has no training version in the ledger, so that its reference must"
        ):
            what_to_count(ledger=ledger, model="eta@1")
        with pytest.raises(SpecError, match="'eta' has no champion: say which version serves, as in eta@1"):
            what_to_count(ledger=ledger, model="eta", reference="first")
        with pytest.raises(NotFoundError, match="no window was reported of eta@1 yet"):
            what_to_count(ledger=ledger, model="eta@1", reference="first")

    def test_by_a_reported_reference(self, ledger: PostgresLedger, foreign: Version) -> None:
        own = own_counting(trips(0))
        send(ledger, count_window(own, window="learnt", rows=trips(0), scores=[0.4] * 1500), model="eta@1")
        asked = what_to_count(ledger=ledger, model="eta@1", reference="reported").to_dict()
        for month, longer in ((1, 0.0), (2, 3.0)):
            given = count_window(
                asked, window=f"m{month}", rows=trips(month, longer=longer), scores=[0.4] * 1500
            )
            send(ledger, given, model="eta@1")
        quiet = look(ledger, "m1", model="eta", reference="reported")
        moved = look(ledger, "m2", model="eta", reference="reported")
        assert (quiet.verdict, quiet.body["reference"]) == ("pass", "eta@1 reference reported as learnt")
        assert "km values moved" in moved.body["summary"]
        with pytest.raises(
            SpecError, match="counted in the bins of reference 'reported', and the policy says 'training'"
        ):
            look(ledger, "m2", model="eta", run="x")

    def test_by_the_first_window(self, ledger: PostgresLedger, foreign: Version) -> None:
        own = own_counting(trips(0), reference="first")
        send(ledger, count_window(own, window="m0", rows=trips(0)), model="eta@1")
        asked = what_to_count(ledger=ledger, model="eta@1", reference="first").to_dict()
        new = [row | {"kind": "boat"} if i % 4 == 0 else row for i, row in enumerate(trips(1))]
        send(ledger, count_window(asked, window="m1", rows=new), model="eta@1")
        first = look(ledger, "m0", model="eta", reference="first", alarm_budget=5)
        assert (first.verdict, first.body["reference"]) == ("unknown", None)
        assert "m0 is the first that was reported" in first.body["summary"]
        second = look(ledger, "m1", model="eta", reference="first")
        assert "kind has new categories: 2" in second.body["summary"]
        assert second.body["reference"] == "eta@1 first window m0"
        before = look(ledger, "m1", model="eta", reference="previous", run="x")
        assert (before.body["reference"], before.body["no_reference"]) == (
            None,
            "window m0 before is no reference: it was counted in other bins",
        )

    def test_by_a_pinned_version(self, watched: Watched, foreign: Version) -> None:
        asked = what_to_count(ledger=watched.ledger, model="eta@1", reference="rides@2").to_dict()
        assert {one["name"]: one["count"] for one in asked["features"]} == {
            "id": "cells", "at": "nulls", "km": "cells", "late": "values", "kind": "values",
        }  # fmt: skip
        chosen = asked | {"features": [one for one in asked["features"] if one["name"] in ("km", "kind")]}
        given = count_window(chosen, window="m1", rows=trips(1, longer=4.0))
        send(watched.ledger, given, model="eta@1")
        report = look(watched.ledger, "m1", model="eta", reference="rides@2")
        assert report.body["reference"] == "rides@2"
        assert "km values moved" in report.body["summary"]
        less = chosen | {"features": chosen["features"][:1]}
        with pytest.raises(SpecError, match=r"features \['kind'\] of eta@1 are missing"):
            send(watched.ledger, count_window(less, window="m2", rows=trips(2)), model="eta@1")

"""What a monitor sees: references, evidence over time, slices, importance, labels that come late, own metrics."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import NotFoundError, SpecError, WarehouseError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.publish import place_of, publish_part
from tests.integration.steps.test_models import GOOD, Deployment
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Report

COLUMNS = (
    Column("id", "integer"),
    Column("at", "timestamptz"),
    Column("km", "double precision"),
    Column("late", "boolean"),
    Column("kind", "text"),
)


class Watched(Deployment):
    """A deployment whose rides have a kind, and whose labels may come later."""

    def ingest(  # type: ignore[override]  # without branches, with more to say
        self,
        month: int,
        *,
        longer: float = 0.0,
        only: str | None = None,
        labelled: float = 1.0,
        again: str = "",
    ) -> Version:
        """Bring a month in.

        :param longer: kilometres that rides are longer than usual.
        :param only: the kind of rides that are.
        :param labelled: share of rides whose outcome is known.
        """
        key, draw = f"2026-{month:02d}", random.Random(month)  # noqa: S311 - test data
        lines = ["id,at,km,late,kind"]
        for index in range(2000):
            kind = "bus" if index % 2 else "taxi"
            km = draw.uniform(0, 10) + (longer if only in (None, kind) else 0.0)
            late = "t" if draw.random() < min(0.08 * km, 0.95) else "f"
            late = late if index < labelled * 2000 else ""
            lines.append(
                f"{month * 10_000 + index},2026-{month:02d}-{1 + index // 80:02d}T10:00:00+00:00,{km:.4f},{late},{kind}"
            )
        path = self.folder / f"{key}{again}.csv"
        path.write_text("\n".join(lines) + "\n")
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", key + again),
            target=Target("rides", "partition", key, location="public.rides"),
            path=path,
            columns=COLUMNS,
        )
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", key + again),
            staged=staged,
            place=place_of(self.ledger, "rides", "public.rides", Layout()),
            require_check=False,
        )

    def look(
        self,
        key: str,
        *,
        run: str = "",
        now: datetime | None = None,
        labels: str | None = None,
        **policy: Any,
    ) -> Report:
        """Observe a scored month."""
        return observe_batch(
            ledger=self.ledger,
            warehouse=self.ledger.warehouse,
            identity=identity("monitor", key + run),
            model="ride_late",
            predictions="ride_scores",
            key_columns=("id",),
            partition_key=key,
            policy=MonitorPolicy(**policy),
            labels=labels,
            now=now,
        )

    def watch(self, month: int, *, said: dict[str, Any] | None = None, **policy: Any) -> Report:
        """Bring a month in, score and observe it."""
        key = f"2026-{month:02d}"
        self.ingest(month, **(said or {}))
        self.score(key)
        return self.look(key, **policy)

    def report(self, kind: str, asset: str, version: Version, body: dict[str, Any]) -> Report:
        """Write a report as another task would."""
        run = self.ledger.runs.begin(identity(f"write {kind}", version.ref), input_digest="x")
        return self.ledger.reports.add(
            run=run, fact=run.fact(asset), kind=kind, verdict="pass", body=body, version_id=version.version_id
        )

    def succeed(self) -> None:
        """Put another version in the champion's place."""
        version, _ = self.challenge()
        run = self.ledger.runs.begin(identity("succeed"), input_digest="x")
        self.ledger.versions.move_alias(
            asset="ride_late", name="champion", version_id=version.version_id, run=run
        )

    def scores_part(self, key: str) -> Part:
        """The rows of a month's scores, open for writing."""
        head = self.ledger.versions.find("ride_scores")
        manifest = self.ledger.versions.manifest(head.version_id)
        part = next(p for p in manifest if p.partition_key == key)
        self.ledger.connection.execute(f"ALTER TABLE {part.relation.quoted} DISABLE TRIGGER USER")
        return part

    def outcomes(self, lates: Sequence[str], month: int = 3) -> None:
        """Bring labels of a month in as a dataset of its own."""
        declare(self.ledger, "outcomes")
        path = self.folder / "outcomes.csv"
        path.write_text(
            "id,late\n" + "".join(f"{month * 10_000 + i},{late}\n" for i, late in enumerate(lates))
        )
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", "outcomes"),
            target=Target("outcomes", "append", None, location="public.outcomes"),
            path=path,
            columns=(Column("id", "integer"), Column("late", "double precision")),
        )
        publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", "outcomes"),
            staged=staged,
            place=place_of(self.ledger, "outcomes", "public.outcomes", Layout()),
            require_check=False,
        )

    @property
    def incidents(self) -> list[tuple[str, str]]:
        """Kind and severity of all incidents, oldest first."""
        return [(one.kind, one.severity) for one in reversed(self.ledger.incidents.list(asset="ride_late"))]


@pytest.fixture
def watched(ledger: PostgresLedger, tmp_path: Path) -> Watched:
    deployment = Watched(ledger, tmp_path, GOOD, GOOD)
    deployment.first_champion()
    return deployment


class TestReference:
    def test_the_batch_before_is_a_reference_once_there_is_one(self, watched: Watched) -> None:
        first = watched.watch(3, said={"longer": 4.0}, reference="previous")
        assert (first.verdict, first.body["reference"], first.body["inputs"]) == ("unknown", None, [])
        again = watched.watch(4, said={"longer": 4.0}, reference="previous")
        assert (again.verdict, again.body["reference"], again.body["reference_batch"]) == (
            "pass",
            "rides@3",
            "2026-03",
        )
        assert watched.look("2026-04", run="training").verdict == "fail"

    def test_any_version_may_be_pinned(self, watched: Watched) -> None:
        report = watched.watch(3, said={"longer": 3.0}, reference="rides@1")
        assert report.body["reference"] == "rides@1"
        assert "km values moved" in report.body["summary"]
        with pytest.raises(NotFoundError, match="feature in ride_scores@1 'km' does not exist"):
            watched.look("2026-03", run="x", reference="ride_scores@1")

    def test_a_batch_before_that_cannot_be_compared_is_no_reference(self, watched: Watched) -> None:
        watched.watch(3, reference="previous")
        watched.ledger.connection.execute(
            "UPDATE dataml.part SET profile = profile #- '{columns,km}' WHERE partition_key = '2026-03'"
        )
        report = watched.watch(4, reference="previous")
        assert (report.verdict, report.body["reference"], report.body["inputs"]) == ("unknown", None, [])
        assert "batch 2026-03 before is no reference: feature in rides@3 'km'" in report.body["summary"]

    def test_scores_of_another_model_are_no_reference(self, watched: Watched) -> None:
        watched.watch(3, reference="previous")
        watched.succeed()
        report = watched.watch(4, reference="previous")
        assert (report.body["reference_batch"], report.body["prediction"]) == ("2026-03", [])
        assert watched.watch(5, reference="previous").body["prediction"]

    def test_what_is_no_reference_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="is not 'training', 'previous' or a dataset version"):
            MonitorPolicy(reference="yesterday")
        with pytest.raises(ValidationError, match="sums evidence against one reference"):
            MonitorPolicy(reference="previous", alarm_budget=90)


class TestStatistics:
    def test_tests_and_distances_stand_beside_each_other(self, watched: Watched) -> None:
        report = watched.watch(3, said={"longer": 4.0})
        assert {(s["column"], s["test"], s["drifted"]) for s in report.body["inputs"]} == {
            ("km", "values", True),
            ("km", "ks", True),
            ("km", "missing", False),
        }
        assert {"psi", "js_distance", "ks", "wasserstein", "linf", "tv", "hellinger"} <= set(
            report.body["distances"]["km"]
        )
        assert report.body["distances"]["km"]["wasserstein"] == pytest.approx(4.0, abs=0.3)

    def test_without_the_new_options_a_policy_is_recorded_as_it_was(self) -> None:
        assert set(MonitorPolicy().model_dump(mode="json")) == {
            "tolerance",
            "level",
            "decay_tolerance",
            "confidence",
            "min_rows",
        }


class TestBudget:
    def test_evidence_adds_up_and_only_its_alarm_opens_an_incident(self, watched: Watched) -> None:
        policy = {"alarm_budget": 20, "tolerance": 0.01, "decay_tolerance": 5.0}
        first = watched.watch(3, **policy)
        assert (first.verdict, first.body["over_time"]["previous"]) == ("pass", None)
        moved = watched.watch(4, said={"longer": 8.0}, **policy)
        state = moved.body["over_time"]
        assert (state["alarm"], state["previous"], state["detector"]["windows"]) == (True, first.report_id, 2)
        assert set(state["suspects"]) >= {"km"}
        assert "evidence of 2 windows reaches the budget of 20" in moved.body["summary"]
        assert [kind for kind, _ in watched.incidents] == ["drift"]
        begun = watched.watch(5, **policy).body["over_time"]
        assert (begun["detector"]["windows"], begun["alarm"]) == (1, False)

    def test_what_one_window_finds_is_a_warning(self, watched: Watched) -> None:
        policy = {"alarm_budget": 10**9, "decay_tolerance": 50.0, "tolerance": 0.0, "level": 0.4}
        report = watched.watch(3, said={"longer": 0.08}, **policy)
        assert report.body["warnings"]
        assert (report.verdict, watched.incidents) == ("warn", [])
        assert not any(report.body["findings"].values())
        assert "of this window alone" in report.body["summary"]

    def test_a_batch_counts_once(self, watched: Watched) -> None:
        policy = {"alarm_budget": 90}
        later = watched.watch(4, **policy)
        assert watched.look("2026-04", **policy).report_id == later.report_id
        again = watched.look("2026-04", run="again", **policy)
        assert again.body["over_time"]["detector"] == later.body["over_time"]["detector"]
        assert "counted before" in again.body["over_time"]["told"]
        earlier = watched.watch(3, **policy)
        assert earlier.body["over_time"]["out_of_order"]
        assert "came after later ones" in earlier.body["over_time"]["told"]
        assert earlier.body["over_time"]["detector"]["windows"] == 2

    def test_another_reference_begins_anew(self, watched: Watched) -> None:
        watched.watch(3, alarm_budget=90)
        other = watched.look("2026-03", run="pinned", alarm_budget=90, reference="rides@1")
        assert other.body["over_time"]["previous"] is None


class TestSlices:
    def test_a_shift_in_one_group_is_found_there(self, watched: Watched) -> None:
        report = watched.watch(3, said={"longer": 2.5, "only": "bus"}, slices=["kind"], min_rows=200)
        slices = report.body["slices"]
        assert [(one["value"], one["rows"], one["tested"]) for one in slices["groups"]] == [
            ("bus", 1000, True),
            ("taxi", 1000, True),
        ]
        assert {s["where"] for s in slices["shifts"]} == {"kind is bus"}
        assert any("where kind is bus" in text for text in report.body["findings"]["input_drift"])

    def test_the_loss_of_a_group_is_held_against_the_batches_before(self, watched: Watched) -> None:
        policy = {"slices": ["kind"], "min_rows": 200, "decay_tolerance": 0.3}
        first = watched.watch(3, **policy).body["slices"]["performance"]
        assert {(one["value"], one["verdict"]) for one in first} == {("bus", "unknown"), ("taxi", "unknown")}
        second = watched.watch(4, **policy).body["slices"]["performance"]
        assert {(one["value"], one["verdict"]) for one in second} == {("bus", "pass"), ("taxi", "pass")}

    def test_small_groups_are_not_judged(self, watched: Watched) -> None:
        report = watched.watch(3, slices=["kind"], min_rows=1500)
        assert [one["tested"] for one in report.body["slices"]["groups"]] == [False, False]
        assert report.body["slices"]["tests"] == 0

    def test_an_unknown_column_is_named(self, watched: Watched) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        with pytest.raises(NotFoundError, match=r"column of rides@3 to slice by 'kin' does not exist.*kind"):
            watched.look("2026-03", slices=["kin"])


class TestImportance:
    @pytest.fixture
    def explained(self, watched: Watched) -> Watched:
        champion = watched.ledger.versions.find("ride_late@champion")
        watched.report("explanation", "ride_late", champion, {"features": [{"feature": "km", "share": 0.02}]})
        return watched

    def test_what_matters_little_is_a_warning(self, explained: Watched) -> None:
        report = explained.watch(3, said={"longer": 8.0}, importance=0.05, decay_tolerance=50.0)
        assert report.body["findings"]["input_drift"] == []
        assert any("km values moved" in text for text in report.body["warnings"])
        assert report.body["importance"] == {"km": 0.02}

    @pytest.mark.parametrize(
        ("counting", "failed"),
        [({"drifted": 1}, True), ({"drifted": 2}, False), ({"drifted": 1, "important": 1}, False)],
        ids=["enough", "too few", "none important"],
    )
    def test_drifted_features_are_counted(
        self, explained: Watched, counting: dict[str, int], failed: bool
    ) -> None:
        report = explained.watch(3, said={"longer": 8.0}, importance=0.05, counting=counting)
        assert report.body["counting"]["failed"] is failed

    def test_importance_is_needed_to_count_important_ones(self) -> None:
        with pytest.raises(ValidationError, match="needs importance"):
            MonitorPolicy(counting={"important": 1})


class TestLabels:
    def test_labels_that_come_later_make_another_report(self, watched: Watched) -> None:
        before = watched.watch(3, said={"labelled": 0.1})
        assert before.body["performance"]["now"] is None
        assert before.body["performance"]["label_share"] == pytest.approx(0.1)
        assert before.body["estimated"]["n"] == 2000
        watched.ingest(3, again="labels")
        after = watched.look("2026-03", run="clear")
        assert after.body["performance"]["now"]["n"] == 2000
        assert after.body["performance"]["labels"] == "rides@4"
        assert watched.ledger.reports.get(before.report_id).body == before.body

    @pytest.mark.parametrize(("high", "found"), [(0.3, 1), (0.6, 0)], ids=["surely more", "within its error"])
    def test_what_the_holdout_could_not_tell_is_no_estimated_decay(
        self, watched: Watched, high: float, found: int
    ) -> None:
        connection = watched.ledger.connection
        connection.execute("ALTER TABLE dataml.report DISABLE TRIGGER USER")
        for side, value in (("low", 0.2), ("estimate", 0.3), ("high", high)):
            connection.execute(
                f"UPDATE dataml.report SET body = jsonb_set(body, '{{challenger,loss,{side}}}', '{value}') "
                "WHERE kind = 'evaluation'"
            )
        report = watched.watch(3, said={"labelled": 0.0}, decay_tolerance=0.0)
        told = report.body["findings"].get("estimated_decay", [])
        assert len(told) == found
        assert all(f"against 0.3000 [0.2000, {high:.4f}] at release" in text for text in told)

    def test_labels_may_come_in_a_dataset_of_their_own(self, watched: Watched) -> None:
        watched.watch(3, said={"labelled": 0.0})
        watched.outcomes(["1" if i % 3 else "0" for i in range(1500)])
        report = watched.look("2026-03", run="outcomes", labels="outcomes")
        performance = report.body["performance"]
        assert (performance["labelled"], performance["labels"]) == (1500, "outcomes@1")
        graph = watched.ledger.lineage.walk(f"report:{report.report_id}", direction="upstream", depth=1)
        assert "outcomes@1" in {node.label for node in graph.nodes}

    def test_labels_that_are_no_numbers_do_not_hide_decay(self, watched: Watched) -> None:
        watched.watch(3, said={"labelled": 0.0})
        part = watched.scores_part("2026-03")
        scores = watched.ledger.warehouse.query(f"SELECT score FROM {part.relation.quoted} ORDER BY id")
        wrong = ["0" if row["score"] > 0.5 else "1" for row in scores]
        watched.outcomes(["NaN", "Infinity", *wrong[2:]])
        report = watched.look("2026-03", run="outcomes", labels="outcomes", slices=["kind"])
        assert (report.body["performance"]["labelled"], report.verdict) == (1998, "fail")
        assert len(report.body["findings"]["decay"]) == 1
        assert sum(one["rows"] for one in report.body["slices"]["performance"]) == 1998

    def test_a_score_that_is_no_number_is_left_out(self, watched: Watched) -> None:
        watched.watch(3)
        part = watched.scores_part("2026-03")
        watched.ledger.connection.execute(f"UPDATE {part.relation.quoted} SET score = 'NaN' WHERE id = 30000")
        report = watched.look("2026-03", run="spoilt")
        assert report.body["performance"]["labelled"] == 1999
        assert {s["n_current"] for s in report.body["prediction"]} == {1999}

    def test_slices_that_were_written_down_as_nothing_are_passed_over(self, watched: Watched) -> None:
        policy = {"slices": ["kind"], "min_rows": 200}
        body = watched.watch(3, **policy).body
        for one in body["slices"]["performance"]:
            one["total"] = one["squares"] = None
        champion = watched.ledger.versions.find("ride_late@champion")
        watched.report("monitor", "ride_late", champion, body)
        after = watched.watch(4, **policy).body["slices"]["performance"]
        assert {one["verdict"] for one in after} == {"unknown"}

    def test_the_same_task_run_again_sees_the_labels_there_are_now(self, watched: Watched) -> None:
        before = watched.watch(3, said={"labelled": 0.1})
        assert watched.look("2026-03").report_id == before.report_id
        watched.ingest(3, again="labels")
        after = watched.look("2026-03")
        assert after.report_id != before.report_id
        assert watched.look("2026-03").report_id == after.report_id

    def test_a_range_of_earlier_batches_is_judged_by_what_came_since(self, watched: Watched) -> None:
        policy = {"labels_from": 3, "decay_tolerance": 0.0, "tolerance": 5.0}
        watched.watch(3, said={"labelled": 0.0, "longer": 8.0}, **policy)
        quiet = watched.watch(4, said={"labelled": 0.0}, **policy)
        assert [(one["partition_key"], one["labelled"]) for one in quiet.body["labels"]] == [("2026-03", 0)]
        watched.ingest(3, again="labels", longer=-30.0)
        news = watched.watch(5, said={"labelled": 0.0}, **policy)
        assert [(one["partition_key"], one["labelled"], one["judged"]) for one in news.body["labels"]] == [
            ("2026-04", 0, False),
            ("2026-03", 2000, True),
        ]
        assert "loss of batch 2026-03" in news.body["findings"]["decay"][0]
        assert ("decay", "high") in watched.incidents
        after = watched.watch(6, said={"labelled": 0.0}, **policy)
        assert (after.body["findings"]["decay"], after.body["labels"][-1]["judged"]) == ([], False)

    def test_what_never_came_is_late(self, watched: Watched) -> None:
        policy: dict[str, Any] = {
            "labels_from": 1,
            "max_label_delay": timedelta(days=7),
            "max_prediction_delay": timedelta(days=2),
        }
        watched.ingest(3, labelled=0.5)
        watched.score("2026-03")
        watched.ingest(4)
        in_time = watched.look("2026-03", **policy)
        assert "late" not in in_time.body["findings"]
        late = watched.look("2026-03", run="later", now=datetime.now(UTC) + timedelta(days=8), **policy)
        labels, predictions = late.body["findings"]["late"]
        assert labels.startswith("labels of batch 2026-03 are late: 1000 of 2000 came in 8 days")
        assert predictions.startswith(
            "predictions of batch 2026-04 are late: rides@4 was published 8 days ago"
        )
        assert (late.verdict, watched.incidents) == ("warn", [("data", "medium")])


def square_of_rows(facts: dict[str, Any]) -> float:
    """A metric of one's own."""
    return float(facts["rows"] ** 2)


class TestMetrics:
    def test_sql_and_functions_are_held_against_limits(self, watched: Watched) -> None:
        metrics = [
            {"name": "mean km", "sql": "SELECT avg(km) FROM features", "limit": 6.0},
            {
                "name": "sure",
                "sql": "SELECT count(*) FROM predictions WHERE score > 2",
                "limit": 0,
                "warn": -1,
            },
            {"name": "nothing", "sql": "SELECT NULL::int", "limit": 1},
            {
                "name": "key",
                "sql": "SELECT right(%(partition_key)s, 2)::int",
                "direction": "higher",
                "limit": 4,
            },
            {"name": "rows", "callable": "tests.integration.steps.test_observe:square_of_rows", "limit": 4e6},
        ]
        report = watched.watch(3, metrics=metrics)
        assert {one["name"]: one["verdict"] for one in report.body["metrics"]} == {
            "mean km": "pass",
            "sure": "warn",
            "nothing": "unknown",
            "key": "fail",
            "rows": "pass",
        }
        assert report.body["findings"]["metric_failed"] == ["key is 3, allowed from 4"]
        assert report.verdict == "fail"

    def test_what_is_usual_is_learned(self, watched: Watched) -> None:
        metric = {
            "name": "mean km",
            "sql": "SELECT avg(km) FROM features",
            "direction": "both",
            "learned": 10,
        }
        policy = {"metrics": [metric], "tolerance": 5.0, "decay_tolerance": 50.0}
        verdicts = [watched.watch(month, **policy).body["metrics"][0]["verdict"] for month in range(3, 7)]
        assert verdicts == ["unknown", "unknown", "unknown", "pass"]
        moved = watched.watch(7, said={"longer": 8.0}, **policy)
        assert moved.body["metrics"][0]["verdict"] == "fail"

    @pytest.mark.parametrize(
        ("sql", "error"),
        [
            ("SELECT set_config('transaction_read_only', 'off', true)", "read-write mode"),
            ("SELECT nextval('public.numbers')", "read-only transaction"),
            ("SELECT 1) x; COMMIT; DROP TABLE public.kept; SELECT (1", "multiple commands"),
        ],
        ids=["read-only off", "a function that writes", "another statement"],
    )
    def test_a_query_can_write_nothing(self, watched: Watched, sql: str, error: str) -> None:
        watched.ledger.connection.execute("CREATE TABLE public.kept (); CREATE SEQUENCE public.numbers")
        watched.ingest(3)
        watched.score("2026-03")
        with pytest.raises((SpecError, WarehouseError), match=error):
            watched.look("2026-03", metrics=[{"name": "bad", "sql": sql}])
        assert watched.ledger.connection.scalar("SELECT to_regclass('public.kept')") is not None

    @pytest.mark.parametrize(
        ("metric", "error"),
        [
            ({"sql": "SELECT 1, 2"}, "more than one value"),
            ({"sql": "SELECT 'a'"}, "is no number"),
            ({"callable": "tests.nowhere:f"}, "cannot be imported"),
        ],
        ids=["two values", "a word", "no function"],
    )
    def test_what_is_no_number_is_refused(self, watched: Watched, metric: dict[str, str], error: str) -> None:
        watched.ingest(3)
        watched.score("2026-03")
        with pytest.raises(SpecError, match=error):
            watched.look("2026-03", metrics=[{"name": "m"} | metric])


def test_contributions_that_moved_are_told(watched: Watched) -> None:
    def owed(**shares: float) -> list[dict[str, Any]]:
        return [{"features": [{"feature": name, "contribution": share} for name, share in shares.items()]}]

    champion = watched.ledger.versions.find("ride_late@champion")
    watched.report(
        "explanation", "ride_late", champion, {"features": [], "predictions": owed(km=0.9, day=0.1)}
    )
    watched.ingest(3)
    scored = watched.score("2026-03")
    watched.report("scoring", "ride_scores", scored, {"predictions_explained": owed(km=-0.4, day=0.6)})
    report = watched.look("2026-03", attribution_tolerance=0.25)
    assert report.body["attribution"]["share_shift"] == pytest.approx(0.5)
    assert "50% of the attribution moved" in report.body["findings"]["attribution_drift"][0]
    assert "attribution_drift" not in watched.look("2026-03", run="borne").body["findings"]


def test_an_alarm_on_a_model_that_was_replaced_meanwhile_opens_no_incident(watched: Watched) -> None:
    watched.ingest(3, longer=8.0)
    watched.score("2026-03")
    watched.succeed()
    report = watched.look("2026-03")
    assert (report.verdict, watched.incidents) == ("fail", [])
    assert watched.watch(4, said={"longer": 8.0}).verdict == "fail"
    assert watched.incidents

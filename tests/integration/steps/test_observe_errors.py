"""Errors watched row by row as their labels come: one state over all reports, nothing read twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.monitoring import MonitorPolicy
from tests.integration.steps.test_models import GOOD
from tests.integration.steps.test_observe import Watched

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

# What is borne of a whole window hides nothing here: only the rows can tell.
POLICY: dict[str, Any] = {"alarm_budget": 60, "errors": True, "decay_tolerance": 50.0, "tolerance": 5.0}


@pytest.fixture
def watched(ledger: PostgresLedger, tmp_path: Path) -> Watched:
    deployment = Watched(ledger, tmp_path, GOOD, GOOD)
    deployment.first_champion()
    return deployment


def turned(watched: Watched, key: str, *, last: int) -> None:
    """Turn the labels of the last rows of a month, as a world that changed would."""
    head = watched.ledger.versions.find("rides")
    (part,) = [p for p in watched.ledger.versions.manifest(head.version_id) if p.partition_key == key]
    watched.ledger.connection.execute(f"ALTER TABLE {part.relation.quoted} DISABLE TRIGGER USER")
    watched.ledger.connection.execute(
        f"UPDATE {part.relation.quoted} SET late = NOT late WHERE id % 10000 >= {2000 - last}"
    )


def test_the_baseline_is_that_of_the_release_and_quiet_months_are_quiet(watched: Watched) -> None:
    first = watched.watch(3, **POLICY)
    state = first.body["errors"]
    evaluation = watched.ledger.reports.latest(asset="ride_late", kind="evaluation")
    assert evaluation is not None
    assert state["baseline"]["evaluation"] == evaluation.report_id
    assert state["baseline"]["rate"] == pytest.approx(
        1 - evaluation.body["calibration"]["released"]["accuracy"], abs=1e-6
    )
    second = watched.watch(4, **POLICY).body["errors"]
    assert (second["previous"], second["detector"]["rows"]) == (first.report_id, 4000)
    assert (second["alarm"], first.body["errors"]["alarm"]) == (None, None)
    assert watched.incidents == []


def test_errors_that_grow_within_a_window_are_decay_at_a_row(watched: Watched) -> None:
    watched.watch(3, **POLICY)
    watched.ingest(4)
    turned(watched, "2026-04", last=600)
    watched.score("2026-04")
    report = watched.look("2026-04", **POLICY)
    alarm = report.body["errors"]["alarm"]
    assert alarm["batch"] == "2026-04"
    assert 1400 < alarm["row"] < 1700
    assert alarm["read"] == 2000 + alarm["row"]
    assert f"at row {alarm['row']} of the 2000" in report.body["findings"]["decay"][0]
    assert (report.verdict, watched.incidents) == ("fail", [("decay", "high")])


def test_labels_are_read_once_and_in_the_order_in_which_they_came(watched: Watched) -> None:
    late = POLICY | {"labels_from": 2}
    first = watched.watch(3, said={"labelled": 0.25}, **late)
    assert first.body["errors"]["arrivals"][0]["rows"] == 500
    second = watched.watch(4, said={"labelled": 0.0}, **late)
    assert [one["rows"] for one in second.body["errors"]["arrivals"]] == [0]
    watched.ingest(3, again="labels")
    third = watched.watch(5, **late).body["errors"]
    assert [(one["batch"], one["rows"]) for one in third["arrivals"]] == [
        ("2026-03", 1500),
        ("2026-05", 2000),
    ]
    assert third["detector"]["rows"] == 4000
    again = watched.look("2026-05", run="again", **late).body["errors"]
    assert (again["arrivals"], again["counted"], again["detector"]) == ([], False, third["detector"])


def test_an_alarm_that_stands_opens_no_second_incident(watched: Watched) -> None:
    watched.ingest(3)
    turned(watched, "2026-03", last=900)
    watched.score("2026-03")
    first = watched.look("2026-03", **POLICY)
    (incident,) = watched.ledger.incidents.list(asset="ride_late")
    watched.ledger.incidents.resolve(incident.incident_id, resolution="accepted")
    again = watched.look("2026-03", run="again", **POLICY)
    assert again.report_id != first.report_id
    assert (again.verdict, again.body["errors"]["alarm"]) == ("fail", first.body["errors"]["alarm"])
    assert len(watched.incidents) == 1
    assert watched.look("2026-03", run="again", **POLICY).report_id == again.report_id


def test_labels_whose_earlier_part_is_gone_are_not_read_again(watched: Watched) -> None:
    watched.watch(3, said={"labelled": 0.25}, **POLICY)
    before = watched.ledger.versions.find("rides")
    (part,) = [p for p in watched.ledger.versions.manifest(before.version_id) if p.partition_key == "2026-03"]
    watched.ingest(3, again="labels")
    watched.ledger.versions.mark_parts([part.part_id], state="dropped")
    report = watched.look("2026-03", run="labels", **POLICY)
    assert report.body["errors"]["arrivals"][0]["rows"] == 0
    assert report.body["errors"]["detector"]["rows"] == 500


def test_losses_are_read_against_the_upper_end_of_the_release(watched: Watched) -> None:
    report = watched.watch(3, **POLICY | {"errors": {"measure": "loss"}})
    state = report.body["errors"]
    evaluation = watched.ledger.reports.latest(asset="ride_late", kind="evaluation")
    assert evaluation is not None
    assert state["baseline"]["bound"] == evaluation.body["challenger"]["loss"]["high"]
    assert state["arrivals"][0]["mean"] == pytest.approx(
        report.body["performance"]["now"]["estimate"], abs=1e-5
    )
    other = watched.watch(4, **POLICY).body["errors"]
    assert (other["previous"], other["detector"]["rows"]) == (None, 2000)


def test_another_champion_begins_anew(watched: Watched) -> None:
    watched.watch(3, **POLICY)
    watched.succeed()
    watched.ingest(4)
    watched.score("2026-04")
    report = watched.look("2026-04", **POLICY)
    assert (report.body["model"], report.body["errors"]["previous"]) == ("ride_late@2", None)
    assert report.body["errors"]["detector"]["rows"] == 2000


def test_a_version_that_nobody_evaluated_has_no_baseline(watched: Watched) -> None:
    watched.ledger.connection.execute("ALTER TABLE dataml.report DISABLE TRIGGER USER")
    watched.ledger.connection.execute("UPDATE dataml.report SET kind = 'rehearsal' WHERE kind = 'evaluation'")
    assert "errors" not in watched.watch(3, **POLICY).body


def test_drift_and_errors_share_one_budget(watched: Watched) -> None:
    report = watched.watch(3, slices=["kind"], min_rows=200, **POLICY)
    over_time, errors = report.body["over_time"], report.body["errors"]
    assert (over_time["budget"], errors["budget"]) == (60, 60)
    assert over_time["detector"]["budget"] == errors["detector"]["budget"] == 120
    assert "one half of which is that of errors" in over_time["told"]
    assert {name for name in over_time["detector"]["slices"] if "kind is bus" in name} == {
        "km where kind is bus"
    }


def test_a_shift_in_one_slice_reaches_the_budget_and_is_named(watched: Watched) -> None:
    policy = {"slices": ["kind"], "min_rows": 200, "alarm_budget": 60, "decay_tolerance": 50.0}
    report = watched.watch(3, said={"longer": 4.0, "only": "bus"}, **policy)
    assert "km where kind is bus" in report.body["over_time"]["suspects"]
    assert report.body["over_time"]["alarm"]


def test_errors_want_an_alarm_budget() -> None:
    with pytest.raises(ValidationError, match="give alarm_budget with them"):
        MonitorPolicy(errors=True)
    assert "errors" not in MonitorPolicy(alarm_budget=60).model_dump(mode="json")
    assert MonitorPolicy(alarm_budget=60, errors=False).errors is None

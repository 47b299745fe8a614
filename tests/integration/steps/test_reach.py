"""Rows that somebody wants to be forgotten, found wherever they went."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.core.errors import GateError, NotFoundError, SpecError
from airflow_dataml.core.reach import RowKeys
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.reach import keep_reach, reach
from tests.integration.steps.rides import COLUMNS, Rides
from tests.integration.steps.test_models import GOOD, Deployment
from tests.support import identity

pytestmark = pytest.mark.integration
# Of January; early in February, and late in it, after the cut; of March, which nothing trained on.
TRAINED, EARLY, HELD_OUT, SCORED = "10001", "20001", "21999", "30001"


@pytest.fixture
def lived(ledger, tmp_path):
    """A champion trained on January and half of February, and predictions for March."""
    deployment = Deployment(ledger, tmp_path, GOOD, GOOD)
    deployment.first_champion()
    deployment.ingest(3)
    deployment.score("2026-03")
    return deployment


def _reach(deployment, *ids, dataset="rides"):
    ledger = deployment.ledger
    keys = RowKeys.of([{"id": one} for one in ids])
    return reach(ledger=ledger, warehouse=ledger.warehouse, dataset=dataset, keys=keys)


def _found(deployment, *ids):
    return {
        (one.asset, one.via): (one.versions, one.rows, one.in_use) for one in _reach(deployment, *ids).found
    }


def test_what_learnt_from_a_row_and_what_holds_it(lived):
    assert _found(lived, TRAINED) == {
        ("rides", "rows"): ((1, 2, 3), 1, ("current",)),
        ("ride_late", "learnt"): ((1,), 1, ("champion",)),
    }


def test_a_row_after_the_cut_was_measured_on_and_not_learnt(lived):
    assert _found(lived, HELD_OUT) == {
        ("rides", "rows"): ((2, 3), 1, ("current",)),
        ("ride_late", "measured"): ((1,), 1, ("champion",)),
    }
    assert _found(lived, TRAINED, EARLY, HELD_OUT)["ride_late", "learnt"][1] == 2
    assert _reach(lived, HELD_OUT).models == ()


def test_predictions_for_a_row_that_no_model_saw(lived):
    assert _found(lived, SCORED) == {
        ("rides", "rows"): ((3,), 1, ("current",)),
        ("ride_scores", "rows"): ((1,), 1, ("current",)),
    }


def test_a_model_that_began_with_one_that_learnt_from_it(lived):
    ledger = lived.ledger
    champion = ledger.versions.find("ride_late@champion")
    plan = champion.facts["plan"] | {"champion": champion.version_id, "partitions": ["2026-02"]}
    taught = lived.train("second", TrainingPlan.from_dict(plan))
    ledger.connection.execute(
        "UPDATE dataml.version SET facts = facts || %s WHERE version_id = %s",
        [json.dumps({"guidance": {"warm_start": champion.ref}}), taught.version_id],
    )
    found = _found(lived, TRAINED)
    assert found["ride_late", "through"] == ((2,), None, ("candidate",))


def test_parts_that_cannot_be_searched_are_said(ledger):
    odometer = Rides(ledger, "odometer")
    odometer.write([("bike", 1.0)], columns=COLUMNS[1:])
    odometer.write([("bike", 2.0, 7)], columns=(*COLUMNS[1:], COLUMNS[0]))
    keys = RowKeys.of([{"id": "8"}])
    found = reach(ledger=ledger, warehouse=ledger.warehouse, dataset="odometer", keys=keys)
    assert (found.verdict, found.blind) == ("unknown", ("odometer: 1 of 2 parts have no such key columns",))


def test_many_keys_of_two_columns_are_looked_for_at_once(lived):
    ledger = lived.ledger
    rows = [{"id": str(one), "at": "2026-01-01T10:00:00+00:00"} for one in range(10_000, 11_000)]
    found = reach(ledger=ledger, warehouse=ledger.warehouse, dataset="rides", keys=RowKeys.of(rows))
    assert {one.asset: one.rows for one in found.found if one.via == "rows"} == {"rides": 80}


def test_nothing_holds_a_row_that_never_was(lived):
    found = _reach(lived, "99")
    assert (found.found, found.verdict, found.summary) == ((), "pass", "nothing holds 1 row of rides")


def test_what_was_staged_and_never_published_counts(lived):
    lived.ledger.connection.execute(
        "DELETE FROM dataml.version_part WHERE part_id = (SELECT max(part_id) FROM dataml.part p JOIN dataml.asset a USING (asset_id) WHERE a.name = 'rides')"
    )
    found = _reach(lived, SCORED)
    assert found.verdict == "fail"
    assert [one.partition(", in no version")[2] for one in found.aside] == [", holds 1 of them"]


@pytest.mark.parametrize(
    ("dataset", "row", "error", "words"),
    [
        ("rides", {"ride": "1"}, SpecError, r"'rides' has no columns \['ride'\]"),
        ("ride_late", {"id": "1"}, SpecError, r"'ride_late' is a model"),
        ("rdies", {"id": "1"}, NotFoundError, r"rides"),
        ("rides", {"id": "one"}, GateError, r"invalid input syntax for type integer"),
    ],
    ids=["column", "model", "name", "value"],
)
def test_what_cannot_be_looked_for_is_refused(lived, dataset, row, error, words):
    ledger = lived.ledger
    with pytest.raises(error, match=words):
        reach(ledger=ledger, warehouse=ledger.warehouse, dataset=dataset, keys=RowKeys.of([row]))


class TestKept:
    def _keep(self, deployment, action, because="the law says so", run="r1"):
        found = _reach(deployment, TRAINED)
        return keep_reach(
            ledger=deployment.ledger,
            identity=identity("reach", run),
            found=found,
            action=action,
            because=because,
            request="TICKET-7",
        )

    def test_a_request_for_another_version_is_taken_up_by_the_next_plan(self, lived):
        report = self._keep(lived, "retrain")
        assert (report.verdict, report.body["request"]) == ("fail", "TICKET-7")
        plan = lived.plan()
        assert isinstance(plan, TrainingPlan)
        assert plan.reasons[0].startswith(
            "TICKET-7 to forget rows of rides: ride_late@1 learnt from 1 of them"
        )

    def test_one_decision_names_every_way_to_a_model(self, lived):
        champion = lived.ledger.versions.find("ride_late@champion")
        plan = champion.facts["plan"] | {"champion": champion.version_id, "partitions": ["2026-02"]}
        taught = lived.train("second", TrainingPlan.from_dict(plan))
        lived.ledger.connection.execute(
            "UPDATE dataml.version SET facts = facts || %s WHERE version_id = %s",
            [json.dumps({"guidance": {"warm_start": champion.ref}}), taught.version_id],
        )
        self._keep(lived, "waive")
        [decision] = [
            one for one in lived.ledger.reports.list(asset="ride_late") if one.body.get("action") == "waive"
        ]
        assert decision.version_id == champion.version_id
        assert ["learnt from 1" in said for said in decision.body["reasons"]] == [True, False]
        assert "began with, or was taught by" in decision.body["reasons"][1]

    def test_a_waiver_asks_for_nothing_and_is_in_the_chain(self, lived):
        self._keep(lived, "waive")
        self._keep(lived, "waive")
        assert not isinstance(lived.plan(), TrainingPlan)
        [entry] = [e for e in lived.ledger.audit.entries("ride_late") if e.action == "waive after reach"]
        assert "the law says so" in entry.detail["reasons"][0]

    def test_no_key_is_kept(self, lived):
        report = self._keep(lived, "list", because="")
        assert TRAINED not in json.dumps(report.body)
        rows = lived.ledger.connection.rows("SELECT detail::text AS said FROM dataml.audit")
        assert not any(TRAINED in row["said"] for row in rows)

    def test_a_decision_without_words_is_refused(self, lived):
        with pytest.raises(SpecError, match="needs words: say why"):
            self._keep(lived, "waive", because=" ")

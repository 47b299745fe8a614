"""What the API answers about a model, its incidents and the audit chain, on a ledger real steps filled."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from tests.integration.api.model_world import live

pytestmark = pytest.mark.integration
MODEL = "/models/ride_late"


@pytest.fixture(scope="module")
def lived(postgres_server, tmp_path_factory):
    from dev.embedded import ensure_database

    dsn = ensure_database(postgres_server, "api_models")
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger:
        live(ledger, tmp_path_factory.mktemp("life"))
    return dsn


@pytest.fixture
def lively(client_on, lived):
    return client_on(lived)


def _get(client, path, status=200, **headers):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def _all(client, path, key):
    """Every item of a list, two at a time; none twice."""
    items, after = [], ""
    while after is not None:
        found = _get(client, f"{path}{'&' if '?' in path else '?'}limit=2{after and f'&before={after}'}")
        items += found["items"]
        after = found["next"]
    assert len({item[key] for item in items}) == len(items)
    return items


class TestStanding:
    def test_says_which_version_is_what_and_what_it_learnt_from(self, lively):
        standing = _get(lively, f"{MODEL}/standing")
        roles = {role["name"]: (role["version"], role["dataset"]) for role in standing["roles"]}
        assert roles == {"champion": (2, "rides@2"), "challenger": (3, "rides@2"), "previous": (1, "rides@2")}
        assert next(role["name"] for role in standing["roles"]) == "champion"
        assert standing["evaluation"]["version"] == 3
        assert standing["monitor"]["verdict"] == "fail"

    def test_says_what_it_depends_on_with_what_it_learnt_from_and_what_is_current(self, lively):
        (rides,) = _get(lively, f"{MODEL}/standing")["depends"]
        assert (rides["asset"], rides["depth"], rides["pinned"], rides["current"]) == ("rides", 1, 2, 8)

    def test_an_incident_upstream_is_told(self, lively, lived):
        with PostgresLedger.connect(lived) as ledger:
            report = ledger.reports.list(asset="ride_late")[0].report_id
            opened, _ = ledger.incidents.open(
                asset="rides", kind="data", severity="high", title="rides broke", report_id=report
            )
            told = _get(lively, f"{MODEL}/standing")
            ledger.connection.execute(
                "DELETE FROM dataml.incident WHERE incident_id = %s", [opened.incident_id]
            )
        assert [i["title"] for i in told["upstream_incidents"]] == ["rides broke"]
        assert told["depends"][0]["incidents"] == 1


def test_aliases_have_a_history_of_who_moved_what_with_which_report(lively):
    moves = _all(lively, f"{MODEL}/history", "entry_id")
    champions = [m for m in moves if m["name"] == "champion"]
    assert [(m["from_version"], m["to_version"]) for m in champions] == [(1, 2), (None, 1)]
    assert champions[0]["action"] == "promote"
    assert "surely better" in champions[0]["reasons"][0]
    assert (champions[0]["task_id"], champions[0]["run_id"]) == ("promote", "second")
    assert [m["entry_id"] for m in moves] == sorted((m["entry_id"] for m in moves), reverse=True)


def test_evaluations_have_intervals_and_what_was_decided(lively):
    third, second, first = _all(lively, f"{MODEL}/evaluations", "report_id")
    assert (second["challenger"]["who"], second["opponent"]["who"]) == ("ride_late@2", "ride_late@1")
    assert second["difference"]["high"] < 0 <= second["margin"]
    assert second["verdict"] == "pass"
    assert second["decision"]["action"] == "promote"
    assert (third["verdict"], third["decision"]["action"]) == ("fail", "keep")
    assert (first["champion"], first["opponent"]["who"]) == (None, "the mean of the training rows")


def test_windows_have_drift_by_column_performance_and_what_followed(lively):
    windows = _all(lively, f"{MODEL}/windows", "report_id")
    assert [w["partition_key"] for w in windows] == [f"2026-{month:02d}" for month in range(8, 2, -1)]
    newest, calm = windows[0], windows[-1]
    km = {shift["test"]: shift for shift in newest["inputs"] if shift["column"] == "km"}
    assert km["values"]["drifted"]
    assert km["values"]["psi"] > newest["tolerance"]
    assert not any(shift["drifted"] for shift in calm["inputs"])
    assert calm["released"] < calm["limit"]
    assert calm["now"]["low"] < calm["now"]["estimate"] < calm["now"]["high"]
    assert (calm["reference"], calm["features"], calm["model"]) == ("rides@2", "rides@3", "ride_late@2")
    assert {w["decision"]["action"] for w in windows} >= {"wait", "retrain"}
    watch = calm["watch"]
    assert 0 < watch["labelled"] <= watch["scored"]
    assert (watch["evidence"], watch["metrics"], watch["promised"], watch["moved"]) == (None, [], None, None)


def test_decisions_name_the_report_they_were_taken_on(lively):
    decisions = _all(lively, f"{MODEL}/decisions", "report_id")
    assert decisions[0]["action"] == "keep"
    assert decisions[0]["evaluation"]
    assert not decisions[0]["monitor"]
    assert {d["action"] for d in decisions} == {"keep", "promote", "wait", "retrain"}
    acted = _all(lively, f"{MODEL}/decisions?waits=false", "report_id")
    assert acted == [d for d in decisions if d["action"] != "wait"]


class TestTraining:
    def test_has_what_it_was_pinned_to_and_asked_for(self, lively):
        training = _get(lively, f"{MODEL}/training?version=1")
        assert training["plan"]["version"] == "rides@2"
        assert training["pinned"] | {"pinned_at": None} == {
            "ref": "rides@2", "reason": "trained on", "pinned_at": None, "kept": True,
        }  # fmt: skip
        assert training["spec"] == {
            "features": [{"name": "km", "kind": "numeric"}],
            "target": "late",
            "task": "binary",
        }
        assert training["parameters"]["seed"] == 0
        assert "features" not in training["parameters"]

    def test_is_the_champion_s_unless_asked_for_another(self, lively):
        assert _get(lively, f"{MODEL}/training")["version"] == 2
        assert _get(lively, f"{MODEL}/training?version=challenger")["version"] == 3

    def test_a_version_that_is_not_there_is_said(self, lively):
        assert "ride_late@99" in _get(lively, f"{MODEL}/training?version=99", 404)["detail"]


class TestCard:
    def test_is_markdown(self, lively):
        answer = lively.get(f"{MODEL}/card?version=2")
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# ride\\_late@2\n")
        assert "| km | numeric |" in answer.text
        assert "Verdict: **pass**" in answer.text

    def test_is_json_for_who_wants_json(self, lively):
        card = _get(lively, f"{MODEL}/card?version=previous", accept="application/json")
        assert card["version"] == 1
        assert card["markdown"].startswith("# ride\\_late@1\n")


@pytest.mark.parametrize(
    "place", ["standing", "history", "evaluations", "windows", "decisions", "training", "card"]
)
def test_what_is_no_model_is_said(lively, place):
    assert "is a dataset" in _get(lively, f"/models/rides/{place}", 422)["detail"]
    assert "nowhere" in _get(lively, f"/models/nowhere/{place}", 404)["detail"]


class TestIncident:
    def test_filters_narrow_the_list(self, lively):
        everything = _get(lively, "/incidents")["items"]
        assert everything
        for name in ("kind", "severity", "state", "asset"):
            value = everything[0][name]
            found = _get(lively, f"/incidents?{name}={value}")["items"]
            assert found == [one for one in everything if one[name] == value]
        assert _get(lively, "/incidents?state=resolved&severity=low&kind=data")["items"] == []
        _get(lively, "/incidents?kind=weather", 422)

    def test_has_its_evidence_versions_and_story(self, lively):
        newest = _get(lively, "/incidents")["items"][0]
        one = _get(lively, f"/incidents/{newest['incident_id']}")
        assert one["evidence"]["kind"] == "monitor"
        assert any(shift["drifted"] for shift in one["evidence"]["window"]["inputs"])
        assert one["asset_kind"] == "model"
        roles = {(v["asset"], v["role"]) for v in one["linked"]}
        assert {("ride_late", "judged"), ("rides", "monitored"), ("ride_scores", "monitored")} <= roles
        assert ("rides", 2) in {(v["asset"], v["version"]) for v in one["upstream"]}
        assert one["blame"] is None
        assert one["decision"]["action"] in {"wait", "retrain"}
        assert one["decision"]["reasons"]
        assert one["timeline"][0]["what"] == "opened"
        assert one["timeline"][0]["who"] == "dag.monitor"
        assert [e["at"] for e in one["timeline"]] == sorted(e["at"] for e in one["timeline"])

    def test_that_is_not_there_is_said(self, lively):
        assert "incident 999" in _get(lively, "/incidents/999", 404)["detail"]

    def test_of_a_batch_has_its_worst_checks_and_what_people_did(self, client_on, filled_dsn):
        editor = client_on(filled_dsn, role="OP")
        before = _get(editor, "/incidents/1")
        assert [c["name"] for c in before["evidence"]["worst"]] == ["duplicate(ride_id)", "row_count"]
        assert before["evidence"]["checks"] == 3
        assert {(v["version"], v["role"]) for v in before["linked"]} == {(2, "brought it")}
        editor.post("/incidents/1/state", json={"state": "assigned", "assignee": "ana", "words": "yours"})
        editor.post("/incidents/1/state", json={"state": "resolved", "words": "replayed"})
        told = _get(editor, "/incidents/1")["timeline"]
        assert [(e["what"], e["who"], e["words"]) for e in told[1:]] == [
            ("assigned", "user:someone", "to ana: yours"), ("resolved", "user:someone", "replayed"),
        ]  # fmt: skip


class TestAudit:
    @pytest.mark.parametrize(
        ("query", "kept"),
        [
            ("action=promote", lambda e: e["action"] == "promote"),
            ("subject=ride_late", lambda e: e["subject"].startswith("ride_late")),
            ("actor=task:dag/second", lambda e: e["actor"].startswith("task:dag/second")),
            ("actor=user:", lambda e: False),
            ("since=2020-01-01T00:00:00Z", lambda e: True),
            ("until=2020-01-01T00:00:00Z", lambda e: False),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_filters_narrow_the_chain(self, lively, query, kept):
        everything = _all(lively, "/audit", "seq")
        found = _all(lively, f"/audit?{query}", "seq")
        assert found == [entry for entry in everything if kept(entry)]

    def test_names_its_actions_with_the_first_page(self, lively):
        first = _get(lively, "/audit?limit=2")
        assert first["actions"] == sorted({e["action"] for e in _all(lively, "/audit", "seq")})
        assert _get(lively, f"/audit?limit=2&before={first['next']}")["actions"] is None

    def test_is_exported_as_lines_that_chain(self, lively):
        answer = lively.get("/audit/export")
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert "dataml-audit.jsonl" in answer.headers["content-disposition"]
        entries = [json.loads(line) for line in answer.text.splitlines()]
        assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
        assert [e["prev_hash"] for e in entries] == ["", *(e["hash"] for e in entries[:-1])]

    def test_export_takes_the_filters(self, lively):
        lines = lively.get("/audit/export?action=promote").text.splitlines()
        assert {json.loads(line)["action"] for line in lines} == {"promote"}
        assert lively.get("/audit/export?action=nothing").text == ""

    def test_a_long_chain_is_exported_whole(self, client_on, postgres_dsn):
        with Connection(postgres_dsn) as connection:
            migrate(connection)
            connection.execute(
                """INSERT INTO dataml.audit (actor, action, subject, detail)
                   SELECT 'user:ana', 'count', 'n ' || n, '{}' FROM generate_series(1, 4500) n"""
            )
        lines = client_on(postgres_dsn).get("/audit/export").text.splitlines()
        assert [json.loads(line)["subject"] for line in lines] == [f"n {n}" for n in range(1, 4501)]

"""Predictions made elsewhere through the API: each id once, and all of a batch or nothing."""

from __future__ import annotations

import psycopg
import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.prediction_log import MOST_PREDICTIONS

pytestmark = pytest.mark.integration
PATH = "/api/v1/models/ride_demand/predictions"


@pytest.fixture
def editor(client_on, filled_dsn):
    return client_on(filled_dsn, role="ADMIN")


def one(n, **more):
    row = {
        "prediction_id": f"p{n}",
        "predicted_at": "2026-03-01T10:00:00+01:00",
        "model_version": 1,
        "score": n / 10,
    }
    return row | more


def kept(dsn):
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT prediction_id, score, features FROM public.ride_demand_online ORDER BY prediction_id"
        ).fetchall()


def test_a_batch_is_stored_once_however_often_it_is_sent(editor, filled_dsn):
    batch = [one(1, features={"km": 2.5}), one(2)]
    first, second = editor.post(PATH, json=batch), editor.post(PATH, json=[*batch, one(3)])
    assert (first.status_code, first.json()) == (
        201,
        {"dataset": "ride_demand_online", "version": "ride_demand_online@1", "stored": 2, "known": 0},
    )
    assert second.json() | {"dataset": ""} == {
        "dataset": "", "version": "ride_demand_online@2", "stored": 1, "known": 2,
    }  # fmt: skip
    assert editor.post(PATH, json=batch).json()["version"] == "ride_demand_online@2"
    assert kept(filled_dsn) == [("p1", 0.1, {"km": 2.5}), ("p2", 0.2, None), ("p3", 0.3, None)]


def test_what_is_stored_comes_from_the_model_that_made_it(editor, filled_dsn):
    editor.post(PATH, json=[one(1)])
    with PostgresLedger.connect(filled_dsn) as ledger:
        version, model = (ledger.versions.find(ref) for ref in ("ride_demand_online@1", "ride_demand@1"))
        graph = ledger.lineage.walk(str(version_node(version.version_id)), direction="upstream")
    assert {(str(one), str(other), kind) for one, other, kind, *_ in graph.edges} >= {
        (str(version_node(model.version_id)), str(version_node(version.version_id)), "scored_by")
    }


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "a list of at least one prediction"),
        ([], 422, "a list of at least one prediction"),
        ([one(1), one(2, score="high")], 422, "prediction 1, score"),
        ([one(1), one(1)], 422, "'p1' occurs twice"),
        ([one(1, predicted_at="2026-03-01T10:00:00")], 422, "timezone"),
        ([one(1, verdict="yes")], 422, "prediction 0, verdict"),
        ([one(1, features={"text": "x" * 70_000})], 422, "70,012 bytes"),
        ([one(1), one(2, model_version=99)], 404, "ride_demand@99"),
        ([one(n) for n in range(MOST_PREDICTIONS + 1)], 422, "10,000 predictions at most"),
    ],
    ids=[
        "no list",
        "nothing",
        "no number",
        "twice",
        "no zone",
        "more",
        "too large",
        "no version",
        "too many",
    ],
)
def test_a_batch_that_is_not_understood_leaves_nothing(editor, body, status, words):
    answer = editor.post(PATH, json=body)
    assert (answer.status_code, words in str(answer.json()["detail"])) == (status, True), answer.text
    assert editor.get("/assets?q=ride_demand_online").json()["items"] == []


@pytest.mark.parametrize(
    ("model", "words"), [("rides", "made by a model"), ("nobody", "nobody")], ids=["a dataset", "nothing"]
)
def test_only_models_predict(editor, model, words):
    answer = editor.post(f"/api/v1/models/{model}/predictions", json=[one(1)])
    assert answer.status_code in (404, 422)
    assert words in answer.json()["detail"]


def test_readers_may_not(client_on, filled_dsn):
    assert client_on(filled_dsn).post(PATH, json=[one(1)]).status_code == 403
    assert client_on(filled_dsn, anonymous=True).post(PATH, json=[one(1)]).status_code == 401

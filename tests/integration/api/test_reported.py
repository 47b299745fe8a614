"""Windows of models served elsewhere through the API: what to count, the counts once, and who may report them."""

from __future__ import annotations

import psycopg
import pytest

from airflow_dataml.core.window_counts import count_window, own_counting

pytestmark = pytest.mark.integration
COUNTING = "/api/v1/models/ride_demand@1/counting"
WINDOWS = "/api/v1/models/ride_demand@1/windows/reported"


@pytest.fixture
def editor(client_on, filled_dsn):
    return client_on(filled_dsn, role="ADMIN")


LEARNT = [{"km": 1.5, "kind": "bus"}, {"km": 3, "kind": "taxi"}]


@pytest.fixture(autouse=True)
def learnt(editor):
    own = count_window(own_counting(LEARNT), window="learnt", rows=LEARNT, scores=[0.1, 0.9])
    assert editor.post(WINDOWS, json=own).status_code == 201


def counted(client):
    asked = client.get(COUNTING, params={"reference": "reported"}).json()
    return count_window(asked, window="2026-03", rows=[{"kind": "tram"}] * 3, scores=[0.5, None, 0.2])


def kept(dsn):
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT count(*) FROM dataml.report WHERE kind = 'reported'").fetchone()
        actors = connection.execute(
            "SELECT actor FROM dataml.audit WHERE action = 'report window'"
        ).fetchall()
    return found[0], actors


def test_what_to_count_is_bins_and_no_rows(editor):
    answer = editor.get(COUNTING, params={"reference": "reported"})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "model": "ride_demand@1",
            "reference": "reported",
            "against": "ride_demand@1 reference reported as learnt",
            "cells": 1024,
            "features": [
                {"name": "km", "count": "cells", "grid": [0.75, 3.75], "values": None},
                {"name": "kind", "count": "values", "grid": None, "values": ["bus", "taxi"]},
            ],
            "score": [0.0, 1.0],
            "calibrated": None,
            "loss": None,
        },
    )


def test_a_window_is_kept_once_and_the_actor_is_known(editor, filled_dsn):
    given = counted(editor)
    first, second = editor.post(WINDOWS, json=given), editor.post(WINDOWS, json=given)
    assert (first.status_code, first.json()["known"]) == (201, False)
    assert second.json() == first.json() | {"known": True}
    reports, actors = kept(filled_dsn)
    assert (reports, len(actors)) == (2, 2)
    assert actors[0][0].startswith("task:dataml-api/")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"rows": 4}, 422, "and the window has 4 rows"),
        ({"reference": "training"}, 422, "has no training version in the ledger"),
        ({"window": None}, 422, "window"),
    ],
    ids=["sum", "reference", "window"],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(editor, filled_dsn, change, status, words):
    answer = editor.post(WINDOWS, json=counted(editor) | change)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.json()
    assert kept(filled_dsn)[0] == 1


def test_an_unknown_model_is_not_found(editor):
    answer = editor.get("/api/v1/models/ride_deman@1/counting")
    assert (answer.status_code, "ride_deman" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize("role", ["VIEWER", "USER"], ids=str)
def test_who_may_not_edit_may_ask_and_not_report(client_on, filled_dsn, role):
    reader = client_on(filled_dsn, role=role)
    given = counted(reader)
    assert reader.post(WINDOWS, json=given).status_code == 403
    assert kept(filled_dsn)[0] == 1


def test_the_api_describes_the_report(editor):
    said = editor.get("/openapi.json").json()["paths"]
    schema = said["/api/v1/models/{model}/windows/reported"]["post"]["requestBody"]["content"][
        "application/json"
    ]["schema"]
    assert {"window", "rows", "features", "score", "labels"} <= set(schema["properties"])
    assert "get" in said["/api/v1/models/{model}/counting"]

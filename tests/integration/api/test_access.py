"""Who may read and who may change: nobody anonymous, whatever the route, whether or not the ledger answers."""

from __future__ import annotations

import pytest

from airflow_dataml.api.modules import MAIN

pytestmark = pytest.mark.integration
DEAD = "postgresql://u:hunter2@127.0.0.1:1/nothing"
FILLED = {
    "{name:path}": "rides",
    "{model:path}": "ride_demand",
    "{name}": "rides",
    "{report_id}": "1",
    "{incident_id}": "1",
    "{backend}": "nowhere",
    "{release}": "1",
    "{module}": MAIN,
}
# What a route cannot answer without.
ASKED = {
    "/assets/rides/compare": "?old=1&new=2",
    "/assets/rides/profile": "?version=1",
    "/words": "?q=ri",
    "/graph": "?asset=rides",
    "/graph/path": "?source=version:1&target=version:2",
    "/graph/impact": "?asset=rides",
    "/graph/columns": "?nodes=version:1,version:2",
    "/graph/column": "?asset=rides&column=fare",
    "/api/v1/models/ride_demand/counting": "?reference=reported",
}
# Histograms that the windows of a model served elsewhere are counted against.
LEARNT = {
    "window": "learnt",
    "role": "reference",
    "reference": "reported",
    "rows": 3,
    "features": {"km": {"nulls": 3}},
}
BODIES = {
    "/incidents/{incident_id}/state": {"state": "acknowledged"},
    "/delivery/{backend}/replay": {},
    "/api/v1/lineage": {},
    "/api/v1/lineage/batch": [],
    "/api/v1/models/{model:path}/predictions": [],
    "/api/v1/models/{model:path}/windows/reported": LEARNT,
}


def _routes(client):
    return sorted((method, route.path) for route in client.app.routes for method in route.methods - {"HEAD"})


def _reads(client):
    return [path for method, path in _routes(client) if method == "GET"]


def _ask(client, method, path):
    url = path
    for name, value in FILLED.items():
        url = url.replace(name, value)
    body = {"json": BODIES[path]} if path in BODIES and method == "POST" else {}
    return client.request(method, url + ASKED.get(url, ""), **body).status_code


def test_every_route_that_changes_something_is_known_here(viewer):
    assert [path for method, path in _routes(viewer) if method != "GET"] == sorted(BODIES)


def test_anonymous_is_refused_on_every_route(client_on, filled_dsn):
    anonymous = client_on(filled_dsn, anonymous=True)
    answers = {route: _ask(anonymous, *route) for route in _routes(anonymous)}
    assert len(answers) > 15
    assert answers == dict.fromkeys(answers, 401)


def test_anonymous_does_not_reach_the_ledger(client_on):
    anonymous = client_on(DEAD, anonymous=True)
    assert {_ask(anonymous, *route) for route in _routes(anonymous)} == {401}


def test_a_user_without_a_role_is_refused(client_on, filled_dsn):
    nobody = client_on(filled_dsn, role=None)
    assert {_ask(nobody, *route) for route in _routes(nobody)} == {403}


def test_a_viewer_reads_every_route(client_on, filled_dsn, viewer):
    client_on(filled_dsn, role="ADMIN").post("/api/v1/models/ride_demand/windows/reported", json=LEARNT)
    answers = {path: _ask(viewer, "GET", path) for path in _reads(viewer)}
    assert answers == dict.fromkeys(answers, 200)


@pytest.mark.parametrize("role", ["VIEWER", "USER"], ids=str)
def test_who_may_not_edit_changes_nothing(client_on, filled_dsn, role):
    reader = client_on(filled_dsn, role=role)
    assert {_ask(reader, "POST", path) for path in BODIES} == {403}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"], ids=str)
def test_what_is_read_is_not_written(viewer, method):
    paths = [path for path in _reads(viewer) if path not in BODIES]
    assert {_ask(viewer, method, path) for path in paths} == {405}


@pytest.mark.parametrize("path", ["/docs", "/redoc"], ids=str)
def test_no_page_of_fastapi_s_own_is_open(viewer, path):
    assert viewer.get(path).status_code == 404


def test_the_api_describes_itself_to_who_may_read_it(viewer):
    said = viewer.get("/openapi.json").json()
    assert "/assets/{name}/versions" in said["paths"]

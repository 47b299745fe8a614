"""Who may read: nobody anonymous, whatever the route, whether or not the ledger answers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration
DEAD = "postgresql://u:hunter2@127.0.0.1:1/nothing"
ROUTES = [
    "/assets", "/assets/{name:path}", "/assets/{name:path}/checks", "/assets/{name:path}/compare", "/assets/{name:path}/profile",
    "/assets/{name:path}/reports", "/assets/{name:path}/versions", "/audit", "/branches", "/incidents", "/lineage/{name}",
    "/quarantine", "/reports/{report_id}", "/static/{release}/{module}",
]  # fmt: skip
FILLED = {
    "{name:path}": "rides",
    "{name}": "rides",
    "{report_id}": "1",
    "{release}": "1",
    "{module}": "dataml.js",
}
# What a route cannot answer without.
ASKED = {"/assets/rides/compare": "?old=1&new=2", "/assets/rides/profile": "?version=1"}


def _paths(client):
    return sorted(route.path for route in client.app.routes)


def _url(path):
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return path + ASKED.get(path, "")


def test_the_routes_are_these_and_only_read(viewer):
    assert _paths(viewer) == ROUTES
    assert {method for route in viewer.app.routes for method in route.methods} == {"GET"}


def test_anonymous_is_refused_on_every_route(client_on, filled_dsn):
    anonymous = client_on(filled_dsn, anonymous=True)
    answers = {path: anonymous.get(_url(path)).status_code for path in _paths(anonymous)}
    assert answers == dict.fromkeys(ROUTES, 401)


def test_anonymous_does_not_reach_the_ledger(client_on):
    anonymous = client_on(DEAD, anonymous=True)
    assert {anonymous.get(_url(path)).status_code for path in _paths(anonymous)} == {401}


def test_a_user_without_a_role_is_refused(client_on, filled_dsn):
    nobody = client_on(filled_dsn, role=None)
    assert {nobody.get(_url(path)).status_code for path in _paths(nobody)} == {403}


def test_a_viewer_reads_every_route(viewer):
    answers = {path: viewer.get(_url(path)).status_code for path in _paths(viewer)}
    assert answers == dict.fromkeys(ROUTES, 200)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"], ids=str)
def test_nothing_writes(viewer, method):
    assert {getattr(viewer, method)(_url(path)).status_code for path in _paths(viewer)} == {405}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"], ids=str)
def test_no_page_of_fastapi_s_own_is_open(viewer, path):
    assert viewer.get(path).status_code == 404

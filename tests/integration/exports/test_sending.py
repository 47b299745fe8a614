"""Telling other catalogs' servers: once, whatever breaks in between."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.core.errors import BackendError, ConnectionSpecError, SpecError
from airflow_dataml.operators.exports import CatalogExportOperator
from tests.integration.delivery.receivers import refused_port
from tests.integration.exports.catalogs import DROPPED, UNITY, catalog
from tests.integration.exports.shop import SECRET
from tests.integration.operators.harness import run

pytestmark = pytest.mark.integration
FORMATS = ("datahub", "openmetadata", "unity")


@pytest.fixture
def send(shop_dsn, monkeypatch):
    """Runs the operator against a server."""

    def ask(server, format, *, token=None, **said):
        connection = {
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": server if isinstance(server, int) else server.port,
        }
        monkeypatch.setenv(
            "AIRFLOW_CONN_OTHER", json.dumps(connection | ({"password": token} if token else {}))
        )
        return run(CatalogExportOperator(task_id="send", format=format, conn_id="other", **said))["sent"]

    return ask


@pytest.mark.parametrize("format", FORMATS)
def test_telling_twice_is_telling_once(send, format):
    with catalog() as there:
        send(there, format)
        before, keys = json.dumps(there.held, sort_keys=True), len(there.held)
        versions = json.dumps(there.versions)
        again = send(there, format)
        assert json.dumps(there.held, sort_keys=True) == before
        assert (len(there.held), json.dumps(there.versions)) == (keys, versions)
        assert again["created"] == 0
        assert again["differs"] == []
        if format == "unity":
            assert again["updated"] == 0
            assert [one["status"] for found in there.versions.values() for one in found] == ["READY"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("at", [1, 5, 20])
def test_a_server_that_dies_halfway_is_told_the_rest_by_a_retry(send, format, at):
    with catalog() as whole:
        send(whole, format)
    with catalog(fails=lambda number, path, body: 503 if number >= at else None) as there:
        with pytest.raises(BackendError, match=r"were told before .* harmless"):
            send(there, format)
        there.fails = lambda number, path, body: None
        send(there, format)
        assert sorted(there.held) == sorted(whole.held)
        assert {k: len(v) for k, v in there.versions.items()} == {
            k: len(v) for k, v in whole.versions.items()
        }


def test_an_answer_that_was_lost_makes_no_second_version(send):
    lost = []

    def fails(number, path, body):
        if path.endswith("/models/versions") and not lost:
            lost.append(path)
            there.versions.setdefault("dataml.default.ride_late", []).append(
                body | {"version": 1, "status": "PENDING_REGISTRATION"}
            )
            return DROPPED
        return None

    with catalog(fails=fails) as there:
        with pytest.raises(BackendError, match="version 1 of model ride_late"):
            send(there, "unity")
        send(there, "unity")
        assert [(one["version"], one["status"]) for one in there.versions["dataml.default.ride_late"]] == [
            (1, "READY")
        ]


def test_a_busy_server_is_asked_again(send):
    with catalog(fails=lambda number, path, body: 503 if number % 7 == 0 else None) as there:
        assert send(there, "openmetadata")["created"] > 20


@pytest.mark.parametrize("format", FORMATS)
def test_a_dead_server_is_a_backend_error(send, format):
    with refused_port() as port, pytest.raises(BackendError, match=r"did not answer .* 0 of"):
        send(port, format)


@pytest.mark.parametrize(
    ("format", "part", "item"),
    [
        ("openmetadata", "tables", "table rides"),
        ("unity", "tables", "table rides"),
        ("datahub", "aspects", "rides,PROD"),
    ],
    ids=FORMATS[1:] + FORMATS[:1],
)
def test_a_refusal_names_the_item_and_holds_up_nothing_else(send, format, part, item):
    def fails(number, path, body):
        said = json.dumps(body or {})
        mine = (
            '"rides"' in said if format != "datahub" else "public.rides,PROD" in said.partition("aspect")[0]
        )
        return 422 if part in path and mine and not path.endswith("lineage") and body else None

    with catalog(fails=fails) as there:
        with pytest.raises(SpecError, match="refused") as caught:
            send(there, format)
        assert item in str(caught.value)
        assert any("types" in key for key in there.held)


def test_a_wrong_token_is_no_matter_for_a_retry(send):
    with catalog(token=SECRET) as there:
        with pytest.raises(ConnectionSpecError, match="credentials") as caught:
            send(there, "datahub", token="guess-" + SECRET)
        assert SECRET not in str(caught.value)
        assert send(there, "datahub", token=SECRET)["updated"] > 20


def test_a_server_does_not_send_the_token_elsewhere(send):
    with catalog() as thief, catalog(fails=lambda number, path, body: 307) as there:
        with pytest.raises(SpecError, match="HTTP 307"):
            send(there, "datahub", token=SECRET)
        assert thief.asked == 0


def test_lineage_has_the_servers_ids_and_both_kinds(send):
    with catalog() as there:
        send(there, "openmetadata")
        edges = [one["body"]["edge"] for one in there.writes() if one["path"].endswith("/lineage")]
    assert {(e["fromEntity"]["type"], e["toEntity"]["type"]) for e in edges} == {
        ("table", "table"),
        ("table", "mlmodel"),
        ("mlmodel", "table"),
    }
    features = next(e for e in edges if "ride_features.kind" in json.dumps(e))
    assert features["lineageDetails"]["columnsLineage"]


def test_a_table_of_another_shape_is_told(send):
    with catalog() as there:
        send(there, "unity")
        key = next(key for key in there.held if key.endswith(".types"))
        there.held[key]["columns"] = there.held[key]["columns"][:-1]
        assert send(there, "unity")["differs"] == ["table types"]


def test_what_changed_is_updated(send):
    with catalog() as there:
        send(there, "unity")
        there.held["catalogs/dataml"]["comment"] = "old words"
        assert send(there, "unity")["updated"] == 1
        assert there.held["catalogs/dataml"]["comment"] != "old words"
        assert all(one["path"].startswith(UNITY) for one in there.requests)


def test_progress_is_told(dataml):
    with catalog() as there:
        code, out, err = dataml("catalog", "export", "--format", "datahub", "--send", "--url", there.url)
    assert code == 0
    assert f"{there.url}: {len(there.requests)} of {len(there.requests)} told" in err
    assert f"{len(there.requests)} updated" in out

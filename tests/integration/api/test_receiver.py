"""OpenLineage of other systems through the API: what is stored is said item by item."""

from __future__ import annotations

import gzip
import json

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.api import receiver
from tests.lineage_events import edges, out, run_event, table

pytestmark = pytest.mark.integration
ONE, MANY = "/api/v1/lineage", "/api/v1/lineage/batch"


@pytest.fixture
def editor(client_on, filled_dsn):
    return client_on(filled_dsn, role="ADMIN")


def _spark(state="COMPLETE", at=1, **more):
    more = {"job": "spark.copy", "airflow": False, "namespace": "spark", **more}
    return run_event(state, at, **more)


def test_one_event_is_stored_and_known_the_second_time(editor, filled_dsn):
    event = _spark(inputs=[table("orders")], outputs=[table("sales")])
    first, second = editor.post(ONE, json=event), editor.post(ONE, json=event)
    assert (first.status_code, first.json()["status"], second.json()["status"]) == (201, "stored", "known")
    assert first.json()["assets"] == [
        "postgres://db:5432/shop.public.orders",
        "postgres://db:5432/shop.public.sales",
    ]
    with Connection(filled_dsn) as connection:
        assert edges(connection) >= {("orders@1", "sales@1")}


def test_a_broken_item_costs_no_other(editor):
    answer = editor.post(
        MANY, json=[_spark(outputs=[table("sales")]), 7, {"eventTime": "now"}, _spark(at=2, run_id="b")]
    )
    told = answer.json()
    assert (answer.status_code, told["counts"]) == (207, {"stored": 2, "known": 0, "refused": 2})
    assert [one["status"] for one in told["events"]] == ["stored", "refused", "refused", "stored"]
    assert "an OpenLineage event is an object, received int" in told["events"][1]["detail"][0]


def test_what_cannot_be_used_of_an_event_is_said(editor):
    told = editor.post(ONE, json=_spark(outputs=[{"namespace": "x"}, out("sales")])).json()
    assert (told["status"], told["detail"]) == ("stored", ["outputs[0] has no name: left out"])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 422),
        (b"not gzip", {"content-encoding": "gzip"}, 422),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"sec-fetch-site": "cross-site"}, 403),
        (b"{}", {}, 422),
    ],
    ids=["no-json", "no-gzip", "unknown-packing", "no-json-type", "other-site", "no-event"],
)
def test_what_is_no_event_is_refused(editor, body, headers, status):
    answer = editor.post(ONE, content=body, headers={"content-type": "application/json"} | headers)
    assert answer.status_code == status


def test_a_packed_body_is_unpacked_within_bounds(editor):
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    event = gzip.compress(json.dumps(_spark(at=9)).encode())
    assert editor.post(ONE, content=event, headers=packed).status_code == 201
    bomb = gzip.compress(b" " * (receiver.MOST_BYTES + 1))
    assert editor.post(ONE, content=bomb, headers=packed).status_code == 413


def test_a_batch_has_a_size(editor):
    assert editor.post(MANY, json=[0] * (receiver.MOST_EVENTS + 1)).status_code == 413
    assert editor.post(MANY, json={}).status_code == 422
    assert editor.post(MANY, json=[]).json()["events"] == []


def test_another_airflow_s_tasks_are_not_ours(editor, filled_dsn):
    editor.post(
        ONE, json=run_event("COMPLETE", 1, job="etl.load", namespace="other", outputs=[table("sales")])
    )
    with Connection(filled_dsn) as connection:
        row = connection.one("SELECT dag_id, run_id, task_id FROM dataml.run WHERE ol_state = 'COMPLETE'")
    assert row == {"dag_id": "other:etl", "run_id": "r1", "task_id": "load"}


@pytest.mark.parametrize("depth", [800, 100_000], ids=["deep", "bottomless"])
def test_an_event_nested_too_deep_is_refused_and_costs_no_other(editor, depth):
    event = json.dumps(_spark(at=11))
    deep = event[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    answer = editor.post(MANY, content=f"[{deep}]", headers={"content-type": "application/json"})
    assert answer.status_code in (201, 422)

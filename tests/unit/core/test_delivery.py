"""What a backend is and when it is asked again."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.core.delivery import Credentials, parse_backends, pause_s, with_credentials
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.recorded import ordering_key


def test_nothing_configured_is_no_backend():
    assert parse_backends("  ") == ()


@pytest.mark.parametrize("text", ['{"a": ', "[]", '"s3cret"'], ids=["broken", "list", "text"])
def test_what_is_no_object_is_refused_without_repeating_it(text):
    with pytest.raises(SpecError, match="not a JSON object") as caught:
        parse_backends(text)
    assert "s3cret" not in str(caught.value)


def test_the_target_names_no_secret():
    config = {
        "type": "http",
        "url": "https://user:s3cret@host:1/base?token=s3cret",
        "auth": {"apiKey": "s3cret"},
    }
    (spec,) = parse_backends(json.dumps({"a": config}))
    assert spec.target == "https://host:1/base/api/v1/lineage"
    assert "s3cret" not in repr(spec)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Credentials(host="marquez", port=5000), {"url": "http://marquez:5000"}),
        (Credentials(host="https://marquez/x"), {"url": "https://marquez/x"}),
        (Credentials(host="marquez", scheme="https", password="t"), {"url": "https://marquez", "auth": {"type": "api_key", "apiKey": "t"}}),
        (Credentials(host="m", extra={"endpoint": "v2", "unknown": 1}), {"url": "http://m", "endpoint": "v2"}),
    ],
    ids=["host and port", "url", "token", "extra"],
)  # fmt: skip
def test_a_connection_says_where_and_how(found, expected):
    (spec,) = parse_backends('{"a": {"conn_id": "x"}}')
    assert dict(with_credentials(spec, found).config) == {"type": "http"} | expected


def test_the_configuration_comes_before_the_connection():
    (spec,) = parse_backends('{"a": {"conn_id": "x", "url": "http://mine"}}')
    assert with_credentials(spec, Credentials(host="other")).target == "http://mine/api/v1/lineage"


def test_kafka_takes_its_broker_from_the_connection():
    (spec,) = parse_backends('{"a": {"type": "kafka", "conn_id": "x", "topic": "lineage"}}')
    found = with_credentials(spec, Credentials(host="broker", login="u", password="p"))
    inner = {"bootstrap.servers": "broker:9092", "sasl.username": "u", "sasl.password": "p"}
    assert (found.config["config"], found.target) == (inner, "lineage")


def test_the_pause_grows_and_is_capped():
    assert [pause_s(n) for n in (1, 2, 8, 9, 1000)] == [2, 4, 256, 300, 300]


def test_a_key_of_any_length_is_one_an_index_holds_and_still_its_own():
    keys = {ordering_key({"job": {"namespace": "n", "name": "\U0001f6b2" * 4000 + tail}}) for tail in "ab"}
    assert len(keys) == 2
    assert max(len(key.encode()) for key in keys) < 2500

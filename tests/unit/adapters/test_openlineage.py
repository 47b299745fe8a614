"""Backends on the client's transports: what they make of an event and of an answer."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.openlineage import open_backend
from airflow_dataml.adapters.openlineage.backends import event_object
from airflow_dataml.adapters.openlineage.kafka import KafkaBackend
from airflow_dataml.core.delivery import backend_spec
from airflow_dataml.core.errors import SpecError
from tests.integration.delivery.receivers import run_event


def test_an_event_keeps_its_content_as_the_client_s_own_object():
    from openlineage.client.serde import Serde

    event = run_event(1, "COMPLETE")
    event["run"]["facets"] = {"ours": {"_producer": "p", "_schemaURL": "s", "deep": [{"x": 1}]}}
    event["outputs"][0]["outputFacets"] = {
        "outputStatistics": {"_producer": "p", "_schemaURL": "s", "rowCount": 3}
    }
    found = Serde.to_dict(event_object(event))
    assert {key: found[key] for key in ("eventType", "eventTime", "run", "job", "producer", "schemaURL")} == {
        key: event[key] for key in ("eventType", "eventTime", "run", "job", "producer", "schemaURL")
    }
    assert found["outputs"][0]["outputFacets"] == event["outputs"][0]["outputFacets"]


@pytest.mark.parametrize(
    "body",
    [{"job": {"namespace": "n", "name": "j"}}, {"dataset": {"namespace": "n", "name": "d"}}],
    ids=["job", "dataset"],
)
def test_events_without_a_run_are_objects_too(body):
    event = {"eventTime": "2026-11-23T10:00:00+00:00", "producer": "p"} | body
    assert event_object(event).eventTime == event["eventTime"]


def test_a_client_that_is_switched_off_is_not_taken_for_a_delivery(monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    with pytest.raises(SpecError, match="drop every event"):
        open_backend(backend_spec("a", {"type": "console"}))


class Producer:
    """Stands for a Kafka producer: tells of each message, or does not."""

    def __init__(self, error=None, left=0):
        self.error, self.left, self.sent = error, left, []

    def produce(self, *, topic, key, value, on_delivery):
        self.sent.append((topic, key, value))
        on_delivery(self.error, None)

    def flush(self, timeout):
        return self.left


class KafkaWithout(KafkaBackend):
    """The backend on the client's transport, with a producer handed in instead of a broker's."""

    producer = Producer()

    def _open(self):
        from openlineage.client.transport.kafka import KafkaConfig, KafkaTransport

        transport = object.__new__(KafkaTransport)
        config = KafkaConfig(config={}, topic="lineage", messageKey=None, flush=False)
        transport.topic, transport.flush, transport.message_key = config.topic, False, None
        transport.kafka_config, transport._is_airflow_sqlalchemy = config, False
        transport.producer = self.producer
        return transport


@pytest.mark.parametrize(
    ("producer", "verdict"),
    [
        (Producer(), "delivered"),
        (Producer(error="too large"), "unreachable"),
        (Producer(left=1), "unreachable"),
    ],
    ids=["confirmed", "refused", "silent"],
)
def test_an_event_is_on_kafka_when_the_broker_says_so(producer, verdict):
    backend = type("Backend", (KafkaWithout,), {"producer": producer})(
        backend_spec("k", {"type": "kafka", "topic": "lineage", "config": {}})
    )
    assert backend.send(run_event(1, "START")).verdict == verdict
    (topic, key, value) = producer.sent[0]
    assert (topic, key) == ("lineage", "run:test/job1")
    assert b'"eventType": "START"' in value


class KafkaSays:
    """Stands for what a broker says of a message."""

    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code

    def __str__(self):
        return f"said {self._code}"


@pytest.mark.parametrize(
    ("code", "verdict"), [(10, "refused"), (-195, "unreachable")], ids=["too large", "broker is gone"]
)
def test_a_message_the_broker_will_never_take_does_not_close_the_topic(code, verdict):
    backend = type("Backend", (KafkaWithout,), {"producer": Producer(error=KafkaSays(code))})(
        backend_spec("k", {"type": "kafka", "topic": "lineage", "config": {}})
    )
    outcome = backend.send(run_event(1, "START"))
    assert (outcome.verdict, outcome.reason) == (verdict, f"ConnectionError: said {code}")


@pytest.mark.parametrize(
    "wrong",
    [{"eventType": "PAUSED"}, {"run": {"runId": "not a uuid"}}, {"eventTime": "yesterday"}, {"job": {}}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_event_the_client_cannot_hold_is_refused_and_the_backend_goes_on(wrong):
    backend = KafkaWithout(backend_spec("k", {"type": "kafka", "topic": "lineage", "config": {}}))
    outcome = backend.send(run_event(1, "START") | wrong)
    assert outcome.verdict == "refused"
    assert "client cannot hold it" in outcome.reason

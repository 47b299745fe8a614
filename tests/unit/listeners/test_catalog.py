"""The listener that observes the cluster's assets, with a ledger that is dead, broken or slow."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from airflow.listeners.types import AssetEvent
from airflow.sdk import Asset
from airflow.serialization.definitions.assets import SerializedAsset

from airflow_dataml.core.catalog import AssetEntry
from airflow_dataml.core.errors import LedgerError
from airflow_dataml.listeners.catalog import CatalogListener, Observer, Sighting, log


@dataclass
class FakeLedger:
    """Keeps what was registered."""

    registered: list = field(default_factory=list)
    gate: threading.Event | None = None

    @property
    def catalog(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None

    def register_all(self, entries):
        if self.gate:
            self.gate.wait(10)
        self.registered += entries


class Lines(logging.Handler):
    """Keeps what was logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def lines():
    handler = Lines()
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def refuse():
    msg = "PostgreSQL at db:5432/dataml did not answer"
    raise LedgerError(msg)


def event(uri="s3://lake/orders", name="orders", dag_id="etl", group="asset"):
    asset = SerializedAsset(name=name, uri=uri, group=group, extra={}, watchers=[])
    return AssetEvent(
        asset=asset, extra={}, source_dag_id=dag_id, source_task_id="load" if dag_id else None, source_run_id="r",
        source_map_index=-1, source_aliases=[], partition_key=None,
    )  # fmt: skip


@pytest.fixture
def ledger():
    return FakeLedger()


@pytest.fixture
def listener(ledger):
    return CatalogListener(Observer(lambda: ledger))


def test_a_foreign_asset_is_registered_as_observed(listener, ledger):
    listener.on_asset_event_emitted(event())
    listener.observer.flush()
    assert ledger.registered == [
        AssetEntry(
            "orders",
            "external",
            "s3://lake/orders",
            location={"producer": "etl.load"},
            aliases=(("s3://lake", "orders"),),
            source="observed",
        )
    ]


def test_the_group_of_an_asset_is_kept(listener, ledger):
    listener.on_asset_event_emitted(event(group="finance"))
    listener.observer.flush()
    assert ledger.registered[0].asset_group == "finance"


def test_what_a_task_reads_is_registered_too(listener, ledger):
    inlet = Asset("postgres://db/shop/public/orders")
    task = SimpleNamespace(inlets=[inlet, object()], check_results=None)
    listener.on_task_instance_success(SimpleNamespace(task=task))
    listener.observer.flush()
    assert [(e.uri, e.aliases) for e in ledger.registered] == [
        ("postgres://db:5432/shop/public/orders", (("postgres://db:5432", "shop.public.orders"),))
    ]


def test_an_event_from_outside_a_task_names_no_producer(listener, ledger):
    listener.on_asset_event_emitted(event(dag_id=None))
    listener.observer.flush()
    assert ledger.registered[0].location == {}


def test_our_own_assets_are_left_to_the_operators(listener, ledger):
    listener.on_asset_event_emitted(event(uri="dataml://dataset/rides", name="rides"))
    listener.observer.flush()
    assert ledger.registered == []


def test_what_is_no_event_does_not_raise(listener, ledger, lines):
    listener.on_asset_event_emitted(object())
    assert len(lines) == 1
    assert ledger.registered == []


def test_a_dead_ledger_is_told_once_and_nothing_raises(lines):
    observer = Observer(refuse)
    for number in range(5):
        observer.see(Sighting(f"a{number}", "s3://a"))
        observer.flush()
    assert len(lines) == 1
    assert "did not answer" in lines[0]


def test_any_error_inside_keeps_the_thread_alive(lines):
    ledger, answers = FakeLedger(), [ZeroDivisionError("boom")]

    def open_ledger():
        if answers:
            raise answers.pop()
        return ledger

    observer = Observer(open_ledger)
    for name in ("lost", "kept"):
        observer.see(Sighting(name, "s3://a"))
        observer.flush()
    assert [entry.name for entry in ledger.registered] == ["kept"]
    assert lines == ["Assets updated outside DataML are not being added to its catalog: boom"]


def test_a_ledger_that_comes_back_is_told_again_when_it_dies_again(lines):
    ledger, answers = FakeLedger(), [True, False, True]

    def open_ledger():
        return refuse() if answers.pop() else ledger

    observer = Observer(open_ledger)
    for _ in range(3):
        observer.see(Sighting("a", "s3://a"))
        observer.flush()
    assert len(lines) == 2


def test_a_burst_returns_at_once_and_what_does_not_fit_is_dropped(lines):
    gate = threading.Event()
    ledger = FakeLedger(gate=gate)
    observer = Observer(lambda: ledger, capacity=10)
    started = time.perf_counter()
    for number in range(1000):
        observer.see(Sighting(f"a{number}", "s3://a"))
    took = time.perf_counter() - started
    gate.set()
    observer.flush()
    assert took < 0.5
    assert 10 <= len(ledger.registered) <= 30
    assert len(lines) == 1


def test_one_asset_updated_often_is_written_once_per_round(lines):
    gate = threading.Event()
    ledger = FakeLedger(gate=gate)
    observer = Observer(lambda: ledger)
    for _ in range(100):
        observer.see(Sighting("a", "s3://a"))
    gate.set()
    observer.flush()
    assert len(ledger.registered) <= 3
    assert lines == []


def test_airflow_calls_it_by_the_name_of_the_hook(listener, ledger):
    from airflow.listeners.listener import get_listener_manager

    manager = get_listener_manager()
    manager.add_listener(listener)
    try:
        manager.hook.on_asset_event_emitted(asset_event=event())
    finally:
        manager.pm.unregister(listener)
    listener.observer.flush()
    assert len(ledger.registered) == 1

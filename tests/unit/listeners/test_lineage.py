"""Before the first event of a task: who runs, and where the ledger is; and nothing where lineage goes elsewhere."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from airflow_dataml import emission
from airflow_dataml.listeners.lineage import LineageListener, ledgers

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = {"type": "airflow_dataml.transport.OutboxTransport"}
TI = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, id="0-1")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (
        "AIRFLOW__OPENLINEAGE__TRANSPORT",
        "AIRFLOW__OPENLINEAGE__CONFIG_PATH",
        "OPENLINEAGE_CONFIG",
    ):
        monkeypatch.delenv(name, raising=False)
    emission.known.addresses.clear()
    emission.known.task = None
    yield
    emission.known.addresses.clear()
    emission.known.task = None


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, []),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": '{"type": "http", "url": "http://x"}'}, []),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(OURS)}, [None]),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(OURS | {"conn_id": "x"})}, ["x"]),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "composite", "transports": {"a": OURS, "b": {"type": "console"}}})}, [None]),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(OURS), "AIRFLOW__OPENLINEAGE__DISABLED": "True"}, []),
        ({"OPENLINEAGE__TRANSPORT__TYPE": OURS["type"]}, [None]),
        ({"AIRFLOW__OPENLINEAGE__CONFIG_PATH": "/x.yml"}, [None]),
    ],
    ids=["none", "http", "ours", "another connection", "composite", "disabled", "variable", "file"],
)  # fmt: skip
def test_which_ledgers_lineage_goes_to(
    env: dict[str, str], expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert ledgers() == expected


def test_children_inherit_what_the_task_s_process_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(OURS))
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", "postgres://u:p@h:1/db")
    LineageListener().on_task_instance_running(None, TI)
    monkeypatch.delenv("AIRFLOW_CONN_DATAML_DEFAULT")
    assert emission.address(None) == {"host": "h", "port": 1, "dbname": "db", "user": "u", "password": "p"}
    assert emission.task_known() == {
        "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1, "ti_id": "0-1",
    }  # fmt: skip


def test_where_lineage_goes_elsewhere_nothing_is_looked_up() -> None:
    LineageListener().on_task_instance_running(None, TI)
    assert emission.known.task is None


def test_a_missing_connection_does_not_reach_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(OURS))
    monkeypatch.delenv("AIRFLOW_CONN_DATAML_DEFAULT", raising=False)
    LineageListener().on_task_instance_running(None, TI)
    assert emission.known.addresses == {}

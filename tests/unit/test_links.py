"""Links of tasks land where the page shows what the task wrote."""

from __future__ import annotations

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import XComResult

from airflow_dataml.links import LINK_KEY, asset_path, incidents_path, lineage_path
from airflow_dataml.operators.datasets import DatasetPublishOperator
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.quality import QualityCheckOperator
from airflow_dataml.operators.retraining import RetrainDecideOperator


class Supervisor:
    """Answers what a task asks for with what it pushed."""

    def __init__(self, pushed):
        self.pushed = pushed

    def send(self, asked):
        assert asked.key == LINK_KEY
        return XComResult(key=asked.key, value=self.pushed)


class TaskInstanceKey:
    dag_id, run_id, task_id, map_index = "rides", "manual", "publish", -1


def links(operator, pushed, monkeypatch):
    """Every link of an operator, by name, once a task pushed where it was."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(pushed), raising=False)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flow.example.org/air/")
    root = "https://flow.example.org/air/plugin/dataml"
    found = {
        link.name: link.get_link(None, ti_key=TaskInstanceKey()) for link in operator.operator_extra_links
    }
    assert all(address.startswith(root) for address in found.values())
    return {name: address.removeprefix(root) for name, address in found.items()}


def test_what_was_published_and_its_lineage(monkeypatch):
    assert links(DatasetPublishOperator, asset_path("rides", version=3), monkeypatch) == {
        "DataML": "/asset/rides?version=3",
        "Lineage": "/lineage/rides?version=3",
    }


@pytest.mark.parametrize(
    "operator", [QualityCheckOperator, ModelMonitorOperator], ids=lambda cls: cls.__name__
)
def test_a_report_its_lineage_and_the_incidents_it_may_have_opened(operator, monkeypatch):
    assert links(operator, asset_path("ride_late", report=7), monkeypatch) == {
        "DataML": "/asset/ride_late?report=7",
        "Lineage": "/lineage/ride_late?node=report%3A7",
        "Incidents": "/incidents?asset=ride_late&state=all",
    }


def test_a_task_that_wrote_nothing_leads_to_the_page(monkeypatch):
    assert links(QualityCheckOperator, None, monkeypatch) == {
        "DataML": "", "Lineage": "/lineage", "Incidents": "/incidents?state=all",
    }  # fmt: skip


def test_what_opens_no_incident_has_no_link_to_some():
    assert [link.name for link in RetrainDecideOperator.operator_extra_links] == ["DataML", "Lineage"]


@pytest.mark.parametrize("name", ["rides", "s3://lake/a b", "x?y#z", "ä/ö"], ids=str)
def test_a_name_comes_back_whole(name):
    from urllib.parse import parse_qs, unquote, urlsplit

    for path, place in ((asset_path(name, version=1), "asset"), (lineage_path(asset_path(name)), "lineage")):
        parts = urlsplit(path)
        assert parts.path.count("/") == 1
        assert unquote(parts.path) == f"{place}/{name}"
    assert parse_qs(urlsplit(incidents_path(asset_path(name))).query)["asset"] == [name]

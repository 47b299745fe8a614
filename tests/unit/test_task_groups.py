"""What one task hands to the next is really pushed under the key the next one reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.xcom_arg import PlainXComArg, XComArg

from airflow_dataml.assets import dataset, model
from airflow_dataml.core.errors import SpecError
from airflow_dataml.task_groups.continuous_training import continuous_training
from airflow_dataml.task_groups.replay_quarantine import replay_quarantine
from airflow_dataml.task_groups.write_audit_publish import write_audit_publish


@pytest.fixture
def dag() -> DAG:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as made:
        how = {"contract": "rides.yml", "engine": "native", "scope": "batch"}
        write_audit_publish(dataset("rides"), path="/rides.csv", **how)
        replay_quarantine(dataset("rides"), **how)
        continuous_training(
            model("late"), dataset=dataset("rides"), target="late", spec="late.yml",
            window={"time_column": "at", "key_columns": ["id"]},
        )  # fmt: skip
        continuous_training(
            model("asked"), dataset=dataset("rides"), target="late", spec="late.yml",
            window={"time_column": "at", "key_columns": ["id"]}, approval={"required": 2},
        )  # fmt: skip
        continuous_training(
            model("tuned"), dataset=dataset("rides"), target="late", spec="late.yml", tuning="tune.yml",
            window={"time_column": "at", "key_columns": ["id"]},
        )  # fmt: skip
    return made


def test_a_key_that_is_read_is_pushed_by_itself(dag: DAG) -> None:
    read = [
        (operator, key)
        for task in dag.tasks
        for field in task.template_fields
        for operator, key in XComArg.iter_xcom_references(getattr(task, field))
    ]
    keyed = [(operator.task_id, operator.multiple_outputs) for operator, key in read if key != "return_value"]
    assert ("late.train", True) in keyed
    assert all(pushed for _, pushed in keyed)


@pytest.mark.parametrize("group", ["rides", "replay_rides"])
def test_both_ways_into_a_dataset_end_alike(dag: DAG, group: str) -> None:
    audit, publish = dag.get_task(f"{group}.audit"), dag.get_task(f"{group}.publish")
    assert (audit.engine, audit.scope, audit.contract) == ("native", "batch", "rides.yml")
    assert audit.staged.operator is publish.staged.operator is dag.get_task(f"{group}.stage")
    assert publish.upstream_task_ids == {f"{group}.stage", f"{group}.audit"}


def test_publication_waits_for_the_check(dag: DAG) -> None:
    assert dag.get_task("rides.publish").upstream_task_ids == {"rides.stage", "rides.audit"}
    assert isinstance(dag.get_task("rides.publish").staged, PlainXComArg)


def test_a_tuning_that_may_be_asked_for_comes_before_the_training(dag: DAG) -> None:
    tune, train = dag.get_task("tuned.tune"), dag.get_task("tuned.train")
    assert (tune.only_asked, tune.spec, train.upstream_task_ids) == (
        True, "tune.yml", {"tuned.plan", "tuned.tune"},
    )  # fmt: skip
    assert train.spec.operator is tune


def test_a_promotion_that_people_approve_waits_for_them(dag: DAG) -> None:
    promote, approve = dag.get_task("asked.promote"), dag.get_task("asked.approve")
    assert promote.upstream_task_ids == {"asked.evaluate", "asked.approve"}
    assert approve.upstream_task_ids == {"asked.evaluate"}
    assert promote.approval == approve.policy == {"required": 2}
    assert dag.get_task("late.promote").approval is None
    assert not dag.has_task("late.approve")


@pytest.mark.parametrize("said", [{}, {"path": "a", "sql": "b"}], ids=["neither", "both"])
def test_a_batch_has_one_source(said: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="give either path or sql"):
        write_audit_publish(dataset("rides"), contract="rides.yml", **said)

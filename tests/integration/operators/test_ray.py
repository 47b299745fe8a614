"""Training and jobs on a real Ray head, reached over HTTP as a cluster would be."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_dataml import config
from airflow_dataml.core.errors import BackendError, TrainingCrashedError, TrainingSpecError
from airflow_dataml.hooks.ray import RayHook
from airflow_dataml.operators.ray import RayJobOperator
from airflow_dataml.operators.training import ModelTrainOperator
from tests.integration.operators.harness import DEMAND, SPEC, context, run
from tests.integration.operators.ray_cluster import ROOT, ray_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_dataml.adapters.ray import RayJobs
    from airflow_dataml.triggers.ray import RayJobTrigger
    from tests.integration.operators.world import World

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KEY = "2026-02"


@pytest.fixture(scope="module")
def dashboard() -> Iterator[tuple[str, str]]:
    """A Ray head and its token; it takes twenty seconds to start."""
    with ray_head() as (url, token):
        yield url, token


@pytest.fixture
def cluster(dashboard: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> RayJobs:
    """The cluster, and the connection that leads to it."""
    url, token = dashboard
    extra = {"runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT)}}, "python": sys.executable}
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATAML_RAY_DEFAULT",
        json.dumps({"conn_type": "dataml_ray", "host": url, "password": token, "extra": extra}),
    )
    return RayHook().jobs()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """Two months of rides, and what a training of them is to use."""
    world = make_world()
    for month in (1, 2):
        key = f"2026-{month:02d}"
        for operator, batch in world.ingest(month):
            world.results[operator.task_id, batch] = run(operator, run_id=key, partition_key=batch)
    plan, _ = next(iter(world.train(KEY)))
    world.results["plan", KEY] = run(plan, run_id=KEY, partition_key=KEY)
    return world


def training(world: World, **changes: Any) -> ModelTrainOperator:
    """The task that trains on Ray."""
    path = world.folder / "ray.yml"
    lines = [line for line in SPEC.splitlines() if line.partition(":")[0] not in changes]
    path.write_text(
        "\n".join([*lines, "engine: ray", *(f"{k}: {json.dumps(v)}" for k, v in changes.items())])
    )
    return ModelTrainOperator(
        task_id="train", model=DEMAND, plan=world.results["plan", KEY], spec=str(path), poll_interval=0.5
    )


def deferred(operator: Any, try_number: int = 1) -> tuple[RayJobTrigger, TaskDeferred]:
    """Run an operator up to where it hands over to the triggerer."""
    with pytest.raises(TaskDeferred) as told:
        run(operator, run_id=KEY, partition_key=KEY, try_number=try_number)
    return told.value.trigger, told.value


def end_of(trigger: RayJobTrigger) -> dict[str, Any]:
    """What the trigger says, built anew from what a triggerer keeps of it."""
    _, arguments = trigger.serialize()
    again = type(trigger)(**json.loads(json.dumps(arguments)))

    async def events() -> Any:
        return [event.payload async for event in again.run()]

    (only,) = asyncio.run(events())
    return only


def resume(operator: ModelTrainOperator, event: dict[str, Any], try_number: int = 1) -> dict[str, Any]:
    """What Airflow calls once the trigger has fired."""
    return operator.resume(
        context("train", run_id=KEY, partition_key=KEY, try_number=try_number), event=event
    )


@pytest.mark.parametrize(
    ("asked", "classes"),
    [
        ({}, None),
        (
            {"task": "multiclass", "target": "kind", "features": [{"name": "km"}]},
            ["bike", "car", "tram"],
        ),
    ],
    ids=["binary", "multiclass"],
)
def test_a_training_runs_on_the_cluster_and_is_recorded_by_its_task(
    world: World, cluster: RayJobs, asked: dict[str, Any], classes: list[str] | None
) -> None:
    trigger, _ = deferred(training(world, **asked))
    # The worker dies, and the retry finds the job that runs.
    again, _ = deferred(training(world, **asked), try_number=2)
    assert again.submission_id == trigger.submission_id
    event = end_of(trigger)
    assert event["status"] == "SUCCEEDED"
    assert "Trained ride_late" in cluster.log(trigger.submission_id)

    made = resume(training(world, **asked), event, try_number=2)

    assert made["version"] == "ride_late@1"
    with world.ledger() as ledger:
        version = ledger.versions.find("ride_late@1")
        assert version.facts["spec"]["engine"] == "ray"
        assert version.facts["training"]["epochs"] == 2
        assert version.facts.get("classes") == classes
        points = ledger.connection.rows("SELECT step FROM mlflow.metrics WHERE key = 'validation_loss'")
    assert {point["step"] for point in points} == {0, 1}
    assert list(config.work_dir().glob("*/train.csv")) == []


def test_a_training_that_was_stopped_goes_on_where_it_was(world: World, cluster: RayJobs) -> None:
    changes = {"max_epochs": 600, "patience": None}
    trigger, _ = deferred(training(world, **changes))
    until = time.monotonic() + 120
    while not list(config.work_dir().glob("*/checkpoints/*/last.ckpt")):
        assert time.monotonic() < until, cluster.log(trigger.submission_id)
        time.sleep(0.1)
    asyncio.run(trigger.on_kill())
    event = end_of(trigger)
    assert event["status"] == "STOPPED"
    with pytest.raises(TrainingCrashedError, match="STOPPED"):
        resume(training(world, **changes), event)

    again, _ = deferred(training(world, **changes), try_number=2)
    assert again.submission_id == f"{trigger.submission_id}-2"
    resume(training(world, **changes), end_of(again), try_number=2)

    with world.ledger() as ledger:
        training_facts = ledger.versions.find("ride_late@1").facts["training"]
    assert training_facts["resumed"]
    assert training_facts["epochs"] == 600


def test_what_the_cluster_refuses_is_a_mistake_of_the_spec(world: World, cluster: RayJobs) -> None:
    changes = {"module_arguments": {"hiden": [4]}}
    trigger, _ = deferred(training(world, **changes))
    event = end_of(trigger)
    assert event["status"] == "FAILED"
    with pytest.raises(TrainingSpecError, match="hiden"):
        resume(training(world, **changes), event)


def job(**changes: Any) -> RayJobOperator:
    return RayJobOperator(task_id="job", **({"poll_interval": 0.3, "deferrable": False} | changes))


def test_a_job_is_run_once_and_found_again(cluster: RayJobs, tmp_path: Path) -> None:
    command = f"echo run >> {tmp_path / 'runs'}"
    first = run(job(entrypoint=command))
    assert first["status"] == "SUCCEEDED"
    assert run(job(entrypoint=command), try_number=2) == first
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_job_that_failed_is_told_with_its_last_lines_and_submitted_anew(
    cluster: RayJobs, tmp_path: Path
) -> None:
    command = f"echo alas; echo run >> {tmp_path / 'runs'}; exit 3"
    for number in (1, 2):
        with pytest.raises(BackendError, match=r"(?s)FAILED: .*exit code 3.*alas"):
            run(job(entrypoint=command), try_number=number)
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_a_deferred_job_is_stopped_with_its_task(cluster: RayJobs) -> None:
    operator = job(entrypoint="sleep 600", deferrable=True)
    with pytest.raises(TaskDeferred) as told:
        run(operator)
    asyncio.run(told.value.trigger.on_kill())
    event = end_of(told.value.trigger)
    assert event["status"] == "STOPPED"
    with pytest.raises(BackendError, match="STOPPED"):
        operator.resume(context("job"), event=event)


def test_a_cluster_that_forgot_the_job_is_told(cluster: RayJobs) -> None:
    with pytest.raises(TaskDeferred) as told:
        run(job(entrypoint="true", deferrable=True))
    told.value.trigger.submission_id = "nobody"
    assert end_of(told.value.trigger)["status"] == "LOST"


def test_the_connection_says_whether_the_cluster_answers(
    cluster: RayJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RayHook().test_connection()[0]
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_RAY_DEFAULT", '{"conn_type": "dataml_ray", "host": "127.0.0.1", "port": 1}')  # fmt: skip
    answers, said = RayHook().test_connection()
    assert not answers
    assert "did not answer" in said

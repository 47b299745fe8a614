"""Engines of a training spec: what may be asked for, and that older specs keep their digests."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.training import TrainingResult, TrainingSpec

BASE = {"model": "ride_late", "features": [{"name": "km"}], "target": "late", "task": "binary"}


def spec(**changes: Any) -> TrainingSpec:
    return TrainingSpec.from_mapping(BASE | changes)


def test_what_is_not_said_is_not_written() -> None:
    written = spec().model_dump(mode="json")
    assert not {"engine", "processes", "accelerator", "strategy"} & set(written)
    assert TrainingSpec.model_validate(written) == spec()


def test_what_is_said_is_written_and_read_again() -> None:
    asked = spec(engine="torchrun", processes=2, accelerator="cpu")
    written = asked.model_dump(mode="json")
    assert (written["engine"], written["processes"], written["accelerator"]) == ("torchrun", 2, "cpu")
    assert TrainingSpec.model_validate_json(asked.model_dump_json()) == asked


@pytest.mark.parametrize(
    "strategy", ["ddp", "ddp_spawn", "ddp_notebook", "ddp_fork", "ddp_find_unused_parameters_true"]
)
def test_a_strategy_that_starts_processes_in_the_task_is_refused_with_the_reason(strategy: str) -> None:
    with pytest.raises(TrainingSpecError, match=r"second scheduler.*engine: torchrun and processes: N"):
        spec(strategy=strategy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processes": 2}, "engine 'local' is one process and processes is 2; write engine: torchrun"),
        ({"engine": "torchrun", "processes": 3}, "must be a multiple of 3"),
        ({"engine": "spark"}, "'local', 'torchrun', 'ray' or 'kubernetes'"),
        ({"strategy": "fsdp"}, "should be 'auto'"),
        ({"accelerator": "tpu"}, "'auto', 'cpu' or 'gpu'"),
        ({"engine": "torchrun", "processes": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_what_no_engine_can_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingSpecError, match=message):
        spec(**changes)


def test_a_result_of_before_was_trained_on_a_cpu() -> None:
    old = {
        "artifact_dir": "x", "epochs": 1, "steps": 1, "rows": 1, "metrics": {}, "seconds": 1.0, "resumed": False,
        "weights_digest": "d",
    }  # fmt: skip
    assert TrainingResult.from_dict(old).device == "cpu"

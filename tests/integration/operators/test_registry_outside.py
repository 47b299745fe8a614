"""A really trained model whose files or aliases somebody changes behind our back, met by operators and commands."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.cli.main import main
from airflow_dataml.core.errors import PolicyError, RegistryError, SpecError
from airflow_dataml.hooks.mlflow import MlflowHook
from airflow_dataml.operators.explanation import ModelExplainOperator
from airflow_dataml.operators.reconcile import RegistryReconcileOperator
from airflow_dataml.operators.reproduce import ModelReproduceOperator
from airflow_dataml.operators.scoring import ModelScoreOperator
from tests.integration.operators.harness import DEMAND, FEATURES, PREDICTIONS, context, run
from tests.integration.operators.telling import tell
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.operators.world import World

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A world with ``ride_late@1``, champion."""
    world = make_world()
    for steps in (world.ingest(1), world.ingest(2), world.train("2026-02")):
        for operator, key in steps:
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    return world


def uses() -> dict[str, Any]:
    """Everything that loads a stored model."""
    return {
        "score": ModelScoreOperator(
            task_id="score", model=DEMAND, dataset=FEATURES, predictions=PREDICTIONS, key_columns=["id"]
        ),
        "explain": ModelExplainOperator(task_id="explain", version="ride_late@1", repeats=2),
        "reproduce": ModelReproduceOperator(task_id="reproduce", version="ride_late@1"),
    }


def tamper_graph(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def tamper_preprocessing(path: Path) -> None:
    metadata = json.loads(path.read_text())
    # A shifted mean moves every score and breaks no file format.
    metadata["encoding"]["numeric"][0]["mean"] += 1.0
    path.write_text(json.dumps(metadata))


def stored(world: World, name: str) -> Path:
    (path,) = (path for path in (world.folder / "artifacts").rglob(name) if path.parent.name == "artifacts")
    return path


def test_tampered_files_are_refused_by_their_hash_wherever_they_would_be_used(world: World) -> None:
    for name, change in (("model.onnx", tamper_graph), ("metadata.json", tamper_preprocessing)):
        path = stored(world, name)
        good = path.read_bytes()
        change(path)
        for use, operator in uses().items():
            shutil.rmtree(world.folder / "work", ignore_errors=True)
            with pytest.raises(RegistryError, match=rf"{name} has hash \w{{32}} and the ledger \w{{32}}"):
                run(operator, run_id=f"{use}-{name}", partition_key="2026-02")
        path.write_bytes(good)
    for use, operator in uses().items():
        if use != "reproduce":
            run(operator, run_id=f"{use}-again", partition_key="2026-02")
    # A copy on the worker is held to the hash each time, too.
    (copy,) = (world.folder / "work").rglob("models/*/metadata.json")
    tamper_preprocessing(copy)
    with pytest.raises(RegistryError, match=r"metadata\.json has hash"):
        run(uses()["explain"], run_id="copied", partition_key="2026-02")


def test_operator_and_commands_reconcile(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    registry = MlflowHook().registry()
    quiet = tell(RegistryReconcileOperator(task_id="quiet", model=DEMAND))
    assert (quiet.error, problems(quiet.start), problems(quiet.end)) == (None, [], [])
    assert (quiet.result["outside"], quiet.result["report"]) == ([], None)

    registry.set_alias(model="ride_late", alias="champion", version=None)
    noticed = tell(RegistryReconcileOperator(task_id="noticed", model=DEMAND))
    assert (noticed.error, problems(noticed.end)) == (None, [])
    assert [one["said"] for one in noticed.result["new"]] == ["alias 'champion' is not set, we left '1'"]
    capsys.readouterr()
    assert main(["model", "reconcile", "ride_late"]) == 1
    out = capsys.readouterr().out
    assert "ride_late was changed in MLflow by somebody else; it is left so" in out
    assert main(["model", "show", "ride_late"]) == 0
    assert "alias champion: we left 1, there is nothing" in capsys.readouterr().out
    assert main(["model", "reconcile", "--on-outside-change", "restore", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["outside"], len(found["settled"])) == ([], 1)
    assert registry.aliases("ride_late") == {"champion": 1}

    assert main(["model", "adopt", "ride_late", "--dry-run"]) == 0
    assert "Would adopt 0 of 1 versions of ride_late." in capsys.readouterr().out
    assert main(["model", "adopt", "ride_late"]) == 0
    assert "ride_late@1" in capsys.readouterr().out

    registry.set_alias(model="ride_late", alias="champion", version=None)
    adopting = RegistryReconcileOperator(task_id="adopt", model=DEMAND, on_outside_change="adopt")
    assert run(adopting)["outside"] == []
    with world.ledger() as ledger:
        assert ledger.versions.alias("ride_late", "champion") is None


def test_what_an_operator_refuses(world: World) -> None:
    del world
    wrong: Any = "overwrite"
    with pytest.raises(PolicyError, match="'overwrite' is unknown"):
        run(RegistryReconcileOperator(task_id="wrong", model=DEMAND, on_outside_change=wrong))
    branch = context("branch")
    branch["dag_run"].conf = {"dataml_branch": "dev"}
    with pytest.raises(SpecError, match="on branch 'dev'"):
        RegistryReconcileOperator(task_id="branch", model=DEMAND).execute(branch)

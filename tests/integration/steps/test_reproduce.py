"""Reproducing a version step by step, without Airflow, torch or MLflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import (
    RegistryError,
    SpecError,
    TrainingCrashedError,
    TrainingSpecError,
    VersionNotFoundError,
)
from airflow_dataml.steps.reproduce import Rerun, reproduce_model
from tests.fakes import LineScorer, LineTrainer
from tests.integration.steps.test_models import GOOD, POOR, Deployment
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.training import Progress, TrainingJob, TrainingResult


def read_line(model_dir: Path) -> dict[str, Any]:
    import numpy as np

    return {"line": np.array(json.loads((model_dir / "model.onnx").read_text()))}


class RefusingTrainer(LineTrainer):
    """Says what is wrong only once it trains."""

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        msg = "hidden is no argument"
        raise TrainingSpecError(msg)


class DyingTrainer(LineTrainer):
    """Dies in its first try."""

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        if not self.trained:
            self.trained.append(job)
            msg = "killed by SIGKILL"
            raise TrainingCrashedError(msg)
        return super().train(job, on_progress=on_progress)


class Reproducing(Deployment):
    """A deployment with a first champion, which is then trained again."""

    def again(self, run: str, *lines: tuple[float, float], model: str = "ride_late@1") -> Report:
        self.trainer = LineTrainer(*lines)
        return self.reproduce(run, self.trainer, model)

    def reproduce(self, run: str, trainer: LineTrainer, model: str = "ride_late@1") -> Report:
        return reproduce_model(
            **self._common,
            identity=identity("reproduce", run),
            model=model,
            rerun=Rerun(trainer, self.registry, LineScorer, read_line, self.folder),
        )

    def forget(self, *names: str) -> None:
        for name in names:
            self.ledger.connection.execute("UPDATE dataml.version SET facts = facts - %s", [name])


@pytest.fixture
def deployment(ledger: PostgresLedger, tmp_path: Path) -> Reproducing:
    made = Reproducing(ledger, tmp_path, GOOD)
    made.first_champion()
    return made


def test_training_keeps_its_environment(deployment: Reproducing) -> None:
    kept = deployment.ledger.versions.find("ride_late@1").facts["environment"]
    assert kept["packages"]["airflow-dataml"]
    assert (kept["threads"], len(kept["module_digest"])) == (1, 64)


def test_the_same_again_passes_and_is_kept_with_its_sources(deployment: Reproducing) -> None:
    rows, ledger = deployment.trainer.rows, deployment.ledger
    report = deployment.again("a", GOOD)
    assert (report.kind, report.verdict, report.body["bit_equal"]) == ("reproduction", "pass", True)
    assert report.version_id == ledger.versions.find("ride_late@1").version_id
    assert report.body["environment_differences"] == []
    assert report.body["scores"]["rows_of"] == "holdout"
    assert report.body["scores"]["rows"] > 900
    assert deployment.trainer.rows == rows
    graph = ledger.lineage.walk(f"report:{report.report_id}", direction="upstream", depth=1)
    assert {"rides@2", "ride_late@1"} <= {node.label for node in graph.nodes}
    [entry] = ledger.connection.rows("SELECT subject, detail FROM dataml.audit WHERE action = 'reproduce'")
    assert (entry["subject"], entry["detail"]["verdict"]) == ("ride_late@1", "pass")
    assert not list(deployment.folder.glob("*/train.csv"))


def test_it_registers_no_version_and_moves_no_alias(deployment: Reproducing) -> None:
    def state() -> Any:
        ledger, registry = deployment.ledger, deployment.registry
        aliases = [(v.ref, sorted(v.aliases)) for v in ledger.versions.list("ride_late")]
        return aliases, len(registry.versions["ride_late"]), len(registry.runs)

    before = state()
    deployment.again("a", POOR)
    assert state() == before


def test_another_model_is_different_by_exactly_this(deployment: Reproducing) -> None:
    report = deployment.again("a", (GOOD[0], GOOD[1] + 0.25))
    assert (report.verdict, report.body["bit_equal"]) == ("fail", False)
    weights = report.body["weights"]
    assert (weights["different_tensors"], weights["different_values"]) == (1, 1)
    assert weights["max_abs_difference"] == pytest.approx(0.25)
    assert report.body["scores"]["different"] > 0


def test_a_retry_keeps_the_report_and_trains_nothing(deployment: Reproducing) -> None:
    first = deployment.again("a", GOOD)
    again = deployment.again("a", POOR)
    assert (again.report_id, deployment.trainer.trained) == (first.report_id, [])
    assert deployment.again("b", POOR).verdict == "fail"
    assert deployment.ledger.audit.verify()[1] is None


def test_a_training_that_died_goes_on_in_the_same_folder(deployment: Reproducing) -> None:
    trainer = DyingTrainer(GOOD)
    with pytest.raises(TrainingCrashedError):
        deployment.reproduce("a", trainer)
    assert deployment.reproduce("a", trainer).verdict == "pass"
    assert len({job.work_dir for job in trainer.trained}) == 1
    assert not trainer.trained[0].work_dir.exists()
    counts = "SELECT (SELECT count(*) FROM dataml.report WHERE kind = 'reproduction'), (SELECT count(*) FROM dataml.audit WHERE action = 'reproduce') AS audits"
    assert deployment.ledger.connection.rows(counts) == [{"count": 1, "audits": 1}]


def test_what_changed_since_is_listed(deployment: Reproducing) -> None:
    deployment.ledger.connection.execute(
        """UPDATE dataml.version SET facts = jsonb_set(facts, '{environment,packages,torch}', '"1.0"')"""
    )
    report = deployment.again("a", POOR)
    [one] = report.body["environment_differences"]
    assert (one["what"], one["then"]) == ("packages.torch", "1.0")
    assert report.body["summary"].endswith("changed since: packages.torch")


def test_an_older_version_is_trained_again_and_it_is_said(deployment: Reproducing) -> None:
    deployment.forget("environment")
    report = deployment.again("a", GOOD)
    assert (report.verdict, report.body["environment_recorded"]) == ("pass", False)
    assert "was not recorded" in report.body["summary"]


def test_what_its_module_refuses_by_now_is_unknown(deployment: Reproducing) -> None:
    report = deployment.reproduce("a", RefusingTrainer())
    assert (report.verdict, report.body["refused"]) == ("unknown", "hidden is no argument")


@pytest.mark.parametrize("state", ["dropped", "released"])
def test_rows_that_are_gone_stop_it_before_any_work(deployment: Reproducing, state: str) -> None:
    version = deployment.ledger.versions.find("rides@2")
    [first, *_] = deployment.ledger.versions.manifest(version.version_id)
    deployment.ledger.versions.mark_parts([first.part_id], state=state)
    with pytest.raises(
        VersionNotFoundError, match=rf"rows of rides@2 .* were {state} \(batches \['2026-01'\]\).*backup"
    ):
        deployment.again("a", GOOD)
    assert deployment.trainer.trained == []


def test_rows_that_were_changed_by_hand_stop_it_too(deployment: Reproducing) -> None:
    version = deployment.ledger.versions.find("rides@2")
    [first, *_] = deployment.ledger.versions.manifest(version.version_id)
    # The ledger refuses this; whoever owns the database can do it all the same.
    deployment.ledger.connection.execute(f"ALTER TABLE {first.relation.quoted} DISABLE TRIGGER ALL")
    deployment.ledger.connection.execute(f"UPDATE {first.relation.quoted} SET km = km + 1")
    with pytest.raises(VersionNotFoundError, match=r"no longer holds the rows of rides@2, batch '2026-01'"):
        deployment.again("a", GOOD)
    assert deployment.trainer.trained == []


def test_a_registry_that_is_down_stops_it_before_the_training(deployment: Reproducing) -> None:
    deployment.registry.down = True
    for path in deployment.folder.glob("models/*/*"):
        path.unlink()
    for path in deployment.folder.glob("models/*"):
        path.rmdir()
    with pytest.raises(RegistryError):
        deployment.again("a", GOOD)
    assert deployment.trainer.trained == []


def test_only_models_that_were_trained_here_can_be(deployment: Reproducing) -> None:
    with pytest.raises(SpecError, match=r"what rides@2 was trained on, and nobody trained it here"):
        deployment.again("a", model="rides@2")
    deployment.forget("plan")
    with pytest.raises(SpecError, match=r"a reproduction needs to know what .* nobody trained it here"):
        deployment.again("b")

"""Beginning with a champion's weights and learning from its scores, without Airflow, torch or MLflow."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import NotFoundError, SpecError, TrainingCrashedError, TrainingSpecError
from airflow_dataml.core.training import TrainingJob, TrainingResult, TrainingSpec
from airflow_dataml.core.warm_start import read_start
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.reproduce import Rerun, reproduce_model
from airflow_dataml.steps.train import Workshop, train_model
from tests.fakes import LineScorer, LineTrainer
from tests.integration.steps.rides import Rides
from tests.integration.steps.test_models import GOOD, POOR, SPEC, Deployment
from tests.integration.steps.test_reproduce import read_line
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.training import Progress


class LookingTrainer(LineTrainer):
    """Keeps what lay in the folder it trained in; dies in its first try if it is told to."""

    def __init__(self, *lines: tuple[float, float], dies: bool = False) -> None:
        super().__init__(*lines)
        self.dies = dies
        self.found: list[list[dict[str, str]]] = []
        self.starts: list[Any] = []

    def train(self, job: TrainingJob, *, on_progress: Callable[[Progress], None]) -> TrainingResult:
        with job.data.open(newline="") as file:
            self.found.append(list(csv.DictReader(file)))
        self.starts.append(read_start(job.start) if job.start else None)
        if self.dies:
            self.dies = False
            self.trained.append(job)
            msg = "killed by SIGKILL"
            raise TrainingCrashedError(msg)
        return super().train(job, on_progress=on_progress)


class Guided(Deployment):
    """A deployment whose further trainings take something from the versions before."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.changes: dict[str, Any] = {}

    def guided(self, run: str, *lines: tuple[float, float], dies: bool = False, **options: Any) -> Version:
        self.trainer = self.looking = LookingTrainer(*lines, dies=dies)
        return self.once_more(run, **options)

    def once_more(self, run: str, **options: Any) -> Version:
        workshop = Workshop(self.trainer, self.registry, LineScorer, self.folder, "rides", read_line)
        spec = TrainingSpec.from_mapping(SPEC.model_dump(mode="json") | options)
        return train_model(
            **self._common, identity=identity("train", run), plan=self.again(), spec=spec, workshop=workshop
        )

    def again(self) -> TrainingPlan:
        first = self.ledger.versions.find("ride_late@1")
        return TrainingPlan.from_dict(first.facts["plan"] | {"champion": first.version_id} | self.changes)

    def reproduce(self, version: str, *lines: tuple[float, float]) -> Report:
        self.looking = LookingTrainer(*lines)
        return reproduce_model(
            **self._common,
            identity=identity("reproduce", version),
            model=version,
            rerun=Rerun(self.looking, self.registry, LineScorer, read_line, self.folder),
        )

    def edges(self, version: Version) -> set[tuple[str, str]]:
        graph = self.ledger.lineage.walk(f"version:{version.version_id}", direction="upstream", depth=1)
        labels = {node.node: node.label for node in graph.nodes}
        return {(labels[src], kind) for src, _, kind in graph.edges}


@pytest.fixture
def deployment(ledger: PostgresLedger, tmp_path: Path) -> Guided:
    made = Guided(ledger, tmp_path, GOOD)
    made.first_champion()
    return made


def test_a_warm_start_brings_the_champions_weights_and_is_pinned(deployment: Guided) -> None:
    version = deployment.guided("a", POOR, warm_start="champion")
    [start] = deployment.looking.starts
    assert (start.version, start.weights["line"].tolist()) == ("ride_late@1", list(GOOD))
    assert version.facts["spec"]["warm_start"] == "ride_late@1"
    assert version.facts["guidance"] == {"warm_start": "ride_late@1"}
    assert ("ride_late@1", "warm_started") in deployment.edges(version)
    assert not list((deployment.folder / "pins").iterdir())


def test_a_retry_begins_with_the_same_weights_whatever_became_champion(deployment: Guided) -> None:
    with pytest.raises(TrainingCrashedError):
        deployment.guided("a", GOOD, dies=True, warm_start="champion", distill={})
    trainer = deployment.looking
    other = deployment.guided("b", POOR)
    deployment.ledger.connection.execute(
        "UPDATE dataml.alias SET version_id = %s WHERE name = 'champion'", [other.version_id]
    )
    assert deployment.ledger.versions.find("ride_late@champion").number == 2
    deployment.trainer = trainer
    version = deployment.once_more("a", warm_start="champion", distill={})
    assert version.facts["guidance"] == {"warm_start": "ride_late@1", "teacher": "ride_late@1"}
    first, second = trainer.trained
    assert (first.work_dir, first.spec) == (second.work_dir, second.spec)
    assert trainer.found[0] == trainer.found[1]


def test_the_teachers_scores_stand_beside_the_target(deployment: Guided) -> None:
    version = deployment.guided("a", POOR, distill={"teacher": "ride_late@1", "weight": 0.3})
    [rows] = deployment.looking.found
    assert list(rows[0]) == ["km", "late", "dataml_teacher"]
    assert len(rows) > 2000
    for row in rows:
        expected = min(max(GOOD[0] + GOOD[1] * float(row["km"]), 0.01), 0.99)
        assert float(row["dataml_teacher"]) == pytest.approx(expected)
    assert version.facts["spec"]["distill"] == {"teacher": "ride_late@1", "weight": 0.3}
    assert ("ride_late@1", "taught") in deployment.edges(version)


def test_such_a_version_is_reproduced_from_its_pins(deployment: Guided) -> None:
    version = deployment.guided("a", POOR, warm_start="champion", distill={})
    before = deployment.looking
    deployment.ledger.connection.execute(
        "UPDATE dataml.alias SET version_id = %s WHERE name = 'champion'", [version.version_id]
    )
    report = deployment.reproduce(version.ref, POOR)
    assert (report.verdict, report.body["bit_equal"]) == ("pass", True)
    assert deployment.looking.found == before.found
    assert deployment.looking.starts[0].version == "ride_late@1"
    assert deployment.looking.trained[0].spec == before.trained[0].spec


def test_the_first_model_of_all_begins_fresh(ledger: PostgresLedger, tmp_path: Path) -> None:
    made = Guided(ledger, tmp_path, GOOD)
    for month in (1, 2):
        made.ingest(month)
    plan = made.plan()
    assert isinstance(plan, TrainingPlan)
    spec = SPEC.model_copy(update={"warm_start": "champion"})
    workshop = Workshop(made.trainer, made.registry, LineScorer, tmp_path, "rides", read_line)
    version = train_model(
        **made._common, identity=identity("train", "a"), plan=plan, spec=spec, workshop=workshop
    )
    assert "guidance" not in version.facts
    assert "warm_start" not in version.facts["spec"]


def test_hard_rows_count_for_more_once_there_are_any(deployment: Guided) -> None:
    hard = Rides(deployment.ledger, "hard_rides")
    fresh = deployment.guided("a", POOR, hard_examples={"dataset": "hard_rides", "weight": 4})
    assert "guidance" not in fresh.facts
    hard.write([[10_001, "wrong", 1.0], [10_002, "wrong", 1.0], [99, "gone", 1.0]])
    version = deployment.guided("b", POOR, hard_examples={"dataset": "hard_rides", "weight": 4})
    [rows] = deployment.looking.found
    assert list(rows[0]) == ["km", "late", "dataml_weight"]
    assert sorted(float(row["dataml_weight"]) for row in rows)[-3:] == [1, 4, 4]
    assert ("hard_rides@1", "weighted") in deployment.edges(version)
    hard.write([[10_003, "wrong", 1.0]])
    assert deployment.reproduce(version.ref, POOR).verdict == "pass"
    assert deployment.looking.found == [rows]


def test_hard_rows_need_the_keys_of_the_plan(deployment: Guided) -> None:
    Rides(deployment.ledger, "hard_rides").write([[1.0]], columns=[Column("km", "double precision")])
    with pytest.raises(TrainingSpecError, match=r"hard_rides@1, which lacks the key columns \['id'\]"):
        deployment.guided("a", POOR, hard_examples={"dataset": "hard_rides"})


def test_without_it_nothing_new_is_kept(deployment: Guided) -> None:
    facts = deployment.ledger.versions.find("ride_late@1").facts
    assert "guidance" not in facts
    assert not {"warm_start", "distill", "hard_examples"} & set(facts["spec"])
    assert not (deployment.folder / "pins").exists()


@pytest.mark.parametrize("options", [{"warm_start": "ride_late@9"}, {"distill": {"teacher": "ride_late@9"}}])
def test_a_version_that_is_not_there_is_refused(deployment: Guided, options: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError, match="ride_late"):
        deployment.guided("a", POOR, **options)
    assert deployment.looking.trained == []


def test_what_knows_the_holdout_is_no_teacher(deployment: Guided) -> None:
    deployment.ledger.connection.execute(
        """UPDATE dataml.version SET facts = jsonb_set(facts, '{plan,cut}', '"2027-01-01T00:00:00+00:00"')
           WHERE facts ? 'plan'"""
    )
    deployment.changes = {"cut": "2026-02-10T00:00:00+00:00"}
    with pytest.raises(TrainingSpecError, match="it would know them"):
        deployment.guided("a", POOR, distill={})


def test_a_version_of_another_task_is_refused(deployment: Guided) -> None:
    with pytest.raises(TrainingSpecError, match="whose task is 'binary' and not 'regression'"):
        deployment.guided("a", POOR, task="regression", warm_start="champion")


def test_a_dataset_is_no_teacher(deployment: Guided) -> None:
    with pytest.raises(SpecError, match="nobody trained it here"):
        deployment.guided("a", POOR, warm_start="rides@1")


def test_numbers_are_added_to_the_text_of_a_file_and_nothing_else_changes(tmp_path: Path) -> None:
    from airflow_dataml.steps.guidance import _add_columns

    path = tmp_path / "rows.csv"
    path.write_text('a,b\n"",x\n,"two\nlines ""quoted"""\n')
    _add_columns(path, ["c", 'd, "e"'], iter([[0.1, 1.0], [2.0, 0.5]]))
    assert path.read_text() == 'a,b,c,"d, ""e"""\n"",x,0.1,1.0\n,"two\nlines ""quoted""",2.0,0.5\n'

"""Bad input: one clear error that names the thing and the remedy, before any work is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import (
    ConnectionSpecError,
    ContractError,
    LedgerError,
    NotFoundError,
    PolicyError,
    QualityGateError,
    RegistryError,
    SpecError,
    TrainingSpecError,
)
from airflow_dataml.operators.datasets import DatasetStageOperator, DatasetTransformOperator
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.quality import QualityCheckOperator
from airflow_dataml.operators.scoring import ModelScoreOperator
from airflow_dataml.operators.training import ModelTrainOperator
from tests.integration.operators.harness import DEMAND, FEATURES, PREDICTIONS, RIDES, SPEC, batch, run
from tests.integration.operators.world import FEATURES_SQL, World, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "2026-01"


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()


def unpublished(world: World) -> bool:
    """Nothing a reader, a lineage walk or MLflow could see was written."""
    seen = snapshot(world)
    return not any(
        seen[name] for name in ("versions", "parts", "tables", "edges", "mlflow runs", "mlflow versions")
    )


def stage(world: World, **changed: Any) -> Any:
    said = {
        "path": str(batch(world.folder / "rides.csv", month=1, rows=100)),
        "contract": str(world.folder / "rides.yml"),
    }
    return run(DatasetStageOperator(task_id="stage", dataset=RIDES, **(said | changed)), partition_key=KEY)


class TestConnection:
    def test_a_missing_connection_is_named(self, world: World) -> None:
        with pytest.raises(
            ConnectionSpecError, match="connection 'absent' is not defined: add one of type 'dataml'"
        ):
            stage(world, dataml_conn_id="absent")

    @pytest.mark.parametrize(
        ("fields", "error", "words"),
        [
            ({"conn_type": "mysql", "schema": "x"}, ConnectionSpecError, "is of type 'mysql'"),
            ({"conn_type": "dataml"}, ConnectionSpecError, "names no database"),
            (
                {"conn_type": "dataml", "host": "127.0.0.1", "port": 1, "schema": "x"},
                LedgerError,
                "did not answer",
            ),
        ],
        ids=["wrong type", "no database", "nobody listens"],
    )
    def test_a_wrong_connection_says_what_is_wrong(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        fields: dict[str, Any],
        error: type[Exception],
        words: str,
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", json.dumps(fields))
        with pytest.raises(error, match=words):
            stage(world)


class TestStage:
    @pytest.mark.parametrize(
        ("changed", "error", "words"),
        [
            ({"path": "/absent.csv"}, SpecError, r"'/absent.csv' cannot be read"),
            ({"contract": "/absent.yml"}, ContractError, r"'/absent.yml' cannot be read"),
            (
                {"mode": "upsert"},
                SpecError,
                "mode 'upsert' is unknown: write one of append, replace, partition, merge",
            ),
        ],
        ids=["missing file", "missing contract", "unknown mode"],
    )
    def test_it_names_the_argument(
        self, world: World, changed: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            stage(world, **changed)
        assert unpublished(world)

    def test_an_empty_batch_is_refused(self, world: World) -> None:
        (world.folder / "empty.csv").write_text("id,at,km,kind,late\n")
        with pytest.raises(QualityGateError, match=r"empty.csv' is empty.*Nothing was staged"):
            stage(world, path=str(world.folder / "empty.csv"))
        assert unpublished(world)

    def test_a_typo_in_the_contract_is_pointed_at(self, world: World) -> None:
        text = (world.folder / "rides.yml").read_text().replace("must_be_greater_than", "must_be_gt")
        (world.folder / "typo.yml").write_text(text)
        with pytest.raises(ContractError, match=r"must_be_gt"):
            stage(world, contract=str(world.folder / "typo.yml"))
        assert unpublished(world)

    def test_a_run_without_partition_key_is_told_so(self, world: World) -> None:
        operator = DatasetStageOperator(
            task_id="stage",
            dataset=RIDES,
            path=str(batch(world.folder / "rides.csv", month=1, rows=20)),
            contract=str(world.folder / "rides.yml"),
        )
        with pytest.raises(SpecError, match="this run has no partition key"):
            run(operator)


class TestTransform:
    def test_a_missing_dataset_gets_a_hint(self, world: World) -> None:
        stage(world)
        operator = DatasetTransformOperator(task_id="t", dataset=FEATURES, sql=FEATURES_SQL, inputs=["ridez"])
        with pytest.raises(NotFoundError, match=r"'ridez' does not exist. Did you mean 'rides'"):
            run(operator, partition_key=KEY)

    def test_a_missing_table_is_named(self, world: World) -> None:
        operator = DatasetTransformOperator(
            task_id="t", dataset=FEATURES, sql="SELECT * FROM nowhere", inputs=[]
        )
        with pytest.raises(SpecError, match='relation "nowhere" does not exist'):
            run(operator, partition_key=KEY)
        assert unpublished(world)


def test_what_the_stage_task_did_not_return_is_refused(world: World) -> None:
    operator = QualityCheckOperator(
        task_id="audit", dataset=RIDES, staged={"rows": 1}, contract=str(world.folder / "rides.yml")
    )
    with pytest.raises(SpecError, match="a staged part was expected"):
        run(operator)


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"dataset": RIDES}, NotFoundError, "asset 'rides' does not exist"),
        ({"dataset": RIDES, "version": "rides@x y"}, SpecError, "'x y'"),
        ({"table": "a.b.c"}, SpecError, "table 'a.b.c' is not usable"),
        (
            {"table": "public.a", "conn_id": "absent"},
            ConnectionSpecError,
            "connection 'absent' is not defined",
        ),
        ({"table": "public.a", "contract": "/absent.yml"}, ContractError, "'/absent.yml' cannot be read"),
        ({"table": "public.a", "variables": {"x": "1"}}, ContractError, "variable 'x' does not exist"),
        (
            {"table": "public.a", "references": {"kinds": "kinds"}},
            NotFoundError,
            "asset 'kinds' does not exist",
        ),
    ],
    ids=["never published", "version", "table", "connection", "contract", "variable", "reference"],
)
def test_a_check_of_what_is_there_names_the_argument(
    world: World, said: dict[str, Any], error: type[Exception], words: str
) -> None:
    contract = str(world.folder / "rides.yml")
    with pytest.raises(error, match=words):
        run(QualityCheckOperator(task_id="look", **({"contract": contract} | said)))
    assert unpublished(world)
    assert not snapshot(world)["reports"]


@pytest.mark.slow
class TestTrain:
    @pytest.fixture
    def planned(self, world: World) -> World:
        for month in (1, 2):
            for operator, key in world.ingest(month):
                world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
        plan, key = next(iter(world.train("2026-02")))
        world.results["plan", key] = run(plan, run_id=key, partition_key=key)
        return world

    def train(self, world: World, spec: str) -> None:
        (world.folder / "bad.yml").write_text(spec)
        plan = world.results["plan", "2026-02"]
        run(
            ModelTrainOperator(task_id="train", model=DEMAND, plan=plan, spec=str(world.folder / "bad.yml")),
            partition_key="2026-02",
        )

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            (SPEC.replace("name: km", "name: kilometres"), "'kilometres' does not exist"),
            (SPEC.replace("target: late", "target: lateness"), "'lateness' does not exist"),
            (SPEC + "module: no_such_package.models:Model\n", "no_such_package"),
            (SPEC + "module: airflow_dataml.adapters.lightning.tabular:NoSuchClass\n", "NoSuchClass"),
            (SPEC.replace("max_epochs: 2", "max_epoch: 2"), "did you mean 'max_epochs'"),
        ],
        ids=["feature not in the table", "target not in the table", "module", "class", "typo"],
    )
    def test_a_bad_spec_starts_nothing(self, planned: World, spec: str, words: str) -> None:
        with pytest.raises(TrainingSpecError, match=words):
            self.train(planned, spec)
        assert not snapshot(planned)["mlflow runs"]

    def test_an_unreachable_mlflow_starts_nothing(
        self, planned: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields = {"conn_type": "dataml_mlflow", "host": "http://127.0.0.1", "port": 1}
        monkeypatch.setenv("AIRFLOW_CONN_DATAML_MLFLOW_DEFAULT", json.dumps(fields))
        with pytest.raises(RegistryError, match=r"127\.0\.0\.1"):
            self.train(planned, SPEC)
        assert not list((planned.folder / "work").glob("*/train.csv"))

    def test_a_batch_that_is_not_there_cannot_be_scored(self, planned: World) -> None:
        from airflow.sdk.exceptions import AirflowSkipException

        operator = ModelScoreOperator(
            task_id="score", model=DEMAND, dataset=FEATURES, predictions=PREDICTIONS, key_columns=["id"]
        )
        with pytest.raises(AirflowSkipException, match="has no champion yet"):
            run(operator, partition_key="2026-09")


def test_a_typo_in_a_policy_is_pointed_at(world: World) -> None:
    operator = ModelMonitorOperator(
        task_id="monitor",
        model=DEMAND,
        predictions=PREDICTIONS,
        key_columns=["id"],
        policy={"tolerence": 0.2},
    )
    with pytest.raises(PolicyError, match=r"MonitorPolicy was written as .*tolerence"):
        run(operator, partition_key=KEY)


def test_paths_are_not_shell(world: World, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        stage(world, path=f"{tmp_path}/$(touch owned).csv")
    assert not (tmp_path / "owned").exists()

"""What every operator tells OpenLineage, through Airflow's provider and by the official schemas."""

from __future__ import annotations

import importlib
import json
import pkgutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from airflow.sdk import DAG, task
from psycopg.conninfo import conninfo_to_dict

import airflow_dataml.decorators
import airflow_dataml.operators
from airflow_dataml.assets import dataset, external
from airflow_dataml.core.errors import GateError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.operators.base import DataMLOperator
from airflow_dataml.operators.branches import (
    BranchCreateOperator,
    BranchDiffOperator,
    BranchDropOperator,
    BranchMergeOperator,
)
from airflow_dataml.operators.datasets import (
    DatasetPublishOperator,
    DatasetStageOperator,
    DatasetTransformOperator,
)
from airflow_dataml.operators.maintenance import DatasetCompactOperator, DatasetRetainOperator
from airflow_dataml.operators.point_in_time import PointInTimeJoinOperator
from airflow_dataml.operators.quality import QualityCheckOperator
from airflow_dataml.operators.quarantine import QuarantineReplayOperator
from airflow_dataml.operators.staging import DatasetLoadOperator, StagingOperator
from airflow_dataml.operators.versions import DatasetRollbackOperator, DatasetSnapshotOperator
from tests.integration.operators.harness import FEATURES, RIDES, batch
from tests.integration.operators.telling import Told, tell
from tests.integration.operators.test_quarantine import CONTRACT as LENIENT
from tests.integration.operators.test_quarantine import REPAIR, write_batch
from tests.openlineage_schemas import facets_of, problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

SERVER = "postgres://localhost:5432"
ORDERS = external("orders", table="public.orders", keys=["id"], owner="shop")
# Told by the lifecycle below, which trains.
MODELS = {
    "ModelEvaluateOperator", "ModelMonitorOperator", "ModelPromoteOperator", "ModelScoreOperator",
    "ModelTrainOperator", "RetrainDecideOperator", "TrainingPlanOperator",
}  # fmt: skip
DATASETS = {
    "BranchCreateOperator", "BranchDiffOperator", "BranchDropOperator", "BranchMergeOperator",
    "DatasetCompactOperator", "DatasetLoadOperator", "DatasetPublishOperator", "DatasetRetainOperator",
    "DatasetRollbackOperator", "DatasetSnapshotOperator", "DatasetStageOperator", "DatasetTransformOperator",
    "QualityCheckOperator", "QuarantineReplayOperator",
    "_QualityDecoratedOperator", "_StageDecoratedOperator", "_TransformDecoratedOperator",
}  # fmt: skip
# Told where their own tests are.
ELSEWHERE = {
    "DatasetDiffOperator", "HardExamplesOperator", "ImpactCheckOperator", "ModelBlameOperator", "ModelCardOperator",
    "ModelExplainOperator", "ModelReproduceOperator", "ModelRollbackOperator", "ModelTuneChoiceOperator",
    "ModelTuneOperator", "ModelWindowReportOperator", "PointInTimeJoinOperator", "ReleaseOperator", "_MonitorDecoratedOperator",
}  # fmt: skip
# They touch the ledger's own books and no dataset.
BOOKS = {
    "CatalogCrawlOperator", "CatalogExportOperator", "CatalogRegisterOperator",
    "ApprovalOperator", "LineageDrainOperator", "LineageEmitOperator", "RayJobOperator", "RegistryReconcileOperator",
}  # fmt: skip


def valid(told: Told) -> Told:
    """Both events are what the schemas say, and whatever START names is in the end too."""
    assert problems(told.start) == []
    assert problems(told.end) == []
    assert told.names("inputs", at="start") <= told.names("inputs")
    # A task may find that there is nothing to write.
    if told.end["outputs"]:
        assert told.names("outputs", at="start") <= told.names("outputs")
    return told


class Story:
    """Tells of one operator after the other, and remembers whose turn it was."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: set[str] = set()
        self.last: dict[str, Told] = {}

    def go(self, operator: DataMLOperator, key: str = "2026-01", run_id: str | None = None) -> Told:
        told = valid(tell(operator, run_id=run_id or key, partition_key=key))
        self.world.results[operator.task_id, key] = told.result
        if told.end["inputs"] or told.end["outputs"] or "lineage" in told.end["job"]["facets"]:
            self.seen.add(type(operator).__name__)
        self.last[operator.task_id] = told
        return told


@pytest.fixture
def story(make_world: Callable[[], World]) -> Story:
    return Story(make_world())


def ingest(story: Story, month: int, **said: Any) -> None:
    for operator, key in story.world.ingest(month, **said):
        story.go(operator, key)


def classes() -> set[str]:
    """Every operator of ours but the bases."""
    for package in (airflow_dataml.operators, airflow_dataml.decorators):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    found: set[type] = set()
    left: list[type] = [DataMLOperator]
    while left:
        left += left.pop().__subclasses__()
        found |= set(left)
    ours = {one for one in found if one.__module__.startswith("airflow_dataml.")}
    return {one.__name__ for one in ours if one is not StagingOperator}


def test_no_operator_is_silent() -> None:
    assert classes() - (DATASETS | MODELS | ELSEWHERE | BOOKS) == set()


def test_every_dataset_operator_tells(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(story, 1)
    ingest(story, 2)
    dag(story)
    branches(story)
    upkeep(story)
    others(story, monkeypatch)
    quarantine(story)
    assert story.seen >= DATASETS


def dag(story: Story) -> None:
    contract = str(story.world.folder / "rides.yml")
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @task.dataset_stage(dataset=FEATURES, mode="append")
        def pull() -> Any:
            return importlib.import_module("pyarrow").table({"id": [1]})

        @task.dataset_transform(dataset=FEATURES, inputs=[RIDES])
        def shape() -> str:
            return "SELECT * FROM rides"

        @task.quality_check(dataset=RIDES)
        def look() -> str:
            return contract

        pulled, shaped, looked = pull().operator, shape().operator, look().operator
    job = story.go(pulled).end["job"]["facets"]
    assert job["lineage"]["entries"] == [{"type": "JOB", "inputs": []}]
    assert job["sourceCodeLocation"]["url"].endswith("/test_openlineage.py")
    assert "SELECT" in story.go(shaped).end["job"]["facets"]["sql"]["query"]
    version = story.go(looked).input("public.rides")["facets"]["version"]
    assert version["datasetVersion"] == "2"


def branches(story: Story) -> None:
    world, key = story.world, "2026-03"
    story.go(BranchCreateOperator(task_id="fork", branch="try", datasets=[RIDES]))
    path, contract = str(batch(world.folder / "3.csv", month=3, rows=50)), str(world.folder / "rides.yml")
    staged = story.go(
        DatasetStageOperator(task_id="stage", dataset=RIDES, path=path, contract=contract, branch="try"), key
    ).result
    story.go(QualityCheckOperator(task_id="audit", dataset=RIDES, staged=staged, contract=contract), key)
    told = story.go(DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged), key)
    output = told.output("branch_try.rides")
    assert output["facets"]["dataml_version"]["asset"] == "rides"
    assert "symlinks" not in output["facets"]
    assert story.go(BranchDiffOperator(task_id="diff", branch="try")).end["run"]["facets"]["test"]["tests"]
    merged = story.go(BranchMergeOperator(task_id="merge", branch="try", datasets=[RIDES]))
    assert merged.output("public.rides")["facets"]["dataml_version"]["number"] == 4
    story.go(BranchCreateOperator(task_id="fork", branch="again", datasets=[RIDES]), run_id="r2")
    staged = story.go(
        DatasetStageOperator(task_id="stage", dataset=RIDES, path=path, contract=contract, branch="again"),
        key, run_id="r2",
    ).result  # fmt: skip
    story.go(
        DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged, require_check=False),
        key, run_id="r2",
    )  # fmt: skip
    gone = story.go(BranchDropOperator(task_id="drop", branch="again")).output("branch_again.rides")
    assert gone["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"


def upkeep(story: Story) -> None:
    back = story.go(DatasetRollbackOperator(task_id="back", dataset=RIDES, reason="wrong", to="rides@2"))
    assert back.output("public.rides")["facets"]["version"]["datasetVersion"] == "2"
    assert back.end["run"]["facets"]["dataml_decision"]["action"] == "roll_back"
    packed = story.go(DatasetCompactOperator(task_id="compact", dataset=RIDES))
    assert packed.input("public.rides")["facets"]["version"]["datasetVersion"] == "2"
    assert packed.end["outputs"] == []
    kept = story.go(DatasetRetainOperator(task_id="retain", dataset=RIDES, policy={"keep_last": 1}))
    assert (kept.end["outputs"], kept.end["run"]["facets"]["dataml_decision"]["action"]) == ([], "retain")


def others(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    world = story.world
    with psycopg.connect(world.dsn, autocommit=True) as admin:
        admin.execute(
            "CREATE TABLE public.orders AS SELECT n AS id, n * 1.5 AS paid FROM generate_series(1, 25) n"
        )
    info = conninfo_to_dict(world.dsn)
    said = {"conn_type": "postgres", "host": info["host"], "login": info["user"], "schema": info["dbname"]}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(said | {"password": "hush-hush"}))
    orders = dataset("order_facts")
    sql = "SELECT o.id FROM orders o WHERE o.paid > 2"
    load = DatasetLoadOperator(task_id="load", dataset=orders, conn_id="shop", sql=sql, mode="append")
    told = story.go(load)
    assert told.names("inputs") == {(SERVER, f"{info['dbname']}.public.orders")}
    publish = DatasetPublishOperator(task_id="put", dataset=orders, staged=told.result, require_check=False)
    sources = story.go(publish).output("public.order_facts")["facets"]["lineage"]["inputs"]
    assert [source["name"] for source in sources] == [f"{info['dbname']}.public.orders", "dag.load"]
    again = story.go(load, run_id="r2").result
    publish = DatasetPublishOperator(task_id="put", dataset=orders, staged=again, require_check=False)
    story.go(publish, run_id="r2")
    small = {"target_rows": 10_000_000, "min_parts": 2}
    packed = story.go(DatasetCompactOperator(task_id="pack", dataset=orders, policy=small))
    assert packed.input("order_facts")["facets"]["version"]["datasetVersion"] == "2"
    assert packed.output("order_facts")["facets"]["dataml_version"]["parent"] == 2
    found = story.go(DatasetSnapshotOperator(task_id="snap", dataset=ORDERS)).input("public.orders")["facets"]
    assert (found["dataml_version"]["kind"], found["ownership"]["owners"][0]["name"]) == ("external", "shop")


def quarantine(story: Story) -> None:
    world, key, tours = story.world, "2026-04", dataset("tours")
    lenient = world.folder / "lenient.yml"
    lenient.write_text(LENIENT)
    path, contract = write_batch(world.folder, bad=5), str(lenient)
    stage = DatasetStageOperator(task_id="stage", dataset=tours, path=path, contract=contract)
    staged = story.go(stage, key).result
    look = QualityCheckOperator(task_id="audit", dataset=tours, staged=staged, contract=contract)
    found = story.go(look, key).input("public.tours")["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [one.get("actual") for one in found if one.get("column") == "at"] == [None]
    story.go(DatasetPublishOperator(task_id="publish", dataset=tours, staged=staged), key)
    replay = story.go(QuarantineReplayOperator(task_id="replay", dataset=tours, repair_sql=REPAIR), key)
    assert replay.error is None
    assert replay.end["job"]["facets"]["sql"]["query"] == REPAIR


def test_a_refused_batch_is_a_failure_with_its_checks_and_no_output(story: Story) -> None:
    world = story.world
    path, contract = write_batch(world.folder, bad=5), str(world.folder / "rides.yml")
    staged = story.go(
        DatasetStageOperator(task_id="stage", dataset=RIDES, path=path, contract=contract)
    ).result
    audit = story.go(QualityCheckOperator(task_id="audit", dataset=RIDES, staged=staged, contract=contract))
    publish = story.go(DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged))
    for told in (audit, publish):
        assert isinstance(told.error, GateError)
        assert (told.end["eventType"], told.end["outputs"]) == ("FAIL", [])
        facets = told.input("public.rides")["inputFacets"]["dataQualityAssertions"]
        failed = {one["name"] for one in facets["assertions"] if not one["success"]}
        assert failed == {"invalid(km)", "invalid(kind)"}
        assert "version" not in told.input("public.rides")["facets"]


def test_a_join_in_time_tells_both_versions_and_their_columns(story: Story) -> None:
    ingest(story, 1)
    priced = dataset("priced_rides")
    last = {"dataset": RIDES, "keys": ["id"], "time_column": "at", "columns": ["km"], "prefix": "last_"}
    join = PointInTimeJoinOperator(
        task_id="join", dataset=priced, spine=FEATURES, time_column="at", joins=[last], mode="append"
    )
    told = story.go(join)
    assert told.names("inputs") >= {(SERVER, told.input("public.rides")["name"])}
    staged = told.result
    publish = story.go(
        DatasetPublishOperator(task_id="put", dataset=priced, staged=staged, require_check=False)
    )
    fields = publish.output("public.priced_rides")["facets"]["columnLineage"]["fields"]
    assert {one["field"] for one in fields["last_km"]["inputFields"]} >= {"km"}
    with story.world.ledger() as ledger:
        start = str(version_node(ledger.versions.find("priced_rides").version_id))
        made = {node.label for node in ledger.lineage.walk(start, direction="upstream").nodes}
        equal = ledger.connection.scalar("SELECT count(*) FROM public.priced_rides WHERE km = last_km")
    assert {"priced_rides@1", "rides@1", "ride_features@1"} <= made
    assert equal == staged["rows"]


def test_a_file_reaches_the_version_it_became(story: Story) -> None:
    ingest(story, 1)
    output = story.last["publish"].output("public.rides")
    facets = output["facets"]
    assert output["namespace"] == SERVER
    sources = [(one["type"], one["name"]) for one in facets["lineage"]["inputs"]]
    assert sources == [("DATASET", str(story.world.folder / "2026-01.csv")), ("JOB", "dag.stage")]
    assert (
        facets["dataml_version"] | {"asset": "rides", "number": 1, "partitionKey": "2026-01"}
        == facets["dataml_version"]
    )
    assert facets["ownership"]["owners"] == [{"name": "ann", "type": "OWNER"}]
    assert facets["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    assert facets["dataQualityMetrics"]["columnMetrics"]["kind"]["distinctCount"] == 3
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 1500
    features = story.last["publish_features"].output("ride_features")["facets"]
    assert features["columnLineage"]["fields"]["km"]["inputFields"][0]["field"] == "km"


def test_an_asset_of_ours_is_the_dataset_its_operators_tell_of(story: Story) -> None:
    from airflow.providers.openlineage.utils.utils import translate_airflow_asset

    ingest(story, 1)
    found = translate_airflow_asset(RIDES, None)
    assert found is not None
    output = story.last["publish"].output("public.rides")
    assert (found.namespace, found.name) == (output["namespace"], output["name"])
    told = [(one["namespace"], one["name"]) for one in output["facets"]["symlinks"]["identifiers"]]
    assert told == [("dataml", "dataset/rides")]
    assert [(i["namespace"], i["name"]) for i in found.facets["symlinks"].identifiers] == told


def test_a_delta_table_is_its_storage(story: Story) -> None:
    lake = dataset("lake", uri=str(story.world.folder / "lake"))
    path, contract = (
        batch(story.world.folder / "1.csv", month=1, rows=20),
        str(story.world.folder / "rides.yml"),
    )
    staged = story.go(
        DatasetStageOperator(task_id="s", dataset=lake, path=str(path), contract=contract)
    ).result
    told = story.go(DatasetPublishOperator(task_id="p", dataset=lake, staged=staged, require_check=False))
    output = told.output("/lake")
    assert (output["namespace"], output["name"]) == ("file", str(story.world.folder / "lake"))
    assert output["facets"]["storage"]["storageLayer"] == "delta"
    assert output["facets"]["catalog"]["framework"] == "delta"


def test_neither_passwords_nor_parameters_leave(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    info = conninfo_to_dict(story.world.dsn)
    said = {
        "conn_type": "dataml", "host": info["host"], "login": info["user"], "schema": info["dbname"],
        "password": "hush-hush", "extra": {"sslmode": "prefer"},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", json.dumps(said))
    ingest(story, 1)
    told = story.go(
        DatasetTransformOperator(
            task_id="t", dataset=FEATURES, sql="SELECT * FROM rides WHERE kind <> %(word)s", inputs=[RIDES],
            parameters={"word": "open-sesame"},
        )
    )  # fmt: skip
    events = json.dumps([one.end for one in story.last.values()] + [told.start, told.end])
    assert "hush-hush" not in events
    assert "open-sesame" not in events


def test_telling_costs_little(story: Story) -> None:
    import time

    ingest(story, 1)
    publish = DatasetPublishOperator(
        task_id="publish", dataset=RIDES, staged=story.world.results["stage", "2026-01"]
    )
    tell(publish, run_id="2026-01", partition_key="2026-01")
    with story.world.ledger() as ledger:
        version = ledger.versions.find("rides")
        began = time.perf_counter()
        for _ in range(20):
            publish.tell(ledger, wrote=[version])
        cost = (time.perf_counter() - began) / 20
    began = time.perf_counter()
    for _ in range(20):
        publish.get_openlineage_facets_on_complete(None)
    cost += (time.perf_counter() - began) / 20
    # Twenty milliseconds with room for a busy machine.
    assert cost < 0.1


@pytest.mark.slow
def test_the_life_of_a_model(story: Story) -> None:
    world = story.world
    for month in (1, 2):
        ingest(story, month)
    for steps in (world.train("2026-02"),):
        for operator, key in steps:
            story.go(operator, key)
    ingest(story, 3)
    for operator, key in world.watch("2026-03"):
        story.go(operator, key)
    assert story.seen >= MODELS
    model = story.last["train"].output("models/ride_late")
    assert model["namespace"] == "mlflow://localhost:5432"
    assert model["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert [field["name"] for field in model["facets"]["schema"]["fields"]] == ["inputs", "outputs"]
    parameters = story.last["train"].end["run"]["facets"]["executionParameters"]["parameters"]
    assert {"key": "seed", "name": "seed", "value": "7"} in parameters
    promoted = story.last["promote"].output("models/ride_late")["facets"]
    assert {"key": "alias", "value": "champion", "source": "DATAML"} in promoted["tags"]["tags"]
    assert story.last["promote"].end["run"]["facets"]["dataml_decision"]["action"] == "promote"
    assert story.last["evaluate"].end["run"]["facets"]["test"]["tests"][0]["status"] == "pass"
    scored = story.last["score"].output("ride_predictions")["facets"]
    assert ("mlflow://localhost:5432", "models/ride_late") in {
        (one["namespace"], one["name"]) for one in scored["lineage"]["inputs"]
    }
    score = {
        one["name"].rpartition(".")[2] for one in scored["columnLineage"]["fields"]["score"]["inputFields"]
    }
    assert score == {"models/ride_late", "ride_features"}
    assert story.last["score"].input("ride_late")["facets"]["version"]["datasetVersion"] == "1"
    assert "test" in story.last["monitor"].end["run"]["facets"]
    assert story.last["decide"].end["outputs"] == []
    ours = {url["_schemaURL"] for told in story.last.values() for _, url in facets_of(told.end)}
    assert {url.split("#")[0].rpartition(":")[2] for url in ours if url.startswith("urn:")} == {
        "DataMLDecisionRunFacet", "DataMLModelDatasetFacet", "DataMLVersionDatasetFacet",
    }  # fmt: skip

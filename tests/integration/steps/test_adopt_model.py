"""A model that lives in MLflow, brought under the ledger, and changed there afterwards: MLflow on a real PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.mlflow import MlflowRegistry, mlflow_uri
from airflow_dataml.core.errors import NotFoundError, RegistryError, SpecError
from airflow_dataml.core.registry import SOURCE_TAG
from airflow_dataml.steps.adopt_model import ModelAdopted, adopt_model
from airflow_dataml.steps.models import fetch_files
from airflow_dataml.steps.promote import drain_aliases
from airflow_dataml.steps.reconcile import reconcile_model
from dev.embedded import ensure_database
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uri(postgres_server: str) -> str:
    info = conninfo_to_dict(ensure_database(postgres_server, "mlflow_adopted"))
    uri = mlflow_uri(host=str(info["host"]), login=str(info["user"]), database=str(info["dbname"]))
    MlflowRegistry(tracking_uri=uri, artifact_location="/nowhere").ensure_schema()
    return uri


class Team:
    """People who work in MLflow and know nothing of the ledger."""

    def __init__(self, uri: str, folder: Path, name: str) -> None:
        from mlflow import MlflowClient

        self.registry = MlflowRegistry(tracking_uri=uri, artifact_location=str(folder / "ours"))
        self.registry.check()
        self.client, self.folder, self.name = MlflowClient(uri, uri), folder, name
        self.experiment = self.client.create_experiment(name, str(folder / "theirs"))
        self.client.create_registered_model(name, tags={"team": "blue"})

    def register(self, number: int, files: dict[str, str]) -> None:
        run = self.client.create_run(self.experiment, run_name=f"notebook {number}")
        self.client.log_param(run.info.run_id, "depth", number)
        self.client.log_metric(run.info.run_id, "auc", 0.5 + number / 10)
        place = self.folder / f"files{number}"
        place.mkdir()
        for name, content in files.items():
            (place / name).write_text(content)
        self.client.log_artifacts(run.info.run_id, str(place), "model")
        self.client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/model"
        self.client.create_model_version(self.name, source, run.info.run_id, tags={"stage": f"s{number}"})

    def alias(self, alias: str, version: int) -> None:
        self.client.set_registered_model_alias(self.name, alias, str(version))


def ours(graph: str) -> dict[str, str]:
    """Files as our training writes them."""
    digest = hashlib.sha256(graph.encode()).hexdigest()
    metadata = {"onnx_sha256": digest, "encoding": {}, "spec": {"task": "binary", "features": []}}
    return {"model.onnx": graph, "metadata.json": json.dumps(metadata), "MLmodel": "flavors: {}"}


@pytest.fixture
def team(uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Team:
    name = "m" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    team = Team(uri, tmp_path, name)
    team.register(1, {"model.pkl": "run me", "MLmodel": "flavors: {}"})
    team.register(2, {"model.onnx": "theirs"})
    team.register(3, ours("graph"))
    team.alias("champion", 2)
    team.alias("Prod", 3)
    return team


def adopt(ledger: PostgresLedger, team: Team, run: str = "r", **said: Any) -> ModelAdopted:
    return adopt_model(
        ledger=ledger, registry=team.registry, identity=identity("adopt", run), model=team.name, **said
    )


def test_a_plan_writes_nothing(ledger: PostgresLedger, team: Team) -> None:
    found = adopt(ledger, team, dry_run=True)
    assert [(one.version, one.ref, one.known) for one in found.versions] == [
        (1, None, False),
        (2, None, False),
        (3, None, False),
    ]
    assert (found.aliases, list(found.left)) == ({"champion": 2}, ["Prod"])
    with pytest.raises(NotFoundError):
        ledger.assets.get(team.name)


def test_it_comes_with_its_history(ledger: PostgresLedger, team: Team, tmp_path: Path) -> None:
    found = adopt(ledger, team)
    assert [(one.ref, one.loadable) for one in found.versions] == [
        (f"{team.name}@1", False),
        (f"{team.name}@2", False),
        (f"{team.name}@3", True),
    ]
    reasons = [one.reason or "" for one in found.versions]
    assert "it holds model.pkl: loading such files runs code" in reasons[0]
    assert "no metadata.json" in reasons[1]
    champion = ledger.versions.alias(team.name, "champion")
    assert champion is not None
    assert champion.ref == f"{team.name}@2"
    first = ledger.versions.find(f"{team.name}@1")
    run = first.facts["adopted"]["run"]
    assert (run["name"], run["params"], run["metrics"]) == ("notebook 1", {"depth": "1"}, {"auc": 0.6})
    assert first.facts["adopted"]["files"]["model.pkl"] == hashlib.sha256(b"run me").hexdigest()
    assert (first.facts["registry"]["version"], first.facts["registry"]["tags"]) == (1, {"stage": "s1"})
    with pytest.raises(SpecError, match=r"cannot be loaded here: it holds model\.pkl"):
        fetch_files(version=first, registry=team.registry, work_dir=tmp_path / "work")
    third = ledger.versions.find(f"{team.name}@3")
    folder = fetch_files(version=third, registry=team.registry, work_dir=tmp_path / "work")
    assert (folder / "model.onnx").read_text() == "graph"


def test_a_second_adoption_brings_only_what_is_new(ledger: PostgresLedger, team: Team) -> None:
    adopt(ledger, team, "r1")
    team.register(4, {"model.onnx": "later"})
    again = adopt(ledger, team, "r2")
    assert [one.known for one in again.versions] == [True, True, True, False]
    assert len(ledger.versions.list(team.name)) == 4
    assert adopt(ledger, team, "r3") == adopt(ledger, team, "r4")
    rows = ledger.connection.rows(
        "SELECT action, count(*) AS n FROM dataml.audit GROUP BY action ORDER BY action"
    )
    assert [(row["action"], row["n"]) for row in rows] == [("adopt model", 2), ("adopt model version", 4)]


def test_files_that_cannot_be_read_are_said(ledger: PostgresLedger, team: Team) -> None:
    team.client.create_model_version(team.name, str(team.folder / "gone"))
    last = adopt(ledger, team).versions[-1]
    assert (last.ref, last.loadable) == (f"{team.name}@4", False)
    assert "its files cannot be read" in (last.reason or "")


def test_what_cannot_be_adopted_is_refused(ledger: PostgresLedger, team: Team) -> None:
    with pytest.raises(NotFoundError, match="has no model 'nobody'"):
        adopt_model(ledger=ledger, registry=team.registry, identity=identity("a"), model="nobody")
    with pytest.raises(SpecError, match="not usable"):
        adopt_model(ledger=ledger, registry=team.registry, identity=identity("a"), model="Churn Model")
    declare(ledger, team.name)
    for dry_run in (True, False):
        with pytest.raises(SpecError):
            adopt(ledger, team, dry_run=dry_run)


def test_adopting_changes_nothing_in_mlflow_and_is_no_drift(ledger: PostgresLedger, team: Team) -> None:
    before = team.registry.registered(team.name)
    adopt(ledger, team)
    assert team.registry.registered(team.name) == before
    found = reconcile_model(
        ledger=ledger, registry=team.registry, identity=identity("reconcile"), model=team.name
    )
    # An alias we cannot name stays MLflow's own.
    assert [one.said for one in found.outside] == ["alias 'Prod' is '3', we left not set"]


def test_changes_in_mlflow_are_noticed_and_put_back(ledger: PostgresLedger, team: Team) -> None:
    team.client.delete_registered_model_alias(team.name, "Prod")
    adopt(ledger, team)
    team.alias("champion", 1)
    team.client.set_model_version_tag(team.name, "2", "approval", "yes")
    team.client.set_registered_model_tag(team.name, "team", "red")
    team.client.delete_model_version(team.name, "3")
    said: dict[str, Any] = {"ledger": ledger, "registry": team.registry, "model": team.name}
    found = reconcile_model(**said, identity=identity("reconcile", "r1"))
    assert [one.said for one in found.new] == [
        "version 3 was deleted",
        "alias 'champion' is '1', we left '2'",
        "tag 'team' is 'red', we left 'blue'",
        "tag 'approval' of version 2 is 'yes', we left not set",
    ]
    drain_aliases(ledger=ledger, registry=team.registry)
    assert team.registry.aliases(team.name) == {"champion": 1}
    restored = reconcile_model(**said, identity=identity("reconcile", "r2"), on_outside_change="restore")
    assert [one.said for one in restored.outside] == ["version 3 was deleted"]
    there = team.registry.registered(team.name)
    assert there is not None
    assert (there.aliases, there.tags) == ({"champion": 2}, {"team": "blue"})
    assert there.versions[1].tags == {"stage": "s2"}
    assert ledger.audit.verify()[1] is None


def test_a_tampered_file_in_the_artifact_store_is_refused_by_its_hash(
    ledger: PostgresLedger, team: Team, tmp_path: Path
) -> None:
    adopt(ledger, team)
    version = ledger.versions.find(f"{team.name}@3")
    (stored,) = (tmp_path / "theirs").glob("*/artifacts/model/metadata.json")
    stored.write_text(stored.read_text().replace("binary", "regression"))
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"metadata.json has hash \w{32} and the ledger \w{32}"):
            fetch_files(version=version, registry=team.registry, work_dir=tmp_path / "work")
    stored.write_text(stored.read_text().replace("regression", "binary"))
    assert fetch_files(version=version, registry=team.registry, work_dir=tmp_path / "work").is_dir()


def test_a_registered_source_of_ours_is_kept(ledger: PostgresLedger, team: Team, tmp_path: Path) -> None:
    (tmp_path / "logged").mkdir()
    for name, content in ours("graph").items():
        (tmp_path / "logged" / name).write_text(content)
    source = "models:/m-0123"
    team.client.create_model_version(team.name, str(tmp_path / "logged"), tags={SOURCE_TAG: source})
    last = adopt(ledger, team).versions[-1]
    assert ledger.versions.find(str(last.ref)).facts["registry"]["source"] == source

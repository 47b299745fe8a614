"""What an export reads of the ledger, and how it writes."""

from __future__ import annotations

import json

import pytest

from airflow_dataml.adapters.postgres.exporting import PostgresExports
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.catalog import AssetFilter
from airflow_dataml.core.errors import AssetNotFoundError, SpecError
from airflow_dataml.core.refs import Relation
from airflow_dataml.operators.exports import CatalogExportOperator
from airflow_dataml.steps.export import export_catalog
from tests.integration.exports.shop import ODD
from tests.integration.operators.harness import run

pytestmark = pytest.mark.integration


@pytest.fixture
def exports(shop_dsn):
    with PostgresLedger.connect(shop_dsn) as ledger:
        yield PostgresExports(ledger.connection)


def test_a_dataset_with_all_that_is_known_of_it(exports):
    (rides,) = exports.assets(["rides"])
    assert (rides.owner, rides.tags, rides.terms, rides.domain, rides.freshness_s) == (
        "ann",
        ("taxi", "a,b"),
        ("Ride",),
        "mobility",
        86400,
    )
    assert rides.relation == Relation("public", "rides")
    assert rides.lineage_name == f"{rides.database}.public.rides"
    assert {c.name: c.nullable for c in rides.columns} == {
        "id": False,
        "kind": True,
        "km": False,
        "rider": False,
    }
    assert rides.columns[0].tags == ("key",)
    assert (rides.version.number, rides.version.rows, rides.version.readable) == (1, 3, True)
    assert rides.masked == {"rider"}
    (orders,) = rides.upstream
    assert orders.lineage_name == "shop.public.orders"
    assert orders.columns == (("", "id", "indirect"), ("kind", "paid", "direct"))
    assert orders.confidence == 0.5


def test_columns_of_a_query_come_with_its_version(exports):
    (features,) = exports.assets(["ride_features"])
    (rides,) = features.upstream
    assert ("miles", "km", "direct") in rides.columns


def test_a_model(exports):
    (model,) = exports.assets(["ride_late"])
    assert (model.namespace, model.lineage_name) == ("mlflow://mlflow:5000", "models/ride_late")
    assert model.model.aliases == ("champion",)
    assert model.model.metrics == {"loss": 0.25, "auc": 0.9}
    assert model.model.hyperparameters == {"max_epochs": "2", "learning_rate": "0.01"}
    assert model.model.source == "models:/m-1"
    assert model.model.trained_on == "rides@1"
    assert [one.name for one in model.upstream] == ["rides"]


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ({"domain": "mobility"}, ["rides"]), ({"kinds": ("model",)}, ["ride_late"]), ({"tag": "a,b"}, ["rides"]),
        ({"owner": "joe"}, ["postgres://db.acme:5432/shop.public.orders"]), ({"term": "Ride", "importance": "critical"}, ["rides"]),
        ({"status": ("missing",)}, ["gone"]), ({"group": "core"}, ["rides"]), ({"stale": True}, []), ({"stale": False, "owner": "ann"}, ["rides"]),
        ({"failing": True}, []), ({"producer": "x.y"}, []), ({"subtype": "topic"}, ['kafka://k:9092/rides "new"']),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_filters(exports, filter, names):
    assert [asset.name for asset in exports.assets((), AssetFilter(**filter))] == names


def test_more_assets_than_one_statement_reads(shop_dsn):
    with PostgresLedger.connect(shop_dsn) as ledger:
        ledger.connection.execute(
            "INSERT INTO dataml.asset (name, kind, uri) SELECT 'many_' || n, 'external', 'x' FROM generate_series(1, 2500) n"
        )
        assets = PostgresExports(ledger.connection).assets()
    assert len(assets) == 2513
    assert [a.name for a in assets] == sorted({a.name for a in assets}, key=[a.name for a in assets].index)


def test_a_name_nobody_has_is_told_with_what_it_may_mean(exports):
    with pytest.raises(AssetNotFoundError, match="Did you mean 'rides'"):
        exports.assets(["ridse"])


def test_no_statement_is_written_by_a_name(exports):
    with pytest.raises(AssetNotFoundError, match="does not exist"):
        exports.assets(["'; DROP TABLE dataml.asset; --", "%s"])


def test_rows_are_all_there_and_what_is_masked_is_not(shop_dsn, tmp_path):
    done = run(
        CatalogExportOperator(
            task_id="x", format="frictionless", folder=str(tmp_path), assets=["rides", "odd"], with_data=True
        )
    )
    assert done["rows"] == {"odd": 2, "rides": 3}
    assert (
        tmp_path / "data/rides-v1.csv"
    ).read_text() == 'id,kind,km\n1,bike,2.5\n2,,3.25\n3,"tram, ""late""",1e-09\n'
    package = json.loads((tmp_path / "datapackage.json").read_text())
    assert [f["name"] for f in package["resources"][0]["schema"]["fields"]] == list(ODD)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        ".dataml-frictionless.json",
        "datapackage.json",
        "odd-v1.csv",
        "rides-v1.csv",
    ]


def test_an_export_again_replaces_the_one_before(shop_dsn, tmp_path):
    (tmp_path / "catalog.jsonld").write_text("old")
    operator = CatalogExportOperator(task_id="x", format="dcat", folder=str(tmp_path))
    first = run(operator)
    text = (tmp_path / "catalog.jsonld").read_text()
    assert run(operator) == first
    assert (tmp_path / "catalog.jsonld").read_text() == text != "old"


def test_what_is_exported_no_more_goes_and_nothing_else(shop_dsn, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path.parent / "outside.txt").write_text("outside")
    said = {"task_id": "x", "format": "croissant", "folder": str(tmp_path)}
    run(CatalogExportOperator(assets=["rides", "odd"], with_data=True, **said))
    notes = tmp_path / ".dataml-croissant.json"
    notes.write_text(json.dumps([*json.loads(notes.read_text()), "../outside.txt", "/nowhere/at/all"]))
    run(CatalogExportOperator(assets=["odd"], **said))
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".dataml-croissant.json", "mine.txt", "odd.croissant.json"]
    assert (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"format": "dcat"}, "name one"),
        ({"format": "dcat", "folder": "x", "conn_id": None, "within": {"colour": "red"}}, "is no filter of assets"),
        ({"format": "odcs", "folder": "x", "contracts": {"nope": __file__}}, "which is not exported"),
        ({"format": "odcs", "folder": "x", "with_data": True}, "cannot be given rows"),
        ({"format": "dcat", "folder": "x", "settings": {"colour": "red"}}, "colour"),
        ({"format": "unity", "conn_id": "nobody"}, "'nobody' is not defined"),
    ],
    ids=["nowhere", "filter", "contract", "rows", "settings", "connection"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(shop_dsn, said, words):
    with pytest.raises(SpecError, match=words):
        run(CatalogExportOperator(task_id="x", **said))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--format", "dcat"], "name one"), (["--format", "datahub", "--send"], "--send needs a server"),
        (["--format", "datahub", "-o", "x", "--url", "http://x"], "give --send too"),
        (["--format", "dcat", "-o", "x", "--set", "colour=red"], "colour"), (["--format", "dcat", "-o", "x", "--set", "red"], "sets nothing"),
        (["--format", "odcs", "-o", "x", "--contract", "rides"], "names no file"), (["--format", "odcs", "-o", "x", "--contract", "rides=/nope"], "cannot be read"),
        (["--format", "datahub", "--send", "--url", "http://u:hunter2@x"], "carries a login"),
    ],
    ids=["nowhere", "no server", "no send", "unknown setting", "no setting", "no file", "no such file", "login"],
)  # fmt: skip
def test_what_the_command_line_refuses(dataml, argv, words):
    code, _, err = dataml("catalog", "export", *argv)
    assert code == 1
    assert words in err
    assert "hunter2" not in err


def test_rows_without_a_folder_are_refused(exports):
    with pytest.raises(SpecError, match="goes into a folder"):
        export_catalog(assets=exports.assets(), format="dcat", folder=None)

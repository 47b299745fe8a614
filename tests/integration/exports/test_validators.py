"""Every format, written by the real command line and operator from a real ledger, as its own outside validator sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.odcs import import_odcs
from airflow_dataml.operators.exports import CatalogExportOperator
from tests.integration.exports.catalogs import catalog
from tests.integration.exports.shop import ODD, SECRET, TYPES
from tests.integration.operators.harness import run

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FORMATS = ("odcs", "croissant", "dcat", "frictionless", "datahub", "openmetadata", "unity")
CONTRACT = """
dataset: dataml/test/public/rides
columns:
  - {name: id, data_type: integer, checks: [{missing: {}}, {duplicate: {}}]}
  - {name: kind, valid_values: [bike, tram], checks: [{invalid: {}}, {missing: {threshold: {must_be_less_than: 5, metric: percent}}}]}
  - {name: km, data_type: double precision, valid_min: 0, checks: [{invalid: {}}]}
checks:
  - row_count: {threshold: {must_be_greater_than: 1}}
"""


def export(folder, format, **said):
    return run(CatalogExportOperator(task_id=f"export_{format}", format=format, folder=str(folder), **said))


@pytest.mark.parametrize("format", FORMATS)
def test_everything_is_valid(shop_dsn, tmp_path, validate, format):
    done = export(
        tmp_path,
        format,
        settings={
            "contact_email": "data@acme.org",
            "license": "https://creativecommons.org/licenses/by/4.0/",
        },
    )
    said = validate(format, tmp_path)
    assert said["problems"] == []
    assert done["assets"] == 13
    assert all((tmp_path / path).exists() for path in done["documents"])


@pytest.mark.parametrize("format", ["croissant", "frictionless", "dcat"])
def test_rows_beside_are_valid_and_all_there(dataml, tmp_path, validate, format):
    names = ["rides", "ride_features", "odd", "types", "ride_predictions"]
    code, out, _ = dataml("catalog", "export", *names, "--format", format, "-o", str(tmp_path), "--with-data")
    assert code == 0, out
    said = validate(format, tmp_path)
    assert said["problems"] == []
    if format == "dcat":
        assert said["facts"]["distributions"] == len(names)
        return
    fields = {name: found["fields"] for name, found in said["facts"].items()}
    # What a contract masks is not written out.
    assert fields == {
        "rides": 3,
        "ride_features": 3,
        "odd": len(ODD),
        "types": len(TYPES),
        "ride_predictions": 2,
    }
    assert {name: found["rows"] for name, found in said["facts"].items()} == {
        "rides": 3, "ride_features": 3, "odd": 2, "types": 1, "ride_predictions": 2,
    }  # fmt: skip


def test_a_contract_is_exported_as_it_is(dataml, tmp_path, validate):
    (tmp_path / "rides.yml").write_text(CONTRACT)
    code, _, err = dataml(
        "catalog", "export", "rides", "--format", "odcs", "-o", str(tmp_path / "out"), "--contract", f"rides={tmp_path / 'rides.yml'}"
    )  # fmt: skip
    assert code == 0, err
    assert validate("odcs", tmp_path / "out")["problems"] == []
    document = yaml.safe_load((tmp_path / "out/rides.odcs.yaml").read_text())
    assert document["schema"][0]["properties"][0]["unique"] is True
    assert document["team"] == [{"username": "ann", "role": "owner"}]
    assert document["version"] == "1.0.0"
    back = import_odcs((tmp_path / "out/rides.odcs.yaml").read_text())
    assert back.contract.checks == Contract.from_text(CONTRACT).checks


def test_datahub_has_lineage_of_columns_and_the_model(shop_dsn, tmp_path, validate):
    export(tmp_path, "datahub")
    facts = validate("datahub", tmp_path)["facts"]
    assert facts["upstreamLineage"] == 2
    assert facts["fine"] == 4
    assert facts["mlModelTrainingData"] == facts["mlModelProperties"] == facts["mlModelGroupProperties"] == 1
    assert "urn:li:dataset:(urn:li:dataPlatform:s3,lake/raw/a %281%29%2C b,PROD)" in facts["urns"]


@pytest.mark.parametrize("format", ["datahub", "openmetadata", "unity"])
def test_what_a_server_is_sent_is_valid(dataml, tmp_path, validate, format):
    with catalog() as there:
        code, _, err = dataml("catalog", "export", "--format", format, "--send", "--url", there.url)
        assert code == 0, err
        (tmp_path / "requests.json").write_text(json.dumps(there.writes()))
    said = validate("datahub_requests" if format == "datahub" else format, tmp_path)
    assert said["problems"] == []
    assert there.writes()


def _broken_odcs(text):
    return text.replace("kind: DataContract\n", "kind: Something\n")


def _broken_croissant(text):
    document = json.loads(text)
    del document["recordSet"][0]["field"][0]["dataType"]
    return json.dumps(document)


def _broken_dcat(text):
    document = json.loads(text)
    del document["dcat:dataset"][0]["dct:title"]
    return json.dumps(document)


def _broken_frictionless(text):
    return text.replace('"type": "integer"', '"type": "whole number"')


def _broken_datahub(text):
    return text.replace('"OTHER"', "").replace('"nullable": true', '"nullable": "perhaps"')


def _broken_openmetadata(text):
    return text.replace('"dataType": "INT"', '"dataType": "WHOLE"')


def _broken_unity(text):
    return text.replace('"table_type": "EXTERNAL"', '"table_type": "ELSEWHERE"')


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_document_is_refused(shop_dsn, tmp_path, validate, format):
    export(tmp_path, format, assets=["rides"])
    (path,) = (p for p in Path(tmp_path).iterdir() if not p.name.startswith("."))
    broken = globals()[f"_broken_{format}"](path.read_text())
    assert broken != path.read_text()
    path.write_text(broken)
    try:
        problems = validate(format, tmp_path)["problems"]
    except AssertionError as err:
        # DataHub's reader raises instead of telling.
        problems = [str(err)]
    assert problems


def test_rows_that_were_changed_are_noticed(dataml, tmp_path, validate):
    for format in ("croissant", "frictionless"):
        folder = tmp_path / format
        dataml("catalog", "export", "rides", "--format", format, "-o", str(folder), "--with-data")
        (rows,) = (folder / "data").iterdir()
        rows.write_text(rows.read_text().replace("bike", "boat"))
        assert validate(format, folder)["problems"]


@pytest.mark.parametrize("format", FORMATS)
def test_no_secret_leaves(shop_dsn, tmp_path, format):
    rows = format in ("croissant", "frictionless", "dcat")
    export(tmp_path, format, with_data=rows)
    text = "\n".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in text
    assert "joe:" not in text
    assert "key:" not in text.replace("partition_key:", "").replace("primaryKey:", "")
    assert "conn_id" not in text
    # The values of a masked column.
    assert "example.com" not in text.replace("example.com/", "")

"""Facts about a task as OpenLineage has them: pure, and valid by the official schemas."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.facets import (
    ColumnUse,
    DatasetFact,
    TaskLineage,
    VersionFact,
    assertions,
    column_metrics,
    outcome,
)
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.core.facets_rendering import render
from airflow_dataml.core.facets_schemas import schema_url
from airflow_dataml.core.quality import CheckResult, Verdict
from airflow_dataml.core.refs import AssetNaming, Relation
from tests.openlineage_schemas import problems

RIDES = LineageName("postgres://db:5432", "w.public.rides")
TRIPS = LineageName("postgres://db:5432", "w.public.trips")
VERSION = VersionFact(
    version_id=7,
    asset="trips",
    kind="dataset",
    number=3,
    rows=10,
    columns=(Column("km", "integer"), Column("token", "text")),
    column_docs={"km": "how far"},
    aliases=("dev-x",),
    owner="ann",
    documentation="All trips.",
    tags=("gold",),
    importance="high",
    bytes=100,
    files=2,
)
WHOLE = TaskLineage(
    kind="TRANSFORMATION",
    inputs=(DatasetFact(name=RIDES, type="VIEW", subset={"location": "dataml_data.rides_1"}),),
    outputs=(
        DatasetFact(
            name=TRIPS,
            logical=LineageName("dataml", "dataset/trips"),
            version=VERSION,
            type="VIEW",
            store="delta",
            change="CREATE",
            metrics={"km": {"nullCount": 0, "min": 1.5}},
            uses=(ColumnUse(RIDES, (("km", "km", "direct", "value"), ("", "kind", "indirect", "filter"))),),
        ),
    ),
    sql="SELECT km FROM rides",
    parameters={"seed": "7"},
    tests=(outcome("better", "unknown", actual="too few rows", params={"n": 3}),),
    decision={"action": "wait", "reasons": ["too few"]},
    handed_over_by=("dag.stage",),
    source={"type": "file", "url": "file:///dags/a.py"},
)


def event(lineage: TaskLineage) -> dict[str, Any]:
    plain = render(lineage, job_namespace="prod")
    return {
        "eventTime": "2026-01-01T00:00:00+00:00",
        "producer": "urn:test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "eventType": "COMPLETE",
        "run": {"runId": "01941f29-7c00-7000-8000-000000000000", "facets": plain["run"]},
        "job": {"namespace": "prod", "name": "dag.task", "facets": plain["job"]},
        "inputs": plain["inputs"],
        "outputs": plain["outputs"],
    }


def test_everything_there_is_to_say_is_valid() -> None:
    told = event(WHOLE)
    assert problems(told) == []
    assert set(told["outputs"][0]["facets"]) >= {
        "catalog", "columnLineage", "dataQualityMetrics", "dataml_version", "datasetType", "documentation",
        "lifecycleStateChange", "lineage", "ownership", "schema", "storage", "symlinks", "tags", "version",
    }  # fmt: skip
    assert told["run"]["facets"]["test"]["tests"][0]["status"] == "skip"


def test_the_schemas_do_object() -> None:
    told = event(WHOLE)
    told["outputs"][0]["facets"]["dataml_version"]["number"] = "three"
    told["run"]["facets"]["testRun"] = told["run"]["facets"].pop("test")
    assert [problem.partition(":")[0] for problem in problems(told)] == [
        "run.facets.testRun", "outputs[0].facets.dataml_version",
    ]  # fmt: skip


def test_columns_are_told_to_old_and_to_new_consumers() -> None:
    facets = event(WHOLE)["outputs"][0]["facets"]
    assert facets["columnLineage"]["fields"]["km"]["inputFields"][0]["field"] == "km"
    assert facets["columnLineage"]["dataset"][0]["transformations"][0]["subtype"] == "FILTER"
    assert facets["lineage"]["fields"]["km"]["inputs"][0]["type"] == "DATASET"
    assert {"namespace": "prod", "name": "dag.stage", "type": "JOB"} in facets["lineage"]["inputs"]


def test_a_staged_batch_goes_from_job_to_job() -> None:
    lineage = TaskLineage(inputs=(DatasetFact(name=RIDES),), hands_over=True)
    entries = event(lineage)["job"]["facets"]["lineage"]["entries"]
    assert entries == [
        {"type": "JOB", "inputs": [{"namespace": RIDES[0], "name": RIDES[1], "type": "DATASET"}]}
    ]


def test_of_one_dataset_what_names_the_version_is_kept() -> None:
    plain, known = DatasetFact(name=TRIPS), DatasetFact(name=TRIPS, version=VERSION)
    assert TaskLineage(inputs=(plain,)).with_inputs([known]).inputs == (known,)
    assert TaskLineage(inputs=(known,)).with_inputs([plain]).inputs == (known,)


def test_masked_columns_and_those_of_secrets_show_counts_alone() -> None:
    column = {"type": "integer", "nulls": 1, "min": 1, "max": 9, "sum": 10, "distinct": 2}
    profile = {"rows": 3, "columns": {"km": column, "pin": column, "api_token": column}}
    found = column_metrics(profile, masked=["pin"])
    assert found is not None
    assert found["km"]["max"] == 9
    assert found["pin"] == found["api_token"] == {"nullCount": 1, "distinctCount": 2, "count": 2}


def test_what_a_check_saw_in_a_masked_column_stays() -> None:
    check = CheckResult("c", "missing", "at", "missing(at)", Verdict.FAIL, "= 0", 4)
    shown, hidden = (assertions({"checks": [check.to_dict()], "mask": mask})[0] for mask in ([], ["at"]))
    assert (shown["actual"], shown["success"]) == ("4", False)
    assert "actual" not in hidden
    assert "description" not in hidden


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/data/rides/", ("file", "/data/rides")),
        ("s3://lake/a/b", ("s3://lake", "a/b")),
        ("s3a://key:secret@lake/a", ("s3://lake", "a")),
        ("abfss://lake:x@acme.dfs.core.windows.net/a", ("abfss://lake@acme.dfs.core.windows.net", "a")),
        ("hdfs://name:8020/a", ("hdfs://name:8020", "a")),
    ],
    ids=["folder", "s3", "login", "azure", "hdfs"],
)
def test_where_a_delta_table_is_called_by_its_storage(location: str, name: tuple[str, str]) -> None:
    assert AssetNaming().lineage_file(location) == name


@pytest.mark.parametrize(
    ("host", "namespace"),
    [
        ("/run/postgresql", "postgres://localhost:5432"),
        ("DB.internal", "postgres://db.internal:5432"),
        ("a.internal,b.internal", "postgres://a.internal:5432"),
        ("::1", "postgres://[::1]:5432"),
    ],
    ids=["socket", "host", "hosts", "ipv6"],
)
def test_a_server_is_called_by_its_address(host: str, namespace: str) -> None:
    naming = AssetNaming()
    assert naming.lineage_namespace(host=host, port=None) == namespace
    assert naming.lineage_name(database="w", relation=Relation.parse('"a b"."c.d"')) == "w.a b.c.d"


def test_a_facet_names_its_schema() -> None:
    assert schema_url("test").endswith("/1-0-1/TestRunFacet.json#/$defs/TestRunFacet")

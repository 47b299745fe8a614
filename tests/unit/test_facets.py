"""Facets as the objects the provider sends: what Airflow may mask of them, and what never."""

from __future__ import annotations

from typing import Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.facets import DatasetFact, TaskLineage, VersionFact, column_metrics
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.core.facets_rendering import render
from airflow_dataml.facets import dataset_object, facet_objects

TRIPS = LineageName("postgres://warehouse:5432", "warehouse.public.trips")


def masked(thing: Any) -> Any:
    """What Airflow's provider lets out where ``warehouse`` is also a password."""
    from airflow.providers.openlineage.utils.utils import OpenLineageRedactor
    from openlineage.client.serde import Serde

    masker = OpenLineageRedactor()
    masker.sensitive_variables_fields = ["password", "token"]
    masker.add_mask("warehouse")
    return Serde.to_dict(masker.redact(thing, max_depth=20))


def test_names_survive_a_password_that_is_a_word_of_them() -> None:
    version = VersionFact(
        version_id=1, asset="warehouse_trips", kind="dataset", number=1, columns=(Column("token", "integer"),)
    )
    profile = {"rows": 2, "columns": {"token": {"type": "integer", "nulls": 0, "min": 1, "max": 2, "sum": 3}}}
    fact = DatasetFact(
        name=TRIPS,
        logical=LineageName("dataml", "dataset/warehouse_trips"),
        version=version,
        type="VIEW",
        metrics=column_metrics(profile),
    )
    plain = render(TaskLineage(outputs=(fact,)), job_namespace="prod")["outputs"][0]
    assert masked(dataset_object(plain, output=True)) == plain


def test_what_people_write_is_masked() -> None:
    lineage = TaskLineage(
        sql="SELECT 'warehouse'", decision={"action": "wait", "reasons": ["warehouse said so"]}
    )
    plain = render(lineage, job_namespace="prod")
    job = {key: masked(value) for key, value in facet_objects("JobFacet", plain["job"]).items()}
    run = {key: masked(value) for key, value in facet_objects("RunFacet", plain["run"]).items()}
    assert job["sql"]["query"] == "SELECT '***'"
    assert run["dataml_decision"]["reasons"] == ["*** said so"]

"""Facts about datasets and tasks as the objects that Airflow's OpenLineage provider sends."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.facets import DatasetFact
from airflow_dataml.core.facets_rendering import render_dataset
from airflow_dataml.naming import NAMING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.facets import DatasetType
    from airflow_dataml.naming import Names

FacetKind = Literal["DatasetFacet", "InputDatasetFacet", "OutputDatasetFacet", "RunFacet", "JobFacet"]
# Names and numbers, which Airflow's masking would make into others where a password happens to be a word of
# them, or a column happens to be called token. Whatever people write or rows hold is masked.
_NEVER_MASKED = {
    "catalog": ("framework", "type", "name", "source"),
    "columnLineage": ("fields", "dataset"),
    "dataQualityMetrics": ("columnMetrics", "rowCount", "bytes", "lastUpdated"),
    "dataml_version": (
        "asset", "kind", "number", "versionId", "fingerprint", "schemaHash", "parent", "partitionKey", "aliases",
    ),
    "lifecycleStateChange": ("lifecycleStateChange",),
    "lineage": ("inputs", "fields", "entries"),
    "ownership": ("owners",),
    "schema": ("fields",),
    "storage": ("storageLayer", "fileFormat"),
    "subset": ("inputCondition",),
    "symlinks": ("identifiers",),
    "tags": ("tags",),
    "version": ("datasetVersion",),
}  # fmt: skip


def asset_dataset(fact: DatasetFact) -> Any:
    """Return a dataset by its names alone."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    plain = render_dataset(fact)
    return Dataset(
        namespace=plain["namespace"],
        name=plain["name"],
        facets=facet_objects("DatasetFacet", plain["facets"]),
    )


def dataset_object(plain: Mapping[str, Any], *, output: bool) -> Any:
    """Return an input or output of an event."""
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    facets = facet_objects("DatasetFacet", plain["facets"])
    if output:
        told = facet_objects("OutputDatasetFacet", plain["outputFacets"])
        return OutputDataset(plain["namespace"], plain["name"], facets=facets, outputFacets=told)
    told = facet_objects("InputDatasetFacet", plain["inputFacets"])
    return InputDataset(plain["namespace"], plain["name"], facets=facets, inputFacets=told)


def facet_objects(kind: FacetKind, facets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return facets as the client's objects."""
    return {key: _object(kind, key, values) for key, values in facets.items()}


def _object(kind: FacetKind, key: str, values: Mapping[str, Any]) -> Any:
    said = {name: value for name, value in values.items() if name not in ("_producer", "_schemaURL")}
    if key == "tags" and kind == "RunFacet":
        # The client adds the deployment's own tags, and looks at these for it.
        from openlineage.client.generated.tags_run import TagsRunFacetFields

        said = {"tags": [TagsRunFacetFields(**tag) for tag in said["tags"]]}
    made = _class(kind, key)(producer=values["_producer"]).with_additional_properties(**said)
    # The client takes it from the class, and these have none of their own.
    made._schemaURL = values["_schemaURL"]
    return made


@cache
def _class(kind: FacetKind, key: str) -> Any:
    """Return the class of a facet: the client's own base, and what of it may not be masked."""
    import attr
    from openlineage.client.generated import base

    parent = getattr(base, kind)
    return attr.s(
        type(f"{key}Facet", (parent,), {"_additional_skip_redact": list(_NEVER_MASKED.get(key, ()))})
    )


def declared_fact(kind: str, name: str, facts: Mapping[str, Any], names: Names) -> DatasetFact:
    """Return what a declaration says of an asset, before anything is read or written.

    :param facts: what ``dataset(...)``, ``external(...)`` and ``model(...)`` keep.
    """
    return DatasetFact(
        name=names.of(kind, name, facts),
        logical=NAMING.lineage_logical(kind, name),
        type=type_of(kind, facts),
        subtype=SUBTYPES.get(kind),
        store=store_name(kind, facts),
        owner=facts.get("owner"),
        description=facts.get("description"),
        tags=tuple(facts.get("tags") or ()),
    )


SUBTYPES = {"model": "REGISTERED_VERSION", "prediction": "PREDICTIONS", "external": "EXTERNAL"}


def store_name(kind: str, facts: Mapping[str, Any]) -> str | None:
    """Return the kind of store an asset is kept in."""
    if kind == "model":
        return None
    return "delta" if facts.get("uri") or facts.get("store") == "delta" else "postgres"


def type_of(kind: str, facts: Mapping[str, Any]) -> DatasetType:
    """Return what OpenLineage calls this kind of thing; readers of a managed dataset query a view."""
    if kind == "model":
        return "MODEL"
    if store_name(kind, facts) == "delta" or kind == "external":
        return "TABLE"
    return "VIEW"

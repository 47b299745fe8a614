"""Which schema each facet follows: OpenLineage's own, and the three that this package ships."""

from __future__ import annotations

from typing import Any

from airflow_dataml.core.facets import without_nothing

PRODUCER = "urn:airflow-dataml"
_OFFICIAL = "https://openlineage.io/spec/facets"
_OURS = "urn:airflow-dataml:openlineage"
# Facet -> version of its schema, and what that calls it.
_SCHEMAS = {
    "catalog": ("1-1-0", "CatalogDatasetFacet"),
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "dataQualityAssertions": ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    "dataQualityMetrics": ("1-0-0", "DataQualityMetricsDatasetFacet"),
    "datasetType": ("1-0-1", "DatasetTypeDatasetFacet"),
    "documentation": ("1-1-0", "DocumentationDatasetFacet"),
    "executionParameters": ("1-0-0", "ExecutionParametersRunFacet"),
    "inputStatistics": ("1-0-0", "InputStatisticsInputDatasetFacet"),
    "lifecycleStateChange": ("1-0-1", "LifecycleStateChangeDatasetFacet"),
    "outputStatistics": ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
    "ownership": ("1-0-1", "OwnershipDatasetFacet"),
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "sourceCodeLocation": ("1-1-0", "SourceCodeLocationJobFacet"),
    "sql": ("1-1-0", "SQLJobFacet"),
    "storage": ("1-0-1", "StorageDatasetFacet"),
    "symlinks": ("1-0-1", "SymlinksDatasetFacet"),
    "tags": ("1-0-0", "TagsDatasetFacet"),
    "test": ("1-0-1", "TestRunFacet"),
    "version": ("1-0-1", "DatasetVersionDatasetFacet"),
}
_NAMED = {
    "dataml_version": f"{_OURS}:1-0-0:DataMLVersionDatasetFacet#/$defs/DataMLVersionDatasetFacet",
    "dataml_model": f"{_OURS}:1-0-0:DataMLModelDatasetFacet#/$defs/DataMLModelDatasetFacet",
    "dataml_decision": f"{_OURS}:1-0-0:DataMLDecisionRunFacet#/$defs/DataMLDecisionRunFacet",
    "subset": f"{_OFFICIAL}/1-0-0/BaseSubsetDatasetFacet.json#/$defs/InputSubsetInputDatasetFacet",
    "run.tags": f"{_OFFICIAL}/1-0-0/TagsRunFacet.json#/$defs/TagsRunFacet",
    "dataset.lineage": f"{_OFFICIAL}/1-0-0/LineageFacet.json#/$defs/LineageDatasetFacet",
    "job.lineage": f"{_OFFICIAL}/1-0-0/LineageFacet.json#/$defs/LineageJobFacet",
}


def schema_url(key: str) -> str:
    """Return where the schema of a facet is.

    >>> schema_url("version")
    'https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet'
    """
    if key in _NAMED:
        return _NAMED[key]
    version, name = _SCHEMAS[key]
    return f"{_OFFICIAL}/{version}/{name}.json#/$defs/{name}"


def facet(schema: str, **values: Any) -> dict[str, Any]:
    """Return a facet by the key of its schema."""
    return {"_producer": PRODUCER, "_schemaURL": schema_url(schema)} | without_nothing(values)

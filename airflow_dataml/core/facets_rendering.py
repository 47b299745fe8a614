"""Facts about a task as OpenLineage datasets and facets, in plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.facets import without_nothing
from airflow_dataml.core.facets_schemas import facet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.facets import ColumnUse, DatasetFact, TaskLineage, VersionFact

# How a column takes part -> OpenLineage's words.
_TRANSFORMATIONS = {
    "value": ("DIRECT", "TRANSFORMATION"),
    "condition": ("INDIRECT", "CONDITIONAL"),
    "window": ("INDIRECT", "WINDOW"),
    "filter": ("INDIRECT", "FILTER"),
    "join": ("INDIRECT", "JOIN"),
    "group": ("INDIRECT", "GROUP_BY"),
    "sort": ("INDIRECT", "SORT"),
}
_LAYERS = {"postgres": ("postgres", "heap"), "delta": ("delta", "parquet")}

Facets = dict[str, dict[str, Any]]


def render(lineage: TaskLineage, *, job_namespace: str) -> dict[str, Any]:
    """Return ``inputs`` and ``outputs``, and the facets of the ``run`` and the ``job``.

    :param job_namespace: what OpenLineage calls this Airflow.
    """
    inputs = [render_dataset(one) | {"inputFacets": _input_facets(one)} for one in lineage.inputs]
    outputs = [
        render_dataset(one, lineage=lineage, job_namespace=job_namespace)
        | {"outputFacets": _output_facets(one)}
        for one in lineage.outputs
    ]
    return {
        "inputs": inputs,
        "outputs": outputs,
        "run": _run_facets(lineage),
        "job": _job_facets(lineage),
    }


def render_dataset(
    one: DatasetFact, *, lineage: TaskLineage | None = None, job_namespace: str = ""
) -> dict[str, Any]:
    """Return a dataset with its facets.

    :param lineage: of the task that wrote it; only read unless given.
    """
    facets: Facets = _identity(one) | _about(one)
    if one.version:
        facets |= _version_facets(one.version)
    elif one.columns:
        facets["schema"] = facet("schema", fields=[{"name": c.name, "type": c.type} for c in one.columns])
    if one.metrics is not None:
        facets["dataQualityMetrics"] = _metrics(one, one.metrics)
    if one.model is not None:
        facets["dataml_model"] = facet("dataml_model", **one.model)
    if lineage is not None:
        if one.checks:
            facets["dataQualityAssertions"] = facet("dataQualityAssertions", assertions=list(one.checks))
        if one.change:
            facets["lifecycleStateChange"] = facet("lifecycleStateChange", lifecycleStateChange=one.change)
        facets |= _sources(one, lineage, job_namespace)
    return {"namespace": one.name.namespace, "name": one.name.name, "facets": facets}


def _identity(one: DatasetFact) -> Facets:
    """What it is and where."""
    found: Facets = {}
    if one.logical and one.logical != one.name:
        kind = one.type or "TABLE"
        same = [{"namespace": one.logical.namespace, "name": one.logical.name, "type": kind}]
        found["symlinks"] = facet("symlinks", identifiers=same)
    if one.type:
        found["datasetType"] = facet("datasetType", datasetType=one.type, subType=one.subtype)
    if one.store in _LAYERS:
        layer, form = _LAYERS[one.store]
        found["storage"] = facet("storage", storageLayer=layer, fileFormat=form)
        if one.store == "delta":
            found["catalog"] = facet(
                "catalog", framework="delta", type="dataml", name="dataml", source="dataml"
            )
    return found


def _about(one: DatasetFact) -> Facets:
    """What people say of it."""
    known = one.version
    owner = one.owner or (known.owner if known else None)
    text = (
        (known.documentation if known else None) or one.description or (known.description if known else None)
    )
    found: Facets = {}
    if owner:
        found["ownership"] = facet("ownership", owners=[{"name": owner, "type": "OWNER"}])
    if text:
        found["documentation"] = facet("documentation", description=text, contentType="text/markdown")
    tags = [
        {"key": tag, "value": "true", "source": "DATAML"}
        for tag in (one.tags or (known.tags if known else ()))
    ]
    if known:
        tags += [{"key": "alias", "value": alias, "source": "DATAML"} for alias in known.aliases]
        if known.importance:
            tags.append({"key": "importance", "value": known.importance, "source": "DATAML"})
    if tags:
        found["tags"] = facet("tags", tags=tags)
    return found


def _version_facets(version: VersionFact) -> Facets:
    found: Facets = {
        "version": facet("version", datasetVersion=str(version.number)),
        "dataml_version": facet(
            "dataml_version",
            asset=version.asset,
            kind=version.kind,
            number=version.number,
            versionId=version.version_id,
            fingerprint=version.fingerprint,
            schemaHash=version.schema_hash,
            parent=version.parent,
            partitionKey=version.partition_key,
            aliases=list(version.aliases),
        ),
    }
    if version.columns:
        fields = [
            without_nothing({"name": c.name, "type": c.type, "description": version.column_docs.get(c.name)})
            for c in version.columns
        ]
        found["schema"] = facet("schema", fields=fields)
    elif version.kind == "model":
        found["schema"] = facet("schema", fields=_signature(version.facts.get("spec") or {}))
    return found


def _signature(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    types = {"numeric": "float", "categorical": "string"}
    inputs = [{"name": f["name"], "type": types.get(f["kind"], f["kind"])} for f in spec.get("features", ())]
    outputs = [{"name": "score", "type": "double"}]
    return [
        {"name": "inputs", "type": "struct", "fields": inputs},
        {"name": "outputs", "type": "struct", "fields": outputs},
    ]


def _metrics(one: DatasetFact, metrics: Mapping[str, Any]) -> dict[str, Any]:
    known = one.version
    return facet(
        "dataQualityMetrics",
        columnMetrics=dict(metrics),
        rowCount=known.rows if known else None,
        bytes=known.bytes if known else None,
        lastUpdated=known.created_at if known else None,
    )


def _input_facets(one: DatasetFact) -> Facets:
    found: Facets = {}
    if one.checks:
        found["dataQualityAssertions"] = facet("dataQualityAssertions", assertions=list(one.checks))
    if one.subset:
        found["subset"] = facet("subset", inputCondition=_condition(one.subset))
    if statistics := _statistics(one):
        found["inputStatistics"] = facet("inputStatistics", **statistics)
    return found


def _output_facets(one: DatasetFact) -> Facets:
    statistics = _statistics(one)
    return {"outputStatistics": facet("outputStatistics", **statistics)} if statistics else {}


def _statistics(one: DatasetFact) -> dict[str, int]:
    version = one.version
    if one.rows is not None:
        return {"rowCount": one.rows}
    if version is None or version.kind == "model":
        return {}
    return without_nothing({"rowCount": version.rows, "size": version.bytes, "fileCount": version.files})


def _condition(subset: Mapping[str, Any]) -> dict[str, Any]:
    if "partitions" in subset:
        rows = [
            {"identifier": str(key), "dimensions": {"partition_key": str(key)}}
            for key in subset["partitions"]
        ]
        return {"type": "partition", "partitions": rows}
    return {"type": "location", "locations": [str(subset["location"])]}


def _sources(one: DatasetFact, lineage: TaskLineage, job_namespace: str) -> Facets:
    """What an output was made from: for consumers that know the lineage facet, and for those that do not."""
    inputs: list[dict[str, Any]] = [
        _named(name) for name in dict.fromkeys(source.name for source in lineage.inputs)
    ]
    inputs += [{"namespace": job_namespace, "name": job, "type": "JOB"} for job in lineage.handed_over_by]
    fields: dict[str, dict[str, Any]] = {}
    older: dict[str, dict[str, Any]] = {}
    whole: list[dict[str, Any]] = []
    for use in one.uses:
        for column, flow in _flows(use):
            if not column:
                whole.append({k: v for k, v in flow.items() if k != "type"})
                inputs.append(flow)
                continue
            fields.setdefault(column, {"inputs": []})["inputs"].append(flow)
            known = older.setdefault(column, {"inputFields": []})["inputFields"]
            known.append({k: v for k, v in flow.items() if k != "type"})
    if not inputs and not fields:
        return {}
    found = {"lineage": facet("dataset.lineage", inputs=inputs, fields=fields or None)}
    if older or whole:
        found["columnLineage"] = facet("columnLineage", fields=older, dataset=whole or None)
    return found


def _flows(use: ColumnUse) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for column, source, kind, via in use.flows:
        what, how = _TRANSFORMATIONS.get(via, (kind.upper(), None))
        transformation = without_nothing({"type": what, "subtype": how, "masking": False})
        found.append((column, _named(use.source) | {"field": source, "transformations": [transformation]}))
    return found


def _named(name: Any) -> dict[str, Any]:
    return {"namespace": name.namespace, "name": name.name, "type": "DATASET"}


def _run_facets(lineage: TaskLineage) -> Facets:
    # Airflow's provider says of every task that its job type is TASK; this says what it does.
    kind = [{"key": "dataml_kind", "value": lineage.kind, "source": "DATAML"}]
    found: Facets = {"tags": facet("run.tags", tags=kind)}
    if lineage.parameters:
        listed = [{"key": key, "name": key, "value": value} for key, value in lineage.parameters.items()]
        found["executionParameters"] = facet("executionParameters", parameters=listed)
    if lineage.tests:
        found["test"] = facet("test", tests=list(lineage.tests))
    if lineage.decision:
        found["dataml_decision"] = facet("dataml_decision", **lineage.decision)
    return found


def _job_facets(lineage: TaskLineage) -> Facets:
    found: Facets = {}
    if lineage.sql:
        found["sql"] = facet("sql", query=lineage.sql, dialect="postgres")
    if lineage.source:
        found["sourceCodeLocation"] = facet("sourceCodeLocation", **lineage.source)
    if lineage.hands_over:
        sources = [_named(one.name) for one in lineage.inputs]
        found["lineage"] = facet("job.lineage", entries=[{"type": "JOB", "inputs": sources}])
    return found

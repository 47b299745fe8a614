"""The catalog for DataHub: metadata change proposals, as a file for its ``file`` source and for its REST server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.exports import ApiRequest, ExportDocument, Rendered
from airflow_dataml.core.exports_places import platform_name, platform_of
from airflow_dataml.core.exports_text import json_text, slug
from airflow_dataml.core.exports_types import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportSettings, Upstream

PATH = "datahub.json"
ENDPOINT = "/aspects?action=ingestProposal"
_ACTOR = "urn:li:corpuser:dataml"
_ENCODED = str.maketrans({",": "%2C", "(": "%28", ")": "%29", "␟": "%E2%90%9F"})

Proposal = tuple[str, str, str, "Mapping[str, Any]"]


def render(assets: Sequence[ExportedAsset], settings: ExportSettings) -> Rendered:
    """Return every aspect of every asset, first those that others point at."""
    proposals = [*_vocabulary(assets)]
    for asset in assets:
        proposals += _model(asset, settings) if asset.kind == "model" else _dataset(asset, settings)
    return Rendered(
        (ExportDocument(PATH, json_text([_in_file(proposal) for proposal in proposals])),),
        tuple(_to_server(proposal) for proposal in proposals),
    )


def encoded(name: str) -> str:
    """Return a name as it stands in a urn.

    >>> encoded("a,b (c)")
    'a%2Cb %28c%29'
    """
    return name.translate(_ENCODED)


def dataset_urn(asset: ExportedAsset | Upstream, settings: ExportSettings) -> str:
    """Return the urn of a dataset, as DataHub's connector of its platform makes it."""
    platform = platform_of(asset.namespace).datahub
    return f"urn:li:dataset:(urn:li:dataPlatform:{platform},{encoded(platform_name(asset))},{settings.environment})"


def model_urn(asset: ExportedAsset, settings: ExportSettings) -> str:
    """Return the urn of a version of a model, as DataHub's connector of MLflow makes it."""
    number = asset.version.number if asset.version else 0
    name = encoded(f"{asset.name}_{number}")
    return f"urn:li:mlModel:(urn:li:dataPlatform:mlflow,{name},{settings.environment})"


def _group_urn(asset: ExportedAsset, settings: ExportSettings) -> str:
    return f"urn:li:mlModelGroup:(urn:li:dataPlatform:mlflow,{encoded(asset.name)},{settings.environment})"


def _in_file(proposal: Proposal) -> dict[str, Any]:
    kind, urn, name, aspect = proposal
    return {
        "entityType": kind,
        "entityUrn": urn,
        "changeType": "UPSERT",
        "aspectName": name,
        "aspect": {"json": aspect},
    }


def _to_server(proposal: Proposal) -> ApiRequest:
    kind, urn, name, aspect = proposal
    body = _in_file(proposal) | {
        "aspect": {"value": json.dumps(aspect, ensure_ascii=False), "contentType": "application/json"}
    }
    return ApiRequest(f"{name} of {kind} {urn}", "POST", ENDPOINT, {"proposal": body, "async": "false"})


def _vocabulary(assets: Sequence[ExportedAsset]) -> Iterator[Proposal]:
    """Tags, terms and domains, each once, so that they have names and not urns alone."""
    tags = sorted({tag for a in assets for tag in (*a.tags, *(t for c in a.columns for t in c.tags))})
    terms = sorted({term for a in assets for term in (*a.terms, *(t for c in a.columns for t in c.terms))})
    for tag in tags:
        yield "tag", _tag(tag), "tagProperties", {"name": tag}
    for term in terms:
        info = {"name": term, "definition": term, "termSource": "INTERNAL", "customProperties": {}}
        yield "glossaryTerm", _term(term), "glossaryTermInfo", info
    for domain in sorted({asset.domain for asset in assets if asset.domain}):
        yield "domain", _domain(domain), "domainProperties", {"name": domain, "customProperties": {}}


def _tag(tag: str) -> str:
    return f"urn:li:tag:{encoded(tag)}"


def _term(term: str) -> str:
    return f"urn:li:glossaryTerm:{encoded(term)}"


def _domain(domain: str) -> str:
    return f"urn:li:domain:{slug(domain)}"


def _governed(kind: str, urn: str, asset: ExportedAsset) -> Iterator[Proposal]:
    """Who answers for it and how it is filed."""
    yield kind, urn, "status", {"removed": asset.status == "deleted"}
    if asset.owner:
        owner = {"owner": f"urn:li:corpuser:{encoded(asset.owner)}", "type": "TECHNICAL_OWNER"}
        yield (
            kind,
            urn,
            "ownership",
            {"owners": [owner], "ownerTypes": {}, "lastModified": _stamp(asset)},
        )
    if asset.tags:
        yield kind, urn, "globalTags", {"tags": [{"tag": _tag(tag)} for tag in asset.tags]}
    if asset.terms:
        yield kind, urn, "glossaryTerms", _terms(asset.terms, asset)
    if asset.domain:
        yield kind, urn, "domains", {"domains": [_domain(asset.domain)]}


def _dataset(asset: ExportedAsset, settings: ExportSettings) -> Iterator[Proposal]:
    kind, urn = "dataset", dataset_urn(asset, settings)
    properties: dict[str, Any] = {
        "customProperties": _facts(asset),
        "name": asset.name,
        "qualifiedName": asset.lineage_name,
        "tags": [],
    }
    if asset.description:
        properties["description"] = asset.description
    if asset.version:
        properties["lastModified"] = {"time": _millis(asset)}
    yield kind, urn, "datasetProperties", properties
    if asset.documentation:
        stamps = {"created": _stamp(asset), "lastModified": _stamp(asset)}
        yield kind, urn, "editableDatasetProperties", stamps | {"description": asset.documentation}
    if asset.subtype or asset.kind != "external":
        yield kind, urn, "subTypes", {"typeNames": [(asset.subtype or asset.kind).replace("_", " ").title()]}
    yield from _governed(kind, urn, asset)
    if asset.columns:
        yield kind, urn, "schemaMetadata", _schema(asset)
    if lineage := _lineage(asset, urn, settings):
        yield kind, urn, "upstreamLineage", lineage
    if asset.version and asset.version.rows is not None:
        profile: dict[str, Any] = {
            "timestampMillis": _millis(asset),
            "rowCount": asset.version.rows,
            "partitionSpec": {"partition": "FULL_TABLE_SNAPSHOT", "type": "FULL_TABLE"},
        }
        profile |= {"columnCount": len(asset.columns)} if asset.columns else {}
        profile |= {"sizeInBytes": asset.version.bytes} if asset.version.bytes is not None else {}
        yield kind, urn, "datasetProfile", profile


def _facts(asset: ExportedAsset) -> dict[str, str]:
    version = asset.version
    found: dict[str, Any] = {
        "dataml.name": asset.name,
        "dataml.uri": asset.uri,
        "dataml.kind": asset.kind,
        "importance": asset.importance,
        "group": asset.group,
        "freshness_s": asset.freshness_s,
        "status": asset.status,
    }
    if version:
        found |= {"version": version.number, "rows": version.rows, "fingerprint": version.fingerprint}
        found |= {"partition_key": version.partition_key}
    if models := [one.name for one in asset.upstream if one.kind == "model"]:
        # Its lineage knows no dataset that a model made.
        found["made_by_models"] = ", ".join(models)
    return {key: str(value) for key, value in found.items() if value is not None}


def _schema(asset: ExportedAsset) -> dict[str, Any]:
    platform = platform_of(asset.namespace).datahub
    return {
        "schemaName": asset.lineage_name,
        "platform": f"urn:li:dataPlatform:{platform}",
        "version": 0,
        "created": _stamp(asset),
        "lastModified": _stamp(asset),
        "hash": "",
        "platformSchema": {"com.linkedin.schema.OtherSchema": {"rawSchema": ""}},
        "fields": [
            {
                "fieldPath": column.name,
                "nullable": column.nullable is not False,
                "type": {"type": {f"com.linkedin.schema.{words_of(column.type).datahub}": {}}},
                "nativeDataType": column.type or "unknown",
                "recursive": False,
                "isPartOfKey": False,
            }
            | ({"description": column.description} if column.description else {})
            | ({"globalTags": {"tags": [{"tag": _tag(t)} for t in column.tags]}} if column.tags else {})
            | ({"glossaryTerms": _terms(column.terms, asset)} if column.terms else {})
            for column in asset.columns
        ],
    }


def _terms(terms: Sequence[str], asset: ExportedAsset) -> dict[str, Any]:
    return {"terms": [{"urn": _term(term)} for term in terms], "auditStamp": _stamp(asset)}


def _lineage(asset: ExportedAsset, urn: str, settings: ExportSettings) -> dict[str, Any] | None:
    sources = [one for one in asset.upstream if one.kind != "model"]
    if not sources:
        return None
    fine = []
    for one in sources:
        source = dataset_urn(one, settings)
        flows: dict[str, list[str]] = {}
        for target, column, how in one.columns:
            if target and how == "direct":
                flows.setdefault(target, []).append(column)
        fine += [
            {
                "upstreamType": "FIELD_SET",
                "upstreams": [_field(source, column) for column in dict.fromkeys(columns)],
                "downstreamType": "FIELD",
                "downstreams": [_field(urn, target)],
                "confidenceScore": one.confidence,
            }
            for target, columns in flows.items()
        ]
    upstreams = [
        {"auditStamp": _stamp(asset), "dataset": dataset_urn(one, settings), "type": "TRANSFORMED"}
        for one in sources
    ]
    return {"upstreams": upstreams} | ({"fineGrainedLineages": fine} if fine else {})


def _field(dataset: str, column: str) -> str:
    return f"urn:li:schemaField:({dataset},{encoded(column)})"


def _model(asset: ExportedAsset, settings: ExportSettings) -> Iterator[Proposal]:
    group = _group_urn(asset, settings)
    about: dict[str, Any] = {"customProperties": _facts(asset), "name": asset.name}
    about |= {"description": asset.documentation or asset.about}
    yield "mlModelGroup", group, "mlModelGroupProperties", about
    yield from _governed("mlModelGroup", group, asset)
    if asset.version is None or asset.model is None:
        return
    urn, model = model_urn(asset, settings), asset.model
    facts = {"framework": model.framework, "format": model.format, "task": model.task, "target": model.target}
    facts |= {"aliases": ", ".join(model.aliases), "trained_on": model.trained_on, "source": model.source}
    properties = about | {
        "customProperties": _facts(asset) | {key: str(value) for key, value in facts.items() if value},
        "name": f"{asset.name} version {asset.version.number}",
        "date": _millis(asset),
        "created": {"time": _millis(asset)},
        "version": {"versionTag": str(asset.version.number)},
        "hyperParams": [{"name": name, "value": value} for name, value in model.hyperparameters.items()],
        "trainingMetrics": [{"name": name, "value": repr(value)} for name, value in model.metrics.items()],
        "groups": [group],
        "tags": list(model.aliases),
    }
    if model.task:
        properties["type"] = model.task
    yield "mlModel", urn, "mlModelProperties", properties
    yield from _governed("mlModel", urn, asset)
    if sources := [one for one in asset.upstream if one.kind != "model"]:
        data = [{"dataset": dataset_urn(one, settings)} for one in sources]
        yield "mlModel", urn, "mlModelTrainingData", {"trainingData": data}


def _millis(asset: ExportedAsset) -> int:
    return int(asset.version.created_at.timestamp() * 1000) if asset.version else 0


def _stamp(asset: ExportedAsset) -> dict[str, Any]:
    return {"time": _millis(asset), "actor": _ACTOR}

"""Assets as data contracts of the Open Data Contract Standard, one document each."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_text import write_readable
from airflow_dataml.core.exports import ExportDocument, Rendered
from airflow_dataml.core.exports_text import slug
from airflow_dataml.core.odcs_export import odcs_document
from airflow_dataml.core.odcs_terms import logical_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportSettings

# Since this release rules of the library are metrics; before it they were called otherwise.
_API_VERSION = "v3.1.0"
_METRICS = {
    "nullCheck": "nullValues",
    "duplicateCount": "duplicateValues",
    "rowCount": "rowCount",
    "validValues": "invalidValues",
}
_STATUS = {"active": "active", "missing": "deprecated", "deleted": "retired"}


def render(assets: Sequence[ExportedAsset], settings: ExportSettings) -> Rendered:
    """Return a document for every asset that has columns or a contract."""
    left_out = {
        asset.name: "a model is no table" if asset.kind == "model" else "its columns are not known"
        for asset in assets
        if asset.kind == "model" or not (asset.columns or asset.contract)
    }
    told = [asset for asset in assets if asset.name not in left_out]
    return Rendered(
        tuple(
            ExportDocument(f"{slug(asset.name)}.odcs.yaml", write_readable(_document(asset, settings)))
            for asset in told
        ),
        left_out=left_out,
    )


def _document(asset: ExportedAsset, settings: ExportSettings) -> dict[str, Any]:
    host, port = _server_of(asset)
    version = f"{asset.version.number}.0.0" if asset.version else "0.0.0"
    if asset.contract is not None:
        contract = Contract.from_text(asset.contract, source=f"the contract of {asset.name}")
        document = odcs_document(
            contract, version=version, status=_STATUS[asset.status], owner=asset.owner, host=host, port=port
        )
    else:
        document = _schema_only(asset, version=version, host=host, port=port)
    document["apiVersion"] = _API_VERSION
    types = {column.name: column.type for column in asset.columns}
    for table in document["schema"]:
        for described in (table, *table.get("properties", ())):
            if rules := described.get("quality"):
                described["quality"] = [_as_metric(rule) for rule in rules]
        for column in table.get("properties", ()):
            # The standard's schema takes a property of no type for a map.
            column.setdefault("logicalType", logical_type(types.get(column["name"], "")) or "string")
    return document | _about(asset, settings, document)


def _as_metric(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule in the words of the newer release, with the older ones where both are allowed.

    >>> _as_metric({"type": "library", "rule": "validValues", "validValues": ["a"], "mustBe": 0})
    {'type': 'library', 'mustBe': 0, 'metric': 'invalidValues', 'arguments': {'validValues': ['a']}}
    """
    metric = _METRICS.get(str(rule.get("rule")))
    if metric is None:
        return rule
    told = {name: value for name, value in rule.items() if name != "validValues"} | {"metric": metric}
    if "validValues" in rule:
        del told["rule"]
        told["arguments"] = {"validValues": rule["validValues"]}
    return told


def _server_of(asset: ExportedAsset) -> tuple[str | None, int]:
    uri = urlsplit(asset.namespace)
    if uri.scheme != "postgres" or not uri.hostname:
        return None, 5432
    return uri.hostname, uri.port or 5432


def _schema_only(asset: ExportedAsset, *, version: str, host: str | None, port: int) -> dict[str, Any]:
    """A contract that promises columns and types, where nobody wrote one."""
    server: dict[str, Any] = {"server": "dataml", "type": "custom"}
    if host and asset.relation and asset.database:
        server |= {"type": "postgres", "host": host, "port": port}
        server |= {"database": asset.database, "schema": asset.relation.schema}
    else:
        server |= {"description": f"{asset.namespace} {asset.lineage_name}"}
    table: dict[str, Any] = {
        "name": asset.name,
        "physicalName": str(asset.relation) if asset.relation else asset.lineage_name,
        "physicalType": "view" if asset.subtype == "view" else "table",
        "logicalType": "object",
        "properties": [_property(column) for column in asset.columns],
    }
    if asset.description:
        table["description"] = asset.description
    return {
        "apiVersion": _API_VERSION,
        "kind": "DataContract",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, asset.uri)),
        "version": version,
        "status": _STATUS[asset.status],
        "name": asset.name,
        "servers": [server],
        "schema": [table],
        **({"team": [{"username": asset.owner, "role": "owner"}]} if asset.owner else {}),
    }


def _property(column: ExportedColumn) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name}
    if column.type:
        found["physicalType"] = column.type
    if column.description:
        found["description"] = column.description
    if column.tags:
        found["tags"] = list(column.tags)
    if column.terms:
        found["businessName"] = ", ".join(column.terms)
    return found


def _about(asset: ExportedAsset, settings: ExportSettings, document: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if asset.description or asset.documentation:
        about["description"] = {
            key: text
            for key, text in (("purpose", asset.description), ("usage", asset.documentation))
            if text
        }
    if asset.tags:
        about["tags"] = list(asset.tags)
    if asset.domain:
        about["domain"] = asset.domain
    if asset.freshness_s and not any(
        level.get("property") == "freshness" for level in document.get("slaProperties", ())
    ):
        level = {"property": "freshness", "value": asset.freshness_s, "unit": "s"}
        about["slaProperties"] = [*document.get("slaProperties", ()), level]
    if settings.contact_email:
        about["support"] = [
            {
                "channel": settings.contact or "contact",
                "tool": "email",
                "url": f"mailto:{settings.contact_email}",
            }
        ]
    facts: dict[str, Any] = {
        "importance": asset.importance,
        "group": asset.group,
        "terms": ", ".join(asset.terms),
    }
    if asset.version:
        facts |= {"version": asset.version.number, "rows": asset.version.rows}
        facts |= {"fingerprint": asset.version.fingerprint}
    facts |= {"upstream": ", ".join(one.name for one in asset.upstream)}
    about["customProperties"] = [
        {"property": name, "value": value} for name, value in facts.items() if value not in (None, "")
    ]
    return about

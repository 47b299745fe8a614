"""Datasets as a data package of Frictionless Data: one resource each, rows beside it or where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_dataml.core.exports import ExportDocument, Rendered
from airflow_dataml.core.exports_text import json_text, slug
from airflow_dataml.core.exports_types import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportSettings, RowsFile

PATH = "datapackage.json"


def render(
    assets: Sequence[ExportedAsset], settings: ExportSettings, files: Mapping[str, RowsFile]
) -> Rendered:
    """Return one package of every dataset whose columns are known."""
    left_out = {
        asset.name: "a model is no table" if asset.kind == "model" else "its columns are not known"
        for asset in assets
        if asset.kind == "model" or not asset.columns
    }
    told = [asset for asset in assets if asset.name not in left_out]
    if not told:
        return Rendered((), left_out=left_out)
    package: dict[str, Any] = {
        "profile": "data-package",
        "name": slug(settings.title),
        "title": settings.title,
        "description": settings.description,
        "resources": [_resource(asset, files.get(asset.name)) for asset in told],
        "contributors": [{"title": settings.publisher, "role": "publisher"}],
    }
    if settings.license:
        package["licenses"] = [{"path": settings.license}]
    return Rendered((ExportDocument(PATH, json_text(package)),), left_out=left_out)


def _resource(asset: ExportedAsset, file: RowsFile | None) -> dict[str, Any]:
    columns = [c for c in asset.columns if file is None or c.name in file.columns]
    resource: dict[str, Any] = {
        "name": slug(asset.name),
        "title": asset.name,
        "description": asset.documentation or asset.about,
        **(_rows(file) if file else _place(asset)),
        "schema": {
            "fields": [_field(column, asset) for column in columns],
            "missingValues": [""],
        },
        "sources": [{"title": one.name} for one in asset.upstream],
    }
    if asset.version:
        resource["version"] = str(asset.version.number)
    if words := [*asset.tags, *asset.terms]:
        resource["keywords"] = words
    if not resource["sources"]:
        del resource["sources"]
    return resource


def _rows(file: RowsFile) -> dict[str, Any]:
    dialect: dict[str, Any] = {"csv": {"delimiter": ",", "doubleQuote": True}}
    if not all(name.strip() for name in file.columns):
        # A label may not be blank: columns go by their order, and the first line is passed over.
        dialect |= {"header": False, "commentRows": [1]}
    return {
        "path": file.path,
        "profile": "tabular-data-resource",
        "scheme": "file",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": dialect,
        "hash": f"sha256:{file.sha256}",
        "bytes": file.bytes,
        "rows": file.rows,
    }


def _place(asset: ExportedAsset) -> dict[str, Any]:
    """Return where its rows are, as far as it can be told without a login."""
    uri = urlsplit(asset.namespace)
    if uri.scheme == "postgres" and asset.relation and asset.database:
        place = f"postgresql://{uri.netloc}/{quote(asset.database, safe='')}"
        table = {"table": asset.relation.name, "namespace": asset.relation.schema}
        return {"path": place, "scheme": "postgresql", "format": "sql", "dialect": {"sql": table}}
    place = (
        quote(asset.lineage_name)
        if asset.namespace == "file"
        else f"{asset.namespace}/{quote(asset.lineage_name)}"
    )
    return {"path": place.lstrip("/") or asset.uri, "scheme": uri.scheme or "file"}


def _field(column: ExportedColumn, asset: ExportedAsset) -> dict[str, Any]:
    words = words_of(column.type)
    field: dict[str, Any] = {"name": column.name, "type": words.frictionless}
    if words.frictionless == "datetime":
        field["format"] = "any"
    if column.description:
        field["description"] = column.description
    # Empty text and no text look alike in a CSV file.
    if column.nullable is False and words.frictionless != "string" and asset.version is not None:
        field["constraints"] = {"required": True}
    return field

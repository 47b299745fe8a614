"""Versions of datasets as Croissant 1.0, one document each: what machine learning loads data by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_dataml.core.exports import ExportDocument, Rendered
from airflow_dataml.core.exports_text import json_text, slug
from airflow_dataml.core.exports_types import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportSettings, RowsFile

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_SHORT = 255


def render(
    assets: Sequence[ExportedAsset], settings: ExportSettings, files: Mapping[str, RowsFile]
) -> Rendered:
    """Return a document for every dataset that has a version and columns; with its rows where they were written."""
    left_out = {asset.name: why for asset in assets if (why := _unfit(asset))}
    told = [asset for asset in assets if asset.name not in left_out]
    return Rendered(
        tuple(
            ExportDocument(
                f"{slug(asset.name)}.croissant.json",
                json_text(_document(asset, settings, files.get(asset.name))),
            )
            for asset in told
        ),
        left_out=left_out,
    )


def _unfit(asset: ExportedAsset) -> str | None:
    if asset.kind == "model":
        return "a model is no dataset"
    if asset.version is None:
        return "it has no version yet"
    return None if asset.columns else "its columns are not known"


def _document(asset: ExportedAsset, settings: ExportSettings, file: RowsFile | None) -> dict[str, Any]:
    version = asset.version
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": asset.name[:_SHORT],
        "description": asset.documentation or asset.about,
        "url": settings.base_uri + "dataset/" + quote(asset.name, safe=""),
        "identifier": asset.uri,
        "license": settings.license or "https://choosealicense.com/no-permission/",
        "creator": {"@type": "sc:Organization", "name": asset.owner or settings.publisher},
        "publisher": {"@type": "sc:Organization", "name": settings.publisher},
        "distribution": [_file(asset, file)],
        "recordSet": [_records(asset, file)],
    }
    if version:
        published = version.created_at.isoformat()
        document |= {
            "version": f"{version.number}.0.0",
            "datePublished": published,
            "dateModified": published,
        }
        document["citeAs"] = f"{asset.name}@{version.number}, {version.created_at:%Y-%m-%d}"
    if words := [*asset.tags, *asset.terms]:
        document["keywords"] = words
    if settings.language:
        document["inLanguage"] = settings.language
    if asset.upstream:
        document["isBasedOn"] = [f"dataml://{one.kind}/{quote(one.name, safe='')}" for one in asset.upstream]
    # Rows that were not written out are read from where they change.
    return document | ({} if file else {"isLiveDataset": True})


def _file(asset: ExportedAsset, file: RowsFile | None) -> dict[str, Any]:
    common = {"@type": "cr:FileObject", "@id": "rows", "name": "rows", "encodingFormat": "text/csv"}
    if file:
        return common | {
            "contentUrl": file.path,
            "contentSize": f"{file.bytes} B",
            "sha256": file.sha256,
            "description": f"All {file.rows} rows.",
        }
    place = f"{asset.namespace}/{quote(asset.lineage_name, safe='/')}"
    return common | {"contentUrl": place, "description": "Where the rows are kept; they change."}


def _records(asset: ExportedAsset, file: RowsFile | None) -> dict[str, Any]:
    columns = [c for c in asset.columns if file is None or c.name in file.columns]
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "description": asset.about,
        "field": [_field(column, number) for number, column in enumerate(columns)],
    }


def _field(column: ExportedColumn, number: int) -> dict[str, Any]:
    """One column; its id is its place, for in an id most characters mean something."""
    return {
        "@type": "cr:Field",
        "@id": f"records/{number}",
        "name": column.name[:_SHORT],
        "description": column.description or column.name,
        "dataType": words_of(column.type).croissant,
        "source": {"fileObject": {"@id": "rows"}, "extract": {"column": column.name}},
    }

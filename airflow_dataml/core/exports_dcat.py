"""The catalog as DCAT-AP 3.0, in JSON-LD: what data portals harvest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_dataml.core.exports import ExportDocument, Rendered
from airflow_dataml.core.exports_text import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportSettings, RowsFile, Upstream

PATH = "catalog.jsonld"
_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_FILE_TYPE = "http://publications.europa.eu/resource/authority/file-type/"
_MEDIA_TYPE = "http://www.iana.org/assignments/media-types/"
# What RFC 3987 leaves as it is in an IRI.
_SAFE = "/:@!$&'()*+,;=-._~"


def render(
    assets: Sequence[ExportedAsset], settings: ExportSettings, files: Mapping[str, RowsFile]
) -> Rendered:
    """Return one catalog of every asset that is no model."""
    left_out = {asset.name: "a model is no dataset" for asset in assets if asset.kind == "model"}
    told = [asset for asset in assets if asset.name not in left_out]
    names = {asset.name for asset in told}
    publisher = _agent(settings.publisher, settings.publisher_uri or settings.base_uri + "publisher")
    catalog: dict[str, Any] = {
        "@context": _CONTEXT,
        "@id": settings.base_uri + "catalog",
        "@type": "dcat:Catalog",
        "dct:title": settings.title,
        "dct:description": settings.description,
        "dct:publisher": publisher,
        "dcat:dataset": [_dataset(asset, settings, files.get(asset.name), names) for asset in told],
    }
    if settings.license:
        catalog["dct:license"] = {"@id": settings.license, "@type": "dct:LicenseDocument"}
    if settings.language:
        catalog["dct:language"] = {"@id": settings.language, "@type": "dct:LinguisticSystem"}
    return Rendered((ExportDocument(PATH, json_text(catalog)),), left_out=left_out)


def iri(base: str, *words: str) -> str:
    """Return an IRI below another one.

    >>> iri("https://x.org/", "dataset", "a b")
    'https://x.org/dataset/a%20b'
    """
    return base + "/".join(quote(word, safe="") for word in words)


def _dataset(
    asset: ExportedAsset, settings: ExportSettings, file: RowsFile | None, names: set[str]
) -> dict[str, Any]:
    node = iri(settings.base_uri, "dataset", asset.name)
    dataset: dict[str, Any] = {
        "@id": node,
        "@type": "dcat:Dataset",
        "dct:title": asset.name,
        "dct:description": asset.documentation or asset.about,
        "dct:identifier": asset.uri,
        "dct:publisher": {"@id": settings.publisher_uri or settings.base_uri + "publisher"},
        "dcat:contactPoint": _contact(asset, settings),
        "dcat:distribution": [_distribution(asset, settings, node, file)],
    }
    if words := list(dict.fromkeys([*asset.tags, *asset.terms])):
        dataset["dcat:keyword"] = words
    if asset.owner:
        dataset["dct:creator"] = _agent(asset.owner, iri(settings.base_uri, "agent", asset.owner))
    if asset.domain:
        dataset["dcat:theme"] = _theme(asset.domain, settings)
    if asset.first_seen:
        dataset["dct:issued"] = _moment(asset.first_seen.isoformat())
    if asset.version:
        dataset["dct:modified"] = _moment(asset.version.created_at.isoformat())
        dataset["dcat:version"] = str(asset.version.number)
    if asset.upstream:
        dataset["dct:source"] = [
            {"@id": iri(settings.base_uri, "dataset", one.name)}
            # What the catalog does not list is said here, or it would be a dataset without a name.
            | ({} if one.name in names else _unlisted(one))
            for one in asset.upstream
            if one.kind != "model"
        ]
    return dataset


def _unlisted(one: Upstream) -> dict[str, Any]:
    about = f"{one.kind.capitalize()} {one.name}"
    return {"@type": "dcat:Dataset", "dct:title": one.name, "dct:description": about}


def _agent(name: str, node: str) -> dict[str, Any]:
    return {"@id": node, "@type": "foaf:Agent", "foaf:name": name}


def _contact(asset: ExportedAsset, settings: ExportSettings) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": "vcard:Kind"}
    found["vcard:fn"] = settings.contact or asset.owner or settings.publisher
    if settings.contact_email:
        found["vcard:hasEmail"] = {"@id": f"mailto:{quote(settings.contact_email, safe='@+')}"}
    return found


def _theme(domain: str, settings: ExportSettings) -> dict[str, Any]:
    node = settings.themes.get(domain) or iri(settings.base_uri, "theme", domain)
    return {"@id": node, "@type": "skos:Concept", "skos:prefLabel": domain}


def _moment(text: str) -> dict[str, str]:
    return {"@value": text, "@type": "xsd:dateTime"}


def _distribution(
    asset: ExportedAsset, settings: ExportSettings, node: str, file: RowsFile | None
) -> dict[str, Any]:
    found: dict[str, Any] = {"@id": f"{node}/distribution", "@type": "dcat:Distribution"}
    found["dct:title"] = asset.name
    if settings.license:
        found["dct:license"] = {"@id": settings.license, "@type": "dct:LicenseDocument"}
    if file is None:
        place = f"{asset.namespace}/{asset.lineage_name}" if "://" in asset.namespace else asset.uri
        found["dcat:accessURL"] = _resource(quote(place, safe=_SAFE))
        if asset.version and asset.version.bytes is not None:
            found["dcat:byteSize"] = _decimal(asset.version.bytes)
        return found
    place = settings.base_uri + quote(file.path, safe=_SAFE)
    return found | {
        "dcat:accessURL": _resource(place),
        "dcat:downloadURL": _resource(place),
        "dct:format": {"@id": _FILE_TYPE + "CSV", "@type": "dct:MediaTypeOrExtent"},
        "dcat:mediaType": {"@id": _MEDIA_TYPE + "text/csv", "@type": "dct:MediaType"},
        "dcat:byteSize": _decimal(file.bytes),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {
                "@id": "http://spdx.org/rdf/terms#checksumAlgorithm_sha256",
                "@type": "spdx:ChecksumAlgorithm",
            },
            "spdx:checksumValue": {"@value": file.sha256, "@type": "xsd:hexBinary"},
        },
    }


def _resource(place: str) -> dict[str, str]:
    return {"@id": place, "@type": "rdfs:Resource"}


def _decimal(number: int) -> dict[str, str]:
    return {"@value": str(number), "@type": "xsd:decimal"}

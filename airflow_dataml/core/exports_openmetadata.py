"""The catalog for OpenMetadata: ``PUT`` requests, each of which creates or updates one entity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_dataml.core.exports import ID_OF, ApiRequest, ExportDocument, Rendered
from airflow_dataml.core.exports_places import place_of, platform_of
from airflow_dataml.core.exports_text import json_text, slug
from airflow_dataml.core.exports_types import TypeWords, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportSettings

PATH = "openmetadata.json"
# How OpenMetadata's own connectors write what its names may not hold.
_RESERVED = {
    "::": "__reserved__colon__",
    ">": "__reserved__arrow__",
    '"': "__reserved__quote__",
    "\n": "__reserved__newline__",
    "\r": "__reserved__carriage_return__",
    "\t": "__reserved__tab__",
}
_LONGEST = 256
_SIZED = {"VARCHAR": 1, "CHAR": 1}
_VOCABULARY = "dataml"


def render(assets: Sequence[ExportedAsset], settings: ExportSettings) -> Rendered:
    """Return the requests in the order that lets each find what it names."""
    names = {asset.name: _fqn_of(asset, settings) for asset in assets}
    requests = [*_vocabulary(assets), *_containers(assets, settings)]
    requests += [
        _model(asset, settings) if asset.kind == "model" else _table(asset, settings) for asset in assets
    ]
    requests += _edges(assets, names)
    document = ExportDocument(PATH, json_text([request.to_dict() for request in requests]))
    return Rendered((document,), tuple(requests))


def entity_name(name: str) -> str:
    """Return a name that OpenMetadata takes, as its own connectors write it.

    >>> entity_name('a"b::c')
    'a__reserved__quote__b__reserved__colon__c'
    """
    for odd, word in _RESERVED.items():
        name = name.replace(odd, word)
    return name if len(name) <= _LONGEST else slug(name, longest=_LONGEST)


def fqn(*names: str) -> str:
    """Return a fully qualified name; a part with a dot stands in quotes.

    >>> fqn("dataml", "a.b")
    'dataml."a.b"'
    """
    return ".".join(f'"{part}"' if "." in part else part for part in map(entity_name, names))


def _put(item: str, path: str, body: Mapping[str, Any], *, entity: str | None = None) -> ApiRequest:
    return ApiRequest(item, "PUT", f"/api/v1/{path}", _said(body), entity=entity)


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value not in (None, [], ())}


def _vocabulary(assets: Sequence[ExportedAsset]) -> Iterator[ApiRequest]:
    tags = sorted({tag for a in assets for tag in (*a.tags, *(t for c in a.columns for t in c.tags))})
    terms = sorted({term for a in assets for term in (*a.terms, *(t for c in a.columns for t in c.terms))})
    about = {"name": _VOCABULARY, "displayName": "DataML", "description": "What the DataML catalog says."}
    if tags:
        yield _put("classification dataml", "classifications", about)
    for tag in tags:
        body = {"classification": _VOCABULARY, "name": entity_name(tag), "displayName": tag}
        yield _put(f"tag {tag}", "tags", body | {"description": tag})
    if terms:
        yield _put("glossary dataml", "glossaries", about)
    for term in terms:
        body = {"glossary": _VOCABULARY, "name": entity_name(term), "displayName": term}
        yield _put(f"term {term}", "glossaryTerms", body | {"description": term})
    for domain in sorted({asset.domain for asset in assets if asset.domain}):
        body = {"domainType": "Aggregate", "name": entity_name(domain), "displayName": domain}
        yield _put(f"domain {domain}", "domains", body | {"description": domain})


def _service(asset: ExportedAsset, settings: ExportSettings) -> str:
    """Return the service an asset belongs to: one for each server that holds some of them."""
    if asset.kind == "model":
        return f"{settings.service}_models"
    uri = urlsplit(asset.namespace)
    if asset.namespace in ("", "dataml"):
        return settings.service
    return f"{settings.service}_{slug(f'{uri.scheme}-{uri.netloc}' if uri.netloc else asset.namespace)}"


def _place(asset: ExportedAsset, settings: ExportSettings) -> tuple[str, str, str, str]:
    place = place_of(
        name=asset.name,
        lineage_name=asset.lineage_name,
        relation=asset.relation,
        database=asset.database,
        schema=settings.database_schema,
    )
    return _service(asset, settings), *place


def _fqn_of(asset: ExportedAsset, settings: ExportSettings) -> str:
    if asset.kind == "model":
        return fqn(_service(asset, settings), asset.name)
    return fqn(*_place(asset, settings))


def _containers(assets: Sequence[ExportedAsset], settings: ExportSettings) -> Iterator[ApiRequest]:
    """Services, databases and schemas, each once."""
    seen: set[tuple[str, ...]] = set()
    for asset in assets:
        service = _service(asset, settings)
        if asset.kind == "model":
            if (service,) not in seen:
                seen.add((service,))
                body = {"name": service, "serviceType": "Mlflow"}
                yield _put(f"service {service}", "services/mlmodelServices", body)
            continue
        _, database, schema, _ = _place(asset, settings)
        for names in ((service,), (service, database), (service, database, schema)):
            if names in seen:
                continue
            seen.add(names)
            yield _container(names, platform_of(asset.namespace).openmetadata)


def _container(names: tuple[str, ...], service_type: str) -> ApiRequest:
    body: dict[str, Any] = {"name": entity_name(names[-1]), "displayName": names[-1]}
    what = ("service", "database", "schema")[len(names) - 1]
    item = f"{what} {'.'.join(names)}"
    if what == "service":
        return _put(item, "services/databaseServices", body | {"serviceType": service_type})
    if what == "database":
        return _put(item, "databases", body | {"service": fqn(names[0])})
    return _put(item, "databaseSchemas", body | {"database": fqn(*names[:2])})


def _table(asset: ExportedAsset, settings: ExportSettings) -> ApiRequest:
    service, database, schema, table = _place(asset, settings)
    body = {
        "name": entity_name(table),
        "displayName": asset.name,
        "description": _markdown(asset),
        "tableType": "View" if asset.subtype == "view" else "Regular",
        "columns": [_column(column, number) for number, column in enumerate(asset.columns, 1)],
        "databaseSchema": fqn(service, database, schema),
        "tags": _labels(asset.tags, asset.terms),
        "domains": [fqn(asset.domain)] if asset.domain else None,
    }
    # A table may have no columns, but it must say so.
    told = _said(body) | {"columns": body["columns"]}
    return ApiRequest(
        f"table {asset.name}", "PUT", "/api/v1/tables", told, entity=f"table:{_fqn_of(asset, settings)}"
    )


def _markdown(asset: ExportedAsset) -> str:
    """Return all that is said of it; owners are people of the server's own, so theirs are told in words."""
    facts = {"Owner": asset.owner, "Importance": asset.importance, "Group": asset.group}
    if asset.version:
        facts |= {"Version": str(asset.version.number), "Fingerprint": asset.version.fingerprint}
        facts |= {"Rows": None if asset.version.rows is None else str(asset.version.rows)}
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    return "\n\n".join(
        [asset.about, *([asset.documentation] if asset.documentation else []), "\n".join(lines)]
    )


def _column(column: ExportedColumn, number: int) -> dict[str, Any]:
    words = words_of(column.type)
    return _said(
        {
            "name": entity_name(column.name),
            "displayName": column.name,
            "dataType": words.openmetadata,
            "dataTypeDisplay": column.type or "unknown",
            "arrayDataType": words.element.openmetadata if words.element else None,
            **_sizes(words),
            "description": column.description,
            "tags": _labels(column.tags, column.terms),
            "constraint": "NOT_NULL" if column.nullable is False else None,
            "ordinalPosition": number,
        }
    )


def _sizes(words: TypeWords) -> dict[str, int]:
    if words.openmetadata in _SIZED:
        return {"dataLength": words.sizes[0] if words.sizes else _SIZED[words.openmetadata]}
    if words.openmetadata == "NUMERIC" and words.sizes:
        return {"precision": words.sizes[0], "scale": words.sizes[1] if len(words.sizes) > 1 else 0}
    return {}


def _labels(tags: Sequence[str], terms: Sequence[str]) -> list[dict[str, str]]:
    common = {"labelType": "Manual", "state": "Confirmed"}
    return [
        *({"tagFQN": fqn(_VOCABULARY, tag), "source": "Classification"} | common for tag in tags),
        *({"tagFQN": fqn(_VOCABULARY, term), "source": "Glossary"} | common for term in terms),
    ]


def _model(asset: ExportedAsset, settings: ExportSettings) -> ApiRequest:
    model = asset.model
    body: dict[str, Any] = {
        "name": entity_name(asset.name),
        "displayName": asset.name,
        "description": _markdown(asset),
        "algorithm": (model.framework if model else None) or "unknown",
        "service": fqn(_service(asset, settings)),
        "tags": _labels(asset.tags, asset.terms),
        "domains": [fqn(asset.domain)] if asset.domain else None,
    }
    if model:
        body |= {
            "mlFeatures": [{"name": entity_name(name)} for name in model.features],
            "mlHyperParameters": [
                {"name": name, "value": value} for name, value in model.hyperparameters.items()
            ],
            "target": entity_name(model.target) if model.target else None,
        }
        if model.source:
            body["mlStore"] = {"storage": model.source}
    return _put(
        f"model {asset.name}",
        "mlmodels",
        body,
        entity=f"mlmodel:{fqn(_service(asset, settings), asset.name)}",
    )


def _edges(assets: Sequence[ExportedAsset], names: Mapping[str, str]) -> Iterator[ApiRequest]:
    """Lineage among what is exported; the server's ids of both ends are filled in when it is sent."""
    kinds = {asset.name: "mlmodel" if asset.kind == "model" else "table" for asset in assets}
    for asset in assets:
        for one in asset.upstream:
            if one.name not in names or one.name == asset.name:
                continue
            source, target = names[one.name], names[asset.name]
            details: dict[str, Any] = {"source": "OpenLineage"}
            flows: dict[str, list[str]] = {}
            for column, origin, how in one.columns:
                if column and how == "direct":
                    flows.setdefault(column, []).append(f"{source}.{fqn(origin)}")
            if flows and kinds[asset.name] == kinds[one.name] == "table":
                details["columnsLineage"] = [
                    {"fromColumns": list(dict.fromkeys(found)), "toColumn": f"{target}.{fqn(column)}"}
                    for column, found in flows.items()
                ]
            edge = {
                "fromEntity": _reference(kinds[one.name], source),
                "toEntity": _reference(kinds[asset.name], target),
                "lineageDetails": details,
            }
            yield ApiRequest(f"lineage {one.name} -> {asset.name}", "PUT", "/api/v1/lineage", {"edge": edge})


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"id": {ID_OF: f"{kind}:{name}"}, "type": kind}

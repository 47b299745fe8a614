"""The catalog for Unity Catalog: catalogs, schemas, tables, registered models and their versions.

Its API creates and does not replace: what is there is looked for first, and where it can be changed it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_dataml.core.exports import ApiRequest, ExportDocument, Rendered
from airflow_dataml.core.exports_places import place_of
from airflow_dataml.core.exports_text import json_text, slug
from airflow_dataml.core.exports_types import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.exports import ExportedAsset, ExportedColumn, ExportSettings

PATH = "unity.json"
_API = "/api/2.1/unity-catalog"
_ODD = re.compile(r"[\x00-\x20./\x7f]")
_LONGEST, _KEPT = 255, 200
_DIGITS, _SCALE = 38, 18


def render(assets: Sequence[ExportedAsset], settings: ExportSettings) -> Rendered:
    """Return the requests in the order that lets each find what it is in."""
    requests: list[ApiRequest] = [_catalog(settings)]
    schemas: dict[str, ApiRequest] = {}
    for asset in assets:
        schema = _place(asset, settings)[0]
        schemas.setdefault(schema, _schema(schema, settings))
    requests += schemas.values()
    for asset in assets:
        if asset.kind == "model":
            requests += _model(asset, settings)
        else:
            requests.append(_table(asset, settings))
    document = ExportDocument(PATH, json_text([request.to_dict() for request in requests]))
    return Rendered((document,), tuple(requests))


def object_name(name: str) -> str:
    """Return a name Unity Catalog takes: without dots, slashes and spaces; different names stay different.

    >>> object_name("rides"), object_name("a.b")
    ('rides', 'a_b-2e7336dc')
    """
    if not _ODD.search(name) and len(name) <= _LONGEST:
        return name
    return f"{_ODD.sub('_', name)[:_KEPT]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _catalog(settings: ExportSettings) -> ApiRequest:
    name = object_name(settings.catalog)
    path = f"{_API}/catalogs"
    body = {"name": name, "comment": settings.description}
    update = ("PATCH", f"{path}/{quote(name, safe='')}", {"comment": settings.description})
    return ApiRequest(f"catalog {name}", "POST", path, body, find=update[1], update=update)


def _schema(schema: str, settings: ExportSettings) -> ApiRequest:
    catalog = object_name(settings.catalog)
    path = f"{_API}/schemas"
    full = quote(f"{catalog}.{schema}", safe="")
    return ApiRequest(
        f"schema {catalog}.{schema}",
        "POST",
        path,
        {"name": schema, "catalog_name": catalog},
        find=f"{path}/{full}",
    )


def _place(asset: ExportedAsset, settings: ExportSettings) -> tuple[str, str]:
    """Return schema and name; there is one level less than databases have, so the database joins the schema."""
    if asset.kind == "model":
        return object_name(settings.database_schema), object_name(asset.name)
    database, schema, table = place_of(
        name=asset.name,
        lineage_name=asset.lineage_name,
        relation=asset.relation,
        database=asset.database,
        schema=settings.database_schema,
    )
    joined = schema if database == schema else f"{database}_{schema}"
    return object_name(joined), object_name(table)


def _table(asset: ExportedAsset, settings: ExportSettings) -> ApiRequest:
    schema, table = _place(asset, settings)
    catalog = object_name(settings.catalog)
    columns = [_column(column, number) for number, column in enumerate(asset.columns)]
    root = settings.storage_root.rstrip("/")
    delta = asset.store == "delta" or asset.subtype == "delta"
    body: dict[str, Any] = {
        "name": table,
        "catalog_name": catalog,
        "schema_name": schema,
        "table_type": "EXTERNAL",
        "data_source_format": "DELTA" if delta else "CSV",
        "columns": columns,
        "storage_location": _location(asset) or f"{root}/{schema}/{slug(table)}",
        "comment": asset.about,
        "properties": _properties(asset),
    }
    path = f"{_API}/tables"
    # A table cannot be changed there, and dropping it would drop what people were granted on it.
    return ApiRequest(
        f"table {asset.name}",
        "POST",
        path,
        body,
        find=f"{path}/{quote(f'{catalog}.{schema}.{table}', safe='')}",
    )


def _location(asset: ExportedAsset) -> str | None:
    if asset.namespace == "file":
        return f"file://{quote(asset.lineage_name)}"
    return (
        f"{asset.namespace}/{quote(asset.lineage_name.lstrip('/'))}"
        if asset.namespace.startswith(("s3://", "gs://", "abfss://"))
        else None
    )


def _properties(asset: ExportedAsset) -> dict[str, str]:
    version = asset.version
    found: dict[str, Any] = {
        "dataml.name": asset.name,
        "dataml.kind": asset.kind,
        "dataml.uri": asset.uri,
        "owner": asset.owner,
        "importance": asset.importance,
        "domain": asset.domain,
        "tags": ", ".join(asset.tags),
        "terms": ", ".join(asset.terms),
        "lineage": f"{asset.namespace} {asset.lineage_name}",
        "upstream": ", ".join(one.name for one in asset.upstream),
    }
    if version:
        found |= {"version": version.number, "rows": version.rows, "fingerprint": version.fingerprint}
    return {key: str(value) for key, value in found.items() if value not in (None, "")}


def _column(column: ExportedColumn, number: int) -> dict[str, Any]:
    words = words_of(column.type)
    text: str = words.spark
    kind: Any = words.spark
    if words.unity == "DECIMAL":
        digits, scale = (*words.sizes, 0)[:2] if words.sizes else (_DIGITS, _SCALE)
        text = kind = f"decimal({digits},{scale})"
    elif words.element:
        element = f"decimal({_DIGITS},{_SCALE})" if words.element.unity == "DECIMAL" else words.element.spark
        text, kind = f"array<{element}>", {"type": "array", "elementType": element, "containsNull": True}
    nullable = column.nullable is not False
    described = {"comment": column.description} if column.description else {}
    field = {"name": column.name, "type": kind, "nullable": nullable, "metadata": described}
    found: dict[str, Any] = {
        "name": column.name,
        "type_text": text,
        "type_json": json.dumps(field, ensure_ascii=False),
        "type_name": words.unity,
        "position": number,
        "nullable": nullable,
    }
    if words.unity == "DECIMAL":
        found |= {"type_precision": digits, "type_scale": scale}
    return found | described


def _model(asset: ExportedAsset, settings: ExportSettings) -> Iterator[ApiRequest]:
    schema, name = _place(asset, settings)
    catalog = object_name(settings.catalog)
    path = f"{_API}/models"
    full = quote(f"{catalog}.{schema}.{name}", safe="")
    body = {"name": name, "catalog_name": catalog, "schema_name": schema, "comment": asset.about}
    update = ("PATCH", f"{path}/{full}", {"comment": asset.about})
    yield ApiRequest(f"model {asset.name}", "POST", path, body, find=f"{path}/{full}", update=update)
    if asset.version is None:
        return
    number, model = asset.version.number, asset.model
    version: dict[str, Any] = {
        "model_name": name,
        "catalog_name": catalog,
        "schema_name": schema,
        # The server numbers versions by itself; this is how ours is known among them.
        "source": f"dataml://model/{quote(asset.name, safe='')}@{number}",
        "comment": f"{asset.name}@{number}"
        + (f", trained on {model.trained_on}" if model and model.trained_on else ""),
    }
    if model and model.run_id:
        version["run_id"] = model.run_id
    yield ApiRequest(
        f"version {number} of model {asset.name}",
        "POST",
        f"{path}/versions",
        version,
        find=f"{path}/{full}/versions",
        within=("model_versions", "source"),
        then=(
            "PATCH",
            f"{path}/{full}/versions/{{version}}/finalize",
            {"full_name": f"{catalog}.{schema}.{name}", "version": "{version}"},
        ),
    )

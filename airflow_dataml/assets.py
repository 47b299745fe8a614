"""Airflow assets of datasets and models, by their logical names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import ASSET_KINDS, AssetNaming, Relation, check_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import SplitResult

NAMING = AssetNaming()


def dataset(
    name: str,
    *,
    table: str | None = None,
    owner: str | None = None,
    description: str | None = None,
    importance: str | None = None,
    tags: Sequence[str] = (),
    kind: str = "dataset",
    layout: Layout | Mapping[str, Any] | None = None,
    uri: str | None = None,
    storage_conn_id: str | None = None,
) -> Asset:
    """Return the asset of a managed dataset.

    :param name: logical name, the same in every environment.
    :param table: the view readers query, ``schema.table``; ``public.<name>`` unless given.
    :param layout: keys, indexes, defaults, comments and grants that every part and the view shall have;
        see ``core.layout.Layout``.
    :param uri: keep the rows in a Delta table at this path or object-store uri instead (extra ``delta``).
    :param storage_conn_id: connection whose extra holds the object store's options, such as credentials.
    :param owner: who answers for it; shown in the catalog, as are description, importance and tags.
    :param kind: ``dataset``, or ``prediction`` for one that a model writes.
    """
    if kind not in ("dataset", "prediction"):
        msg = f"dataset({name!r}, kind={kind!r}): write 'dataset' or 'prediction'."
        raise SpecError(msg)
    facts = _facts(owner=owner, description=description, importance=importance, tags=tags)
    if uri is not None and table is not None:
        msg = f"dataset({name!r}): give a table of PostgreSQL or the uri of a Delta table, not both."
        raise SpecError(msg)
    if uri is None:
        facts["table"] = str(Relation.parse(table or f"public.{check_name(name)}"))
    else:
        facts |= {"uri": uri, "store": "delta"}
        facts |= {"storage_conn_id": storage_conn_id} if storage_conn_id else {}
    if layout is not None:
        facts["layout"] = (layout if isinstance(layout, Layout) else Layout(**layout)).to_dict()
    facts["kind"] = kind
    return Asset(
        name=name,
        uri=NAMING.uri("dataset" if kind == "dataset" else "prediction", name),
        group=kind,
        extra={"dataml": facts},
    )


def external(
    name: str,
    *,
    table: str,
    keys: Sequence[str] = (),
    owner: str | None = None,
    description: str | None = None,
    importance: str | None = None,
    tags: Sequence[str] = (),
) -> Asset:
    """Return the asset of a table that somebody else writes; an event means that it was found changed.

    :param name: logical name, the same in every environment.
    :param table: the table as its owner calls it, ``schema.table``.
    :param keys: columns that name a row, by which versions with copied rows are compared.
    :param owner: who answers for it; shown in the catalog, as are description, importance and tags.
    """
    facts = _facts(owner=owner, description=description, importance=importance, tags=tags)
    facts |= {"table": str(Relation.parse(table)), "kind": "external"}
    if keys:
        facts |= Layout(keys=tuple(keys)).to_location()
    return Asset(name=name, uri=NAMING.uri("external", name), group="external", extra={"dataml": facts})


def model(
    name: str,
    *,
    owner: str | None = None,
    description: str | None = None,
    importance: str | None = None,
    tags: Sequence[str] = (),
) -> Asset:
    """Return the asset of a model; an event means that its champion changed."""
    facts = _facts(owner=owner, description=description, importance=importance, tags=tags)
    return Asset(
        name=name, uri=NAMING.uri("model", name), group="model", extra={"dataml": facts | {"kind": "model"}}
    )


def retrain(name: str) -> Asset:
    """Return the asset whose event asks for a new version of a model; schedule training on it."""
    return Asset(
        name=f"{name}_retrain", uri=NAMING.retrain_uri(name), group="model", extra={"dataml": {"model": name}}
    )


def facts_of(asset: Asset) -> dict[str, Any]:
    """Return our facts of an asset; empty for one made elsewhere."""
    facts: Any = (asset.extra or {}).get("dataml")
    return dict(facts or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Refuse a ``dataml://`` uri that names no asset of ours; Airflow calls this for every ``Asset``."""
    parts = [p for p in uri.path.split("/") if p]
    retrain_of_model = uri.netloc == "model" and len(parts) == 2 and parts[1] == "retrain"
    if uri.netloc not in ASSET_KINDS or not parts or (len(parts) > 1 and not retrain_of_model):
        msg = f"{uri.geturl()!r} is not a dataml uri: write dataml://dataset/<name> or dataml://model/<name>."
        raise ValueError(msg)
    check_name(parts[0])
    return uri


def create_asset(*, kind: str, name: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return an asset from its parts; the hook lineage collector calls this."""
    if kind not in ASSET_KINDS:
        msg = f"asset kind {kind!r} is unknown: write one of {', '.join(ASSET_KINDS)}."
        raise SpecError(msg)
    return Asset(name=name, uri=f"dataml://{kind}/{check_name(name)}", group=kind, extra=extra or {})


def to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return the OpenLineage dataset of an asset of ours; called by Airflow's OpenLineage provider."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(namespace="dataml", name=asset.uri.removeprefix("dataml://"))


def _facts(
    *, owner: str | None, description: str | None, importance: str | None, tags: Sequence[str]
) -> dict[str, Any]:
    said = {"owner": owner, "description": description, "importance": importance, "tags": list(tags)}
    return {key: value for key, value in said.items() if value}

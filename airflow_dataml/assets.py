"""Airflow assets of datasets and models, by their logical names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from airflow.sdk import Asset

from airflow_dataml.core.catalog import AssetEntry, ColumnDoc
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import ASSET_KINDS, Relation, check_name
from airflow_dataml.naming import NAMING, Names, ledger_database, registry_namespace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from urllib.parse import SplitResult

# Of what an asset's extra holds: what the catalog shows as it is, and where it is kept.
_WORDS = ("owner", "description", "documentation", "importance", "domain", "freshness_s")
_PLACE = ("table", "uri", "store", "storage_conn_id", "layout")


class Said(TypedDict, total=False):
    """What the catalog shows of an asset; all of it is optional, and what is not said may be said elsewhere.

    ``owner`` answers for it; ``description`` is one line and ``documentation`` Markdown; ``importance`` is
    ``critical``, ``high``, ``moderate`` or ``low``; ``terms`` are those of a glossary; ``freshness`` is the
    promise how much time passes at most between two writes; ``columns`` says what columns mean, each as a
    line or as ``{"description": ..., "tags": [...], "terms": [...]}``.
    """

    owner: str | None
    description: str | None
    documentation: str | None
    importance: str | None
    tags: Sequence[str]
    terms: Sequence[str]
    domain: str | None
    freshness: timedelta | None
    columns: Mapping[str, str | Mapping[str, Any] | ColumnDoc]


def dataset(
    name: str,
    *,
    table: str | None = None,
    kind: str = "dataset",
    layout: Layout | Mapping[str, Any] | None = None,
    uri: str | None = None,
    storage_conn_id: str | None = None,
    **said: Unpack[Said],
) -> Asset:
    """Return the asset of a managed dataset.

    :param name: logical name, the same in every environment.
    :param table: the view readers query, ``schema.table``; ``public.<name>`` unless given.
    :param layout: keys, indexes, defaults, comments and grants that every part and the view shall have;
        see ``core.layout.Layout``.
    :param uri: keep the rows in a Delta table at this path or object-store uri instead (extra ``delta``).
    :param storage_conn_id: connection whose extra holds the object store's options, such as credentials.
    :param said: what the catalog shows of it; see ``Said``.
    :param kind: ``dataset``, or ``prediction`` for one that a model writes.
    """
    if kind not in ("dataset", "prediction"):
        msg = f"dataset({name!r}, kind={kind!r}): write 'dataset' or 'prediction'."
        raise SpecError(msg)
    facts = _facts(name, said)
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
    **said: Unpack[Said],
) -> Asset:
    """Return the asset of a table that somebody else writes; an event means that it was found changed.

    :param name: logical name, the same in every environment.
    :param table: the table as its owner calls it, ``schema.table``.
    :param keys: columns that name a row, by which versions with copied rows are compared.
    :param said: what the catalog shows of it; see ``Said``.
    """
    facts = _facts(name, said)
    facts |= {"table": str(Relation.parse(table)), "kind": "external"}
    if keys:
        facts |= Layout(keys=tuple(keys)).to_location()
    return Asset(name=name, uri=NAMING.uri("external", name), group="external", extra={"dataml": facts})


def model(name: str, **said: Unpack[Said]) -> Asset:
    """Return the asset of a model; an event means that its champion changed.

    :param said: what the catalog shows of it; see ``Said``.
    """
    facts = _facts(name, said)
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
    """Return the OpenLineage dataset of an asset of ours; called by Airflow's OpenLineage provider.

    It is the one our operators tell of: the table, Delta table or registered model itself, with the logical
    name as its symlink. The logical name alone stands where the asset does not say where it is kept, or
    no connection says where the ledger is.

    :param lineage_context: the hook that reported the asset, and nothing for inlets and outlets; not needed.
    """
    from airflow_dataml.facets import asset_dataset, declared_fact

    del lineage_context
    kind, _, rest = asset.uri.removeprefix("dataml://").partition("/")
    name = rest.partition("/")[0]
    facts = facts_of(asset)
    names = Names(
        database=ledger_database() if facts.get("table") else None,
        registry=registry_namespace() if kind == "model" else None,
    )
    return asset_dataset(declared_fact(kind, name, facts, names))


def entry_of(asset: Asset) -> AssetEntry:
    """Return what the catalog shall hold of an asset of ours.

    :raises SpecError: it was made elsewhere.
    """
    facts = facts_of(asset)
    if "kind" not in facts:
        msg = f"asset {asset.name!r} was not made by airflow_dataml: declare it with dataset(...) or model(...)."
        raise SpecError(msg)
    return AssetEntry(
        name=asset.name,
        kind=facts["kind"],
        uri=asset.uri,
        tags=tuple(facts.get("tags", ())),
        terms=tuple(facts.get("terms", ())),
        location={key: facts[key] for key in _PLACE if key in facts},
        column_docs=tuple(_doc(one["name"], one) for one in facts.get("columns", ())),
        **{key: facts[key] for key in _WORDS if key in facts},
    )


def _facts(name: str, said: Said) -> dict[str, Any]:
    if unknown := set(said) - set(Said.__annotations__):
        msg = f"{sorted(unknown)[0]!r} is nothing that can be said of {name!r}: write some of {', '.join(Said.__annotations__)}."
        raise TypeError(msg)
    facts: dict[str, Any] = {key: value for key, value in said.items() if value and key in _WORDS}
    facts |= {key: list(said[key]) for key in ("tags", "terms") if said.get(key)}
    if (freshness := said.get("freshness")) is not None:
        if freshness.total_seconds() < 1:
            msg = f"freshness={freshness!r} of {name!r} is no promise: write a time above a second."
            raise SpecError(msg)
        facts["freshness_s"] = int(freshness.total_seconds())
    if columns := said.get("columns"):
        facts["columns"] = [_doc(column, doc).to_dict() for column, doc in columns.items()]
    return facts


def _doc(column: str, doc: str | Mapping[str, Any] | ColumnDoc) -> ColumnDoc:
    if isinstance(doc, ColumnDoc):
        return doc
    if isinstance(doc, str):
        return ColumnDoc(column, doc)
    if unknown := set(doc) - {"name", "description", "tags", "terms"}:
        msg = f"{sorted(unknown)[0]!r} is nothing that can be said of column {column!r}: write description, tags or terms."
        raise SpecError(msg)
    return ColumnDoc(column, doc.get("description"), tuple(doc.get("tags", ())), tuple(doc.get("terms", ())))

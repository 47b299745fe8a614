"""The story of a prediction or a model: what it was made from, who checked it, and who let it through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.lineage import Graph
    from airflow_dataml.core.ports import Ledger, Warehouse

    Decisions = Callable[[str], list[dict[str, Any]]]

_SPEC = ("target", "features", "module", "seed", "epochs")


def explain(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    decisions: Decisions,
    ref: str,
    keys: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the story of one prediction, of a batch of predictions, or of a version of a model.

    :param decisions: returns what the audit chain has about a version, oldest first.
    :param ref: a model or a dataset of predictions, with the version wanted or else the current one.
    :param keys: columns and values that name one row of the predictions; costs a scan of that version.
    :raises NotFoundError: no such row, or nothing of that name.
    :raises SpecError: it is neither a model nor predictions.
    """
    version = ledger.versions.find(ref)
    if version.kind == "model":
        return {"model": _model(ledger, version)} | _evidence(ledger, decisions, version)
    if version.kind != "prediction":
        msg = f"{version.ref} is a {version.kind}: name a model, or predictions with the keys of a row."
        raise SpecError(msg)
    if not keys:
        return _batch(ledger, version)
    row = _row(ledger, warehouse, version, keys)
    made = _made(ledger, version, row)
    features = ledger.versions.by_id(made.facts["features"])
    model = ledger.versions.by_id(made.facts["models"][row["model_role"]])
    return {
        "prediction": row | {"version": made.ref},
        "features": _dataset(features) | {"values": _values(ledger, warehouse, features, model, keys)},
        "feature_checks": _reports(ledger, features),
        "model": _model(ledger, model),
    } | _evidence(ledger, decisions, model)


def _batch(ledger: Ledger, version: Version) -> dict[str, Any]:
    features = ledger.versions.by_id(version.facts["features"])
    models = [
        {"role": role, **_model(ledger, ledger.versions.by_id(one))}
        for role, one in version.facts["models"].items()
    ]
    told = {"predictions": _dataset(version), "features": _dataset(features)}
    return told | {"feature_checks": _reports(ledger, features), "models": models}


def _row(ledger: Ledger, warehouse: Warehouse, version: Version, keys: Mapping[str, Any]) -> dict[str, Any]:
    rows = _select(ledger, warehouse, version, keys)
    if not rows:
        told = ", ".join(f"{name}={value!r}" for name, value in keys.items())
        msg = f"{version.ref} has no prediction with {told}."
        raise NotFoundError(msg)
    champion = [row for row in rows if row.get("model_role") == "champion"]
    return (champion or rows)[0]


def _select(
    ledger: Ledger, warehouse: Warehouse, version: Version, keys: Mapping[str, Any]
) -> list[dict[str, Any]]:
    parts = ledger.versions.manifest(version.version_id, profiles=False)
    columns = ledger.versions.columns(version.version_id)
    known = [column.name for column in columns]
    for name in keys:
        if name not in known:
            what = f"column of {version.ref}"
            raise NotFoundError.from_available(what, name, known)
    if not parts:
        return []
    where = " AND ".join(f"{quote_identifier(name)}::text = %s" for name in keys)
    union = warehouse.union(parts, columns)
    return warehouse.query(
        f"SELECT * FROM ({union}) t WHERE {where} LIMIT 10", [str(value) for value in keys.values()]
    )


def _made(ledger: Ledger, version: Version, row: Mapping[str, Any]) -> Version:
    """Return the version that brought a row: rows of older batches stay in newer versions."""
    made, before = version, version.number + 1
    while True:
        page = ledger.versions.list(version.asset, before=before)
        if not page:
            return made
        for one in page:
            if _brought(ledger, one, row):
                return one
        before = page[-1].number


def _brought(ledger: Ledger, version: Version, row: Mapping[str, Any]) -> bool:
    models, features = version.facts.get("models", {}), version.facts.get("features")
    model = models.get(row["model_role"])
    return (
        model is not None
        and features is not None
        and ledger.versions.by_id(model).number == row["model_version"]
        and ledger.versions.by_id(features).number == row["features_version"]
    )


def _values(
    ledger: Ledger, warehouse: Warehouse, features: Version, model: Version, keys: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the model looked at; empty where the features do not have the keys or are gone."""
    columns = {column.name for column in ledger.versions.columns(features.version_id)}
    wanted = [one["name"] for one in model.facts.get("spec", {}).get("features", ())]
    if not set(keys) <= columns:
        return {}
    rows = _select(ledger, warehouse, features, keys)
    return {name: rows[0][name] for name in wanted if name in rows[0]} if rows else {}


def _dataset(version: Version) -> dict[str, Any]:
    return {
        "version": version.ref, "rows": version.rows, "fingerprint": version.fingerprint,
        "partition_key": version.partition_key, "created_at": version.created_at.isoformat(),
        "by": version.fact_key,
    }  # fmt: skip


def _model(ledger: Ledger, model: Version) -> dict[str, Any]:
    spec = model.facts.get("spec", {})
    graph: Graph = ledger.lineage.walk(str(version_node(model.version_id)), direction="upstream", depth=1)
    labels = {node.node: node.label for node in graph.nodes}
    trained = [labels[src] for src, _, kind in graph.edges if kind == "trained_on" and src in labels]
    told = {name: spec[name] for name in _SPEC if name in spec}
    return {
        "version": model.ref, "aliases": list(model.aliases), "created_at": model.created_at.isoformat(),
        "trained_on": trained, "trained_by": model.fact_key, "metrics": model.facts.get("metrics"),
        "registry": model.facts.get("registry"), **told,
    }  # fmt: skip


def _evidence(ledger: Ledger, decisions: Decisions, model: Version) -> dict[str, Any]:
    """Return what was checked of a model, and every decision about it with who took it."""
    return {"reports": _reports(ledger, model), "approvals": decisions(model.ref)}


def _reports(ledger: Ledger, version: Version) -> list[dict[str, Any]]:
    found = ledger.reports.list(asset=version.asset, version_id=version.version_id, limit=50)
    return [
        {"report": one.report_id, "kind": one.kind, "verdict": one.verdict,
         "summary": one.body.get("summary"), "at": str(one.created_at)}
        for one in found
    ]  # fmt: skip

"""Datasets and models: lists, versions and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Output
from airflow_dataml.cli.tables import fields, table
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import VersionRef

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Part, Version

DATASETS = ("dataset", "prediction", "external")
MODELS = ("model",)
_COLUMNS = ("name", "kind", "version", "rows", "verdict", "incidents", "written_at", "owner")
_VERSION_COLUMNS = ("number", "rows", "partition_key", "aliases", "verdicts", "created_at", "run")


def list_datasets(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List everything with rows: datasets, predictions and observed tables."""
    return _list(ledger, args, DATASETS)


def list_models(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List the models."""
    return _list(ledger, args, MODELS)


def dataset_versions(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List the versions of a dataset, newest first."""
    return _versions(ledger, args, DATASETS)


def model_versions(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List the versions of a model, newest first."""
    return _versions(ledger, args, MODELS)


def show_dataset(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Show a version of a dataset: its facts, columns, parts and reports."""
    return _show(ledger, args, DATASETS)


def show_model(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Show a version of a model: its facts and reports."""
    return _show(ledger, args, MODELS)


def _list(ledger: PostgresLedger, args: argparse.Namespace, kinds: tuple[str, ...]) -> Output:
    from airflow_dataml.adapters.postgres.reading import LedgerReading

    rows = LedgerReading(ledger.connection).catalog(kinds=kinds, after=args.after, limit=args.limit)
    text = table(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows), empty=f"No {kinds[0]} yet.")
    return Output(rows, text + _more(rows, args.limit, f"--after {rows[-1]['name']}" if rows else ""))


def _versions(ledger: PostgresLedger, args: argparse.Namespace, kinds: tuple[str, ...]) -> Output:
    from airflow_dataml.adapters.postgres.reading import LedgerReading

    _refuse_other_kind(ledger.assets.get(args.name), kinds)
    rows = LedgerReading(ledger.connection).versions(args.name, before=args.before, limit=args.limit)
    text = table(_VERSION_COLUMNS, map(_version_row, rows), empty=f"{args.name} has no version yet.")
    return Output(rows, text + _more(rows, args.limit, f"--before {rows[-1]['number']}" if rows else ""))


def _show(ledger: PostgresLedger, args: argparse.Namespace, kinds: tuple[str, ...]) -> Output:
    from airflow_dataml.adapters.postgres.reading import LedgerReading

    reading = LedgerReading(ledger.connection)
    # An observed asset keeps the name it has in Airflow, which need not read as a reference of ours.
    asset = reading.asset(args.ref) or ledger.assets.get(VersionRef.parse(args.ref).asset)
    _refuse_other_kind(asset, kinds)
    only_on_branches = asset.get("version", 0) is None
    if not asset["versions"] or only_on_branches:
        return Output({"asset": asset, "version": None}, fields(_asset_fields(asset)))
    version = ledger.versions.find(args.ref)
    parts = ledger.versions.manifest(version.version_id)
    data = {
        "asset": asset,
        "version": version.to_dict(),
        "columns": [{"name": c.name, "type": c.type} for c in ledger.versions.columns(version.version_id)],
        "parts": [_part(part) for part in parts],
        "reports": reading.reports(asset["name"], version_id=version.version_id),
    }
    drift = ledger.reports.latest(asset=asset["name"], kind="registry-drift") if kinds == MODELS else None
    if drift is not None and drift.verdict == "fail":
        data["outside"] = drift.body["differences"]
    return Output(data, _show_text(asset, version, data))


def _asset_fields(asset: dict[str, Any]) -> list[tuple[str, Any]]:
    names = ("name", "kind", "uri", "owner", "description", "tags", "source")
    return [*((name, asset[name]) for name in names), ("last seen (UTC)", asset["last_seen"])]


def _show_text(asset: dict[str, Any], version: Version, data: dict[str, Any]) -> str:
    about = [
        ("version", version.ref),
        ("aliases", list(version.aliases)),
        ("written (UTC)", version.created_at),
        ("rows", version.rows),
        ("fingerprint", version.fingerprint),
        ("partition", version.partition_key),
        *_facts(version.facts),
        ("changed in MLflow", [_outside(one) for one in data.get("outside", ())]),
    ]
    blocks = [fields(_asset_fields(asset)), fields(about)]
    if data["columns"]:
        blocks.append(table(("column", "type"), ([c["name"], c["type"]] for c in data["columns"])))
    if data["parts"]:
        names = ("relation", "rows", "partition_key")
        blocks.append(table(names, ([part[name] for name in names] for part in data["parts"])))
    if data["reports"]:
        names = ("kind", "verdict", "created_at")
        rows = ([str(item["report_id"]), *(item[name] for name in names)] for item in data["reports"])
        blocks.append(table(("report", *names), rows))
    return "\n\n".join(blocks)


def _facts(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """Facts in a line each: single values, and of a model what it came from and how good it is."""
    single = [(name, value) for name, value in facts.items() if not isinstance(value, dict | list)]
    metrics = (facts.get("training") or {}).get("metrics") or {}
    return [
        *single,
        ("trained on", (facts.get("plan") or {}).get("version")),
        ("registry version", (facts.get("registry") or {}).get("version")),
        *((f"metric {name}", value) for name, value in sorted(metrics.items())),
    ]


def _outside(one: dict[str, Any]) -> str:
    where = f" of version {one['version']}" if one["version"] is not None else ""
    what = one["what"].replace("_", " ")
    return f"{what} {one['name']}{where}: we left {one['ours'] or 'nothing'}, there is {one['found'] or 'nothing'}"


def _part(part: Part) -> dict[str, Any]:
    return {
        "part_id": part.part_id,
        "relation": part.locator,
        "rows": part.rows,
        "partition_key": part.partition_key,
        "fingerprint": part.fingerprint.text,
    }


def _version_row(row: dict[str, Any]) -> list[Any]:
    verdicts = ", ".join(f"{kind} {verdict}" for kind, verdict in sorted((row["verdicts"] or {}).items()))
    run = f"{row['dag_id']}/{row['task_id']}"
    return [
        row["number"],
        row["rows"],
        row["partition_key"],
        row["aliases"],
        verdicts,
        row["created_at"],
        run,
    ]


def _refuse_other_kind(asset: dict[str, Any], kinds: tuple[str, ...]) -> None:
    if asset["kind"] not in kinds:
        command = "model" if asset["kind"] == "model" else "dataset"
        msg = f"{asset['name']!r} is a {asset['kind']}: use `dataml {command} ...`."
        raise SpecError(msg)


def _more(rows: list[dict[str, Any]], limit: int, how: str) -> str:
    return f"\n\nThere may be more: {how}" if len(rows) == limit else ""

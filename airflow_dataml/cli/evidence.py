"""Why a version is what it is: its reports, and the incidents around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Output
from airflow_dataml.cli.tables import fields, show, table

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report

# Histograms and whole profiles: for programs, with --json.
_BULKY = ("profile", "columns", "score_cells", "cells", "card", "calibration", "loss_model")
_IDENTITY = ("id", "type", "level")
_SILENT: tuple[Any, ...] = (None, "", [], {})
_INCIDENT_COLUMNS = ("incident", "asset", "kind", "severity", "state", "opened_at", "title")


def report(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Print the reports of a version, newest first, with their bodies."""
    version = ledger.versions.find(args.ref)
    found = [
        item
        for item in ledger.reports.list(asset=version.asset, version_id=version.version_id, limit=args.limit)
        if args.kind in (None, item.kind)
    ]
    of_kind = f" of kind {args.kind!r}" if args.kind else ""
    text = "\n\n".join(map(_report_text, found)) or f"{version.ref} has no report{of_kind}."
    return Output([item.to_dict() for item in found], text)


def incidents(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List incidents, newest first."""
    from airflow_dataml.adapters.postgres.reading import LedgerReading

    if args.asset:
        ledger.assets.get(args.asset)
    rows = LedgerReading(ledger.connection).incidents(asset=args.asset, state=args.state, limit=args.limit)
    cells = ([str(row["incident_id"]), *(row[name] for name in _INCIDENT_COLUMNS[1:])] for row in rows)
    return Output(rows, table(_INCIDENT_COLUMNS, cells, empty="No incident."))


def _report_text(item: Report) -> str:
    head = f"Report {item.report_id}: {item.kind} of {item.asset} is {item.verdict.upper()} ({show(item.created_at)} UTC)"
    tables = {name: rows for name, rows in item.body.items() if _tabular(rows)}
    words = [(name, value) for name, value in item.body.items() if name not in tables and name not in _BULKY]
    blocks = [head, fields(words), *(f"{name}:\n{_rows(rows)}" for name, rows in tables.items())]
    return "\n".join(block for block in blocks if block)


def _tabular(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _rows(rows: list[dict[str, Any]]) -> str:
    told = dict.fromkeys(name for row in rows for name, value in row.items() if value not in _SILENT)
    names = [name for name in told if name not in _IDENTITY]
    return table(names, ([row.get(name) for name in names] for row in rows))

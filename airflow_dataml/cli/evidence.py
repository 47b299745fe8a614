"""Why a version is what it is: its lineage, its reports, and the incidents around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.spec import Output
from airflow_dataml.cli.tables import fields, show, table
from airflow_dataml.core.lineage import version_node

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.lineage import Direction, Graph, Node

# Histograms and whole profiles: for programs, with --json.
_BULKY = ("profile", "columns", "score_cells", "cells")
_IDENTITY = ("id", "type", "level")
_SILENT: tuple[Any, ...] = (None, "", [], {})
_INCIDENT_COLUMNS = ("incident", "asset", "kind", "severity", "state", "opened_at", "title")


def lineage(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Walk from a version to what it was made from, or to what was made from it."""
    start = str(version_node(ledger.versions.find(args.ref).version_id))
    directions: list[Direction] = ["upstream"] if args.upstream or not args.downstream else []
    directions += ["downstream"] if args.downstream else []
    graphs = [ledger.lineage.walk(start, direction=direction, depth=args.depth) for direction in directions]
    data = [graph.to_dict() for graph in graphs]
    return Output(data[0] if len(data) == 1 else data, "\n\n".join(map(_tree, graphs)))


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


def _tree(graph: Graph) -> str:
    """Return a graph as an indented tree; a node met again points back instead of repeating its branch."""
    labels = {node.node: node for node in graph.nodes}
    children: dict[str, list[tuple[str, str]]] = {}
    for source, target, kind in graph.edges:
        near, far = (target, source) if graph.direction == "upstream" else (source, target)
        children.setdefault(near, []).append((kind, far))
    lines = [f"{labels[graph.start].label} ({graph.direction})"]
    lines += _branches(graph.start, children, labels, seen={graph.start}, indent="")
    if len(lines) == 1:
        lines.append("`-- nothing")
    if graph.truncated:
        lines.append("... the graph goes on; raise --depth.")
    return "\n".join(lines)


def _branches(
    start: str,
    children: dict[str, list[tuple[str, str]]],
    labels: dict[str, Node],
    *,
    seen: set[str],
    indent: str,
) -> Iterator[str]:
    branches = [(kind, node) for kind, node in children.get(start, []) if node in labels]
    for position, (kind, node) in enumerate(branches):
        last = position == len(branches) - 1
        again = node in seen
        yield f"{indent}{'`-- ' if last else '|-- '}{kind}: {_label(labels[node])}{' (see above)' if again else ''}"
        if not again:
            seen.add(node)
            yield from _branches(
                node, children, labels, seen=seen, indent=indent + ("    " if last else "|   ")
            )


def _label(node: Node) -> str:
    told = [
        f"{name} {show(node.detail[name])}"
        for name in ("partition_key", "rows", "verdict", "incident_title")
        if node.detail.get(name) is not None
    ]
    return f"{node.label} [{', '.join(told)}]" if told else node.label


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

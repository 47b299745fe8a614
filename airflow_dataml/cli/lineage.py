"""Where data came from and went: walks over versions, assets and columns, and the story of one prediction."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.graph_names import NameGraph
from airflow_dataml.cli.spec import Argument, Command, Output, positive
from airflow_dataml.cli.tables import fields, show, table
from airflow_dataml.core.errors import AssetNotFoundError, SpecError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.steps.lineage_explain import explain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.lineage import Direction, Graph, Node

EXPLAIN = "explain"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?\+\d\d(:\d\d)?$")


def lineage(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Walk from a version, an asset or a column; or tell the story of a prediction or a model."""
    first, *rest = args.ref
    if first == EXPLAIN and rest:
        return _explained(ledger, rest)
    if rest:
        msg = f"one asset is walked from, received {' '.join(args.ref)!r}: write --to for what lies between two, or `lineage explain` for the story of one."
        raise SpecError(msg)
    directions: list[Direction] = ["upstream"] if args.upstream or not args.downstream else []
    directions += ["downstream"] if args.downstream else []
    graphs = list(_graphs(ledger, args, first, directions))
    data = [graph.to_dict() for graph in graphs]
    return Output(data[0] if len(data) == 1 else data, "\n\n".join(map(_tree, graphs)))


def _graphs(
    ledger: PostgresLedger, args: argparse.Namespace, ref: str, directions: list[Direction]
) -> Iterator[Graph]:
    names = NameGraph(ledger.connection)
    kept: dict[str, Any] = {"depth": args.depth, "at": _moment(args.at)}
    if args.to:
        if args.by_name:
            yield names.between(_bare(ref), _bare(args.to), **kept)
        else:
            yield ledger.lineage.between(_version(ledger, ref), _version(ledger, args.to), **kept)
        return
    for direction in directions:
        if args.column:
            yield names.columns(_bare(ref), args.column, direction=direction, **kept)
        elif args.by_name:
            yield names.walk(_bare(ref), direction=direction, **kept)
        else:
            yield ledger.lineage.walk(_version(ledger, ref), direction=direction, **kept)


def _version(ledger: PostgresLedger, ref: str) -> str:
    """Return the node of a version, also of an asset whose name only OpenLineage could have thought of."""
    try:
        return str(version_node(ledger.versions.find(ref).version_id))
    except (AssetNotFoundError, SpecError):
        found = NameGraph(ledger.connection).version(ref)
        if found is None:
            raise
        return str(version_node(found))


def _bare(ref: str) -> str:
    name, at, version = ref.rpartition("@")
    return name if at and version.isdigit() else ref


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as err:
        msg = f"--at {text!r} is no time: write it as in 2026-11-24 or 2026-11-24T09:30:00+00:00."
        raise SpecError(msg) from err
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _explained(ledger: PostgresLedger, rest: list[str]) -> Output:
    ref, *pairs = rest
    keys = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(keys) != len(pairs):
        msg = f"the row of a prediction is named by its keys, received {' '.join(pairs)!r}: write key=value for each."
        raise SpecError(msg)
    decisions = NameGraph(ledger.connection).decisions
    told = explain(ledger=ledger, warehouse=ledger.warehouse, decisions=decisions, ref=ref, keys=keys)
    return Output(told, "\n\n".join(_story(told)))


def _story(told: dict[str, Any]) -> Iterator[str]:
    for name, value in told.items():
        if isinstance(value, dict):
            yield f"{name}:\n{fields([(key, _told(one)) for key, one in value.items()])}"
        elif isinstance(value, list) and value:
            columns = list(dict.fromkeys(key for row in value for key in row))
            yield f"{name}:\n{table(columns, ([_told(row.get(key)) for key in columns] for row in value))}"
        elif isinstance(value, str):
            yield f"{name}: {value}"


def _told(value: Any) -> Any:
    """Return a value as people read it, a time too that is text in JSON."""
    if isinstance(value, str) and _TIME.match(value):
        return datetime.fromisoformat(value)
    return value


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


LINEAGE = Command(
    "lineage",
    "Walk from a version, an asset or a column; `lineage explain MODEL|PREDICTIONS [key=value ...]` tells its story",
    lineage,
    (
        Argument(
            ("ref",),
            {
                "metavar": "ASSET[@N]",
                "nargs": "+",
                "help": "A name, or its end where nothing else ends so, with the version or alias wanted; else the current one",
            },
        ),
        Argument(("--upstream",), {"action": "store_true", "help": "What it was made from (default)"}),
        Argument(("--downstream",), {"action": "store_true", "help": "What was made from it"}),
        Argument(("--to",), {"metavar": "ASSET[@N]", "help": "Only what is on a way down to this one"}),
        Argument(("--by-name",), {"action": "store_true", "help": "Assets and jobs instead of versions"}),
        Argument(("--column",), {"metavar": "COLUMN", "help": "Walk from this column of the asset"}),
        Argument(("--at",), {"metavar": "TIME", "help": "Only what was known then"}),
        Argument(("--depth",), {"type": positive, "default": 20, "metavar": "N", "help": "Steps at most"}),
    ),
)

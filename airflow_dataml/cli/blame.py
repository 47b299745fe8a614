"""``dataml blame``: which version change explains that a model drifted or decayed, or that none does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Output, positive
from airflow_dataml.cli.tables import table
from airflow_dataml.core.blame import LEAST_ROWS, MOST_ROWS
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def blame(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Explain an incident; every answer exits 0."""
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.adapters.onnx import OnnxScorer
    from airflow_dataml.core.blame import BlamePolicy
    from airflow_dataml.hooks.mlflow import MlflowHook
    from airflow_dataml.steps.blame import blame_incident
    from airflow_dataml.steps.evaluate import Bench

    if args.rows is not None and not LEAST_ROWS <= args.rows <= MOST_ROWS:
        msg = f"--rows {args.rows} is not usable: give {LEAST_ROWS} to {MOST_ROWS}."
        raise SpecError(msg)
    with tempfile.TemporaryDirectory(prefix="dataml-blame-") as folder:
        registry = MlflowHook(args.mlflow_conn_id or config.mlflow_conn_id()).registry()
        report = blame_incident(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=cli_identity("blame"),
            incident=args.incident,
            bench=Bench(registry=registry, scorers=OnnxScorer.load, work_dir=Path(folder)),
            policy=BlamePolicy(rows=args.rows) if args.rows else None,
            monitor=args.report,
        )
    data = {"report": report.report_id, "verdict": report.verdict} | report.body
    return Output(data, text_of(data))


def text_of(data: dict[str, Any]) -> str:
    """A blame report as text: the answer, the ranking, and how each suspect was replayed."""
    head = f"Incident {data['incident']}: {data['summary']}."
    compared = f"Batch {data['partition_key']} of {data['features']}, scored by {data['model']}, against {data['reference']}."
    blocks = [head, compared]
    if data["suspects"]:
        rows = [[at, *_row(one)] for at, one in enumerate(data["suspects"], 1)]
        blocks.append(table(("", "version", "change", "explains", "interval", "of", "evidence"), rows))
    told = [f"{one['version']}: {_replayed(one)}." for one in data["suspects"] if _replayed(one)]
    blocks += ["\n".join(told)] if told else []
    blocks += [f"Note: {data['note']}."] if data["note"] else []
    blocks.append(f"Kept as report {data['report']}.")
    return "\n\n".join(blocks)


def _row(one: dict[str, Any]) -> list[Any]:
    replay = one["replay"]
    signs = "; ".join(sign["text"] for sign in one["signs"][:2])
    name = one["version"] + (f" ({one['batch']})" if one["batch"] else "")
    if replay is None:
        return [name, one["change"], None, None, None, signs]
    sure = " confirmed" if one["confirmed"] else ""
    interval = f"{replay['low']:.0%} to {replay['high']:.0%}{sure}"
    return [name, one["change"], f"{replay['share']:.0%}", interval, replay["measure"], signs]


def _replayed(one: dict[str, Any]) -> str:
    if one["replay"]:
        return f"{one['replay']['how']}: {one['replay']['what']}"
    return f"not replayed, {one['why_not']}" if one["why_not"] else ""


BLAME = Command(
    "blame",
    "Rank the version changes that explain an incident of a model, and confirm the first by scoring without it",
    blame,
    (
        Argument(
            ("incident",), {"metavar": "INCIDENT", "type": positive, "help": "Its number, of incident list"}
        ),
        Argument(
            ("--report",),
            {
                "metavar": "ID",
                "type": positive,
                "help": "A later monitor report that joined it, to explain instead",
            },
        ),
        Argument(
            ("--rows",), {"metavar": "N", "type": positive, "help": "Rows that are scored again (5000)"}
        ),
        Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow"}),
    ),
)

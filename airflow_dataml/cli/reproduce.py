"""``dataml reproduce``: train a model version again, and say whether it comes out the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import table

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def reproduce(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Train a model version again; exit 1 when it comes out different or cannot be trained."""
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.adapters.lightning import LightningTrainer
    from airflow_dataml.adapters.onnx import OnnxScorer, read_weights
    from airflow_dataml.hooks.mlflow import MlflowHook
    from airflow_dataml.steps.reproduce import Rerun, reproduce_model

    # A command is not retried, so nothing of it has to outlast it.
    with tempfile.TemporaryDirectory(prefix="dataml-reproduce-") as folder:
        report = reproduce_model(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=cli_identity("reproduce"),
            model=args.ref,
            rerun=Rerun(
                trainer=LightningTrainer(),
                registry=MlflowHook(args.mlflow_conn_id or config.mlflow_conn_id()).registry(),
                scorers=OnnxScorer.load,
                weights=read_weights,
                work_dir=Path(folder),
            ),
        )
    data = {"report": report.report_id, "verdict": report.verdict} | report.body
    return Output(data, _text(data), OK if report.verdict == "pass" else FAILED)


def _text(data: dict[str, Any]) -> str:
    blocks = [f"{data['version']} {data['summary']}."]
    if data["environment_differences"]:
        blocks.append(_facts("Changed since it was trained", data["environment_differences"]))
    if data["weights"] and data["weights"]["different"]:
        rows = [
            [one["name"], one["values"], one["different"], one["max_abs"], one["why"]]
            for one in data["weights"]["different"]
        ]
        headers = ("tensor", "values", "different", "max difference", "why")
        blocks.append(f"Weights:\n{table(headers, rows)}")
    if data["metadata_differences"]:
        blocks.append(_facts("Preprocessing", data["metadata_differences"]))
    blocks += [f"Note: {note}." for note in data["notes"]]
    blocks.append(f"Kept as report {data['report']}.")
    return "\n\n".join(blocks)


def _facts(title: str, found: list[dict[str, Any]]) -> str:
    return f"{title}:\n{table(('what', 'then', 'now'), ([one['what'], one['then'], one['now']] for one in found))}"


REPRODUCE = Command(
    "reproduce",
    "Train a model version again from what it is pinned to; exit 1 unless it comes out bit-equal",
    reproduce,
    (
        Argument(("ref",), {"metavar": "MODEL@N", "help": "The version of the model; MODEL@ALIAS does too"}),
        Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow"}),
    ),
)

"""``dataml impact``: what a change of a dataset would do to the models in use; made for a pull request's checks."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.impact import (
    ImpactPolicy,
    proposed_by_contract,
    proposed_by_name,
    proposed_by_schema,
)
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.steps.impact import assess_impact, keep_impact

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.impact import ImpactFound, Proposed
    from airflow_dataml.steps.evaluate import Bench

_COLUMNS = ("model", "in use", "features", "loss", "growth", "interval", "verdict")


def impact(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Predict what models lose; exit 1 where one surely loses more than is borne, or nobody can say."""
    from airflow_dataml.adapters.postgres.graph_names import NameGraph

    proposed, harmless = _proposed(ledger, args)
    with _bench(args) as bench:
        found = assess_impact(
            ledger=ledger,
            warehouse=ledger.warehouse,
            dataset=args.dataset,
            proposed=proposed,
            harmless=harmless,
            graph=NameGraph(ledger.connection),
            policy=ImpactPolicy(tolerance=args.tolerance),
            bench=bench,
        )
    data = found.to_dict() | {"verdict": found.verdict, "report": None}
    if args.keep:
        data["report"] = keep_impact(ledger=ledger, identity=cli_identity("impact"), found=found).report_id
    text = found.markdown().rstrip() if args.markdown else _text(found)
    return Output(data, text, FAILED if found.verdict in ("fail", "unknown") else OK)


def _proposed(
    ledger: PostgresLedger, args: argparse.Namespace
) -> tuple[tuple[Proposed, ...], tuple[str, ...]]:
    if sum(map(bool, (args.drop, args.branch, args.contract))) != 1:
        msg = "one change is looked at: give --drop COLUMN, --branch NAME, or --contract OLD NEW."
        raise SpecError(msg)
    if args.drop:
        return proposed_by_name(args.drop), ()
    if args.contract:
        from airflow_dataml.core.contract import Contract
        from airflow_dataml.core.contract_diff import diff_contracts

        old, new = map(Contract.from_file, args.contract)
        return proposed_by_contract(diff_contracts(old, new))
    sides = [ledger.versions.find(args.dataset, branch=branch) for branch in (None, args.branch)]
    old_columns, new_columns = (ledger.versions.columns(version.version_id) for version in sides)
    return proposed_by_schema(diff_schemas(old_columns, new_columns))


@contextmanager
def _bench(args: argparse.Namespace) -> Iterator[Bench | None]:
    if args.no_scoring:
        yield None
        return
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.adapters.onnx import OnnxScorer
    from airflow_dataml.hooks.mlflow import MlflowHook
    from airflow_dataml.steps.evaluate import Bench

    with tempfile.TemporaryDirectory(prefix="dataml-impact-") as folder:
        registry = MlflowHook(args.mlflow_conn_id or config.mlflow_conn_id()).registry()
        yield Bench(registry, OnnxScorer.load, Path(folder))


def _text(found: ImpactFound) -> str:
    blocks = [
        f"Proposed: {'; '.join(one.what for one in found.proposed) or 'nothing that readers would notice'}."
    ]
    if found.harmless:
        blocks.append(f"Harmless: {'; '.join(found.harmless)}.")
    if found.reached:
        blocks.append(f"It goes into: {', '.join(found.reached)}.")
    if not found.models:
        return "\n".join([*blocks, "No model in use is reached."])
    rows = [
        [
            model.version,
            ", ".join(model.in_use),
            ", ".join(one.feature for one in model.features) or "which rows there are",
            "-" if model.loss is None else f"{model.loss:.4f}",
            "-" if model.growth is None else f"{model.growth.estimate:+.4f}",
            "not measured" if model.growth is None else f"[{model.growth.low:+.4f}, {model.growth.high:+.4f}]",
            model.verdict(found.policy),
        ]
        for model in found.models
    ]  # fmt: skip
    return "\n".join([*blocks, "", table(_COLUMNS, rows)])


IMPACT = Command(
    "impact",
    "Predict what a change of a dataset does to models in use; exit 1 where one would surely lose too much",
    impact,
    (
        Argument(("dataset",), {"metavar": "DATASET", "help": "The dataset that would change"}),
        Argument(("--drop",), {"metavar": "COLUMN", "action": "append", "help": "This column would be gone; may be repeated"}),
        Argument(("--branch",), {"metavar": "NAME", "help": "The change that was made on this branch"}),
        Argument(("--contract",), {"metavar": ("OLD", "NEW"), "nargs": 2, "help": "The change between two contract files"}),
        Argument(("--tolerance",), {"metavar": "SHARE", "type": float, "default": 0.01, "help": "Growth of a model's loss that is borne (0.01)"}),
        Argument(("--no-scoring",), {"action": "store_true", "help": "Go by the newest explanations; no model is opened"}),
        Argument(("--markdown",), {"action": "store_true", "help": "Print Markdown for a pull request"}),
        Argument(("--keep",), {"action": "store_true", "help": "Keep what was found as a report"}),
        Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow"}),
    ),
)  # fmt: skip

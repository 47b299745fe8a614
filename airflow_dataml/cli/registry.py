"""Models between MLflow and the ledger: ``dataml model reconcile`` and ``dataml model adopt``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output
from airflow_dataml.cli.tables import table
from airflow_dataml.core.registry_drift import OutsidePolicy

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.mlflow import MlflowRegistry
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.steps.adopt_model import ModelAdopted
    from airflow_dataml.steps.reconcile import Reconciled


def reconcile(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Compare models in MLflow with the ledger; exit 1 while something others changed stands."""
    from airflow_dataml.steps.reconcile import models_to_reconcile, reconcile_model

    registry = _registry(args)
    found = [
        reconcile_model(
            ledger=ledger,
            registry=registry,
            identity=cli_identity(f"model-reconcile-{name}"),
            model=name,
            on_outside_change=args.on_outside_change,
        )
        for name in ([args.name] if args.name else models_to_reconcile(ledger))
    ]
    text = "\n\n".join(map(_reconciled, found)) or "The ledger has no model that MLflow has too."
    code = FAILED if any(one.outside for one in found) else OK
    return Output([one.to_dict() for one in found], text, code)


def adopt(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Bring a model of MLflow with its history under the ledger."""
    from airflow_dataml.steps.adopt_model import adopt_model

    found = adopt_model(
        ledger=ledger,
        registry=_registry(args),
        identity=cli_identity("model-adopt"),
        model=args.name,
        dry_run=args.dry_run,
    )
    return Output(found.to_dict(), _adopted(found))


def _registry(args: argparse.Namespace) -> MlflowRegistry:
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.hooks.mlflow import MlflowHook

    return MlflowHook(args.mlflow_conn_id or config.mlflow_conn_id()).registry()


def _reconciled(found: Reconciled) -> str:
    lines = []
    if found.delivered:
        lines.append(f"{found.delivered} changes of ours delivered to MLflow.")
    verb = "put back" if found.policy == "restore" else "taken over"
    lines += [f"{_sentence(one.said)}: {verb}." for one in found.settled]
    if not found.outside:
        lines.append(f"{found.model} is in MLflow as the ledger has it.")
        return "\n".join(lines)
    lines.append(
        f"{found.model} was changed in MLflow by somebody else; it is left so, and the ledger decides:"
    )
    rows = (
        (one.what.replace("_", " "), one.name, one.version or "", one.ours or "", one.found or "")
        for one in found.outside
    )
    lines += [
        table(("what", "name", "version", "we left", "in MLflow"), rows),
        f"Kept as report {found.report}. With --on-outside-change: restore puts it back, adopt takes it over.",
    ]
    return "\n".join(lines)


def _adopted(found: ModelAdopted) -> str:
    new = sum(not one.known for one in found.versions)
    would = "Would adopt" if found.dry_run else "Adopted"
    rows = (
        (
            one.version,
            one.ref or "",
            "known" if one.known else "new",
            {True: "yes", False: "no", None: "not looked at"}[one.loadable],
            one.reason or "",
        )
        for one in found.versions
    )
    blocks = [
        f"{would} {new} of {len(found.versions)} versions of {found.model}.",
        table(("in MLflow", "in the ledger", "", "loads here", "because"), rows),
    ]
    if found.aliases:
        blocks.append("\n".join(f"{alias}: version {number}" for alias, number in found.aliases.items()))
    blocks += [f"{alias} stays MLflow's own: {reason}" for alias, reason in found.left.items()]
    return "\n\n".join(blocks)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


_MLFLOW = Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow"})
COMMANDS = (
    Command(
        "reconcile",
        "Deliver to MLflow what the ledger decided, and write down what others changed there; exit 1 while it stands",
        reconcile,
        (
            Argument(("name",), {"nargs": "?", "metavar": "NAME", "help": "The model; all of them unless given"}),
            Argument(
                ("--on-outside-change",),
                {
                    "choices": get_args(OutsidePolicy),
                    "default": "record",
                    "help": "Leave MLflow as it is (record, unless given), put it back, or take it over",
                },
            ),
            _MLFLOW,
        ),
    ),
    Command(
        "adopt",
        "Bring a model of MLflow under the ledger, with all its versions and aliases; MLflow is not changed",
        adopt,
        (
            Argument(("name",), {"metavar": "NAME", "help": "Name of the registered model"}),
            Argument(("--dry-run",), {"action": "store_true", "help": "Say what would be done, and do nothing"}),
            _MLFLOW,
        ),
    ),
)  # fmt: skip

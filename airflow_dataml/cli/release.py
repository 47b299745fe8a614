"""What readers see of models: ``dataml model rollback``, and ``dataml release`` with datasets together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Output

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_WAITS = "MLflow follows with the next promotion, or `dataml drain --aliases`."


def rollback(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Make an earlier version of a model champion again."""
    from airflow_dataml.steps.aliases import PREVIOUS
    from airflow_dataml.steps.model_rollback import roll_back_model

    to = args.to if args.to == PREVIOUS or "@" in args.to else f"{args.name}@{args.to}"
    found = roll_back_model(
        ledger=ledger,
        identity=cli_identity("model-rollback"),
        model=args.name,
        to=to,
        reason=args.reason,
    )
    text = f"Rolled {args.name} back from {found.left or 'no champion'} to {found.version.ref}."
    return Output(found.to_dict(), f"{text} {_followed(ledger, args)}")


def release(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Switch what readers of datasets and models see, all or nothing."""
    from airflow_dataml.adapters.postgres.holding import hold_views
    from airflow_dataml.cli.places import place_of_dataset
    from airflow_dataml.core.refs import VersionRef
    from airflow_dataml.core.release import DatasetTarget, ReleaseRequest, require_distinct
    from airflow_dataml.steps.release import release as release_together

    refs = [(VersionRef.parse(ref).asset, ref) for ref in args.refs]
    require_distinct(name for name, _ in refs)
    models = {name: ref for name, ref in refs if ledger.assets.get(name)["kind"] == "model"}
    found = release_together(
        ledger=ledger,
        store=ledger.store,
        identity=cli_identity("release"),
        wanted=ReleaseRequest(
            reason=args.reason,
            datasets=tuple(
                DatasetTarget(place_of_dataset(ledger, name), ref) for name, ref in refs if name not in models
            ),
            models=models,
            approved=args.approved,
        ),
        hold=lambda places: hold_views(ledger.connection, places),
    )
    if not found.moved:
        return Output(found.to_dict(), "Readers see all of it already; nothing was moved.")
    lines = [f"{entry.asset}: {entry.left or 'nothing'} -> {entry.version}" for entry in found.release.moves]
    follows = [_followed(ledger, args)] if models else []
    heading = f"Released {found.release.release_hash}:"
    return Output(found.to_dict(), "\n".join([heading, *lines, *follows]))


def _followed(ledger: PostgresLedger, args: argparse.Namespace) -> str:
    if not args.mlflow_conn_id:
        return _WAITS
    from airflow_dataml.cli.administration import drain

    return drain(ledger, args).text


_REASON = Argument(
    ("--reason",), {"required": True, "metavar": "TEXT", "help": "Why; kept in the audit chain"}
)
_MLFLOW = Argument(
    ("--mlflow-conn-id",),
    {
        "metavar": "ID",
        "help": "Carry the aliases to this Airflow connection of MLflow at once; starts Airflow",
    },
)

MODEL_ROLLBACK = Command(
    "rollback",
    "Make an earlier version of a model champion again; the one it replaces becomes previous",
    rollback,
    (
        Argument(("name",), {"metavar": "MODEL", "help": "Logical name of the model"}),
        Argument(
            ("--to",),
            {"default": "previous", "metavar": "N|REF|previous", "help": "The version (previous unless given)"},
        ),
        _REASON,
        _MLFLOW,
    ),
)  # fmt: skip
RELEASE = Command(
    "release",
    "Switch what readers of several datasets and models see, all of it or nothing",
    release,
    (
        Argument(
            ("refs",),
            {"nargs": "+", "metavar": "NAME@N", "help": "A version of a dataset, or of a model to be champion"},
        ),
        _REASON,
        Argument(("--approved",), {"metavar": "HASH", "help": "Refuse anything but the release of this hash"}),
        _MLFLOW,
    ),
)  # fmt: skip

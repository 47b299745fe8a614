"""The tree of commands."""

from __future__ import annotations

from airflow_dataml.cli import (
    administration,
    adoption,
    catalog,
    diffing,
    estimate,
    evidence,
    maintenance,
    model_card,
    prediction_log,
    registry,
    reported,
    tuning,
)
from airflow_dataml.cli.approvals import APPROVALS
from airflow_dataml.cli.blame import BLAME
from airflow_dataml.cli.branching import BRANCH
from airflow_dataml.cli.catalog_commands import CATALOG
from airflow_dataml.cli.column_lineage import SQL
from airflow_dataml.cli.contract_commands import CONTRACT
from airflow_dataml.cli.delta import DELTA
from airflow_dataml.cli.drain import DELIVERY, DRAIN
from airflow_dataml.cli.impact import IMPACT
from airflow_dataml.cli.incident import ALARMS, RESOLVE
from airflow_dataml.cli.lineage import LINEAGE
from airflow_dataml.cli.manifest import MANIFEST
from airflow_dataml.cli.quarantine import QUARANTINE
from airflow_dataml.cli.reach import REACH
from airflow_dataml.cli.release import MODEL_ROLLBACK, RELEASE
from airflow_dataml.cli.reproduce import REPRODUCE
from airflow_dataml.cli.spec import Argument, Command, Group, positive

STATES = ("open", "new", "acknowledged", "assigned", "resolved")
KINDS = (
    "check",
    "profile",
    "evaluation",
    "monitor",
    "reported",
    "decision",
    "training",
    "approval",
    "tuning",
    "explanation",
    "card",
    "reproduction",
    "registry-drift",
    "scoring",
    "transform",
    "impact",
    "reach",
    "blame",
)


# Taken by every command.
COMMON = (
    Argument(
        ("--conn-id",),
        {
            "metavar": "ID",
            "help": "Airflow connection of the ledger ([dataml] conn_id unless given); DATAML_LEDGER_DSN comes first",
        },
    ),
    Argument(("--json",), {"action": "store_true", "help": "Print JSON instead of text"}),
)

_LIMIT = Argument(("--limit",), {"type": positive, "default": 100, "metavar": "N", "help": "Rows at most"})
_NAME = Argument(("name",), {"metavar": "NAME", "help": "Logical name of the asset"})
_BEFORE = Argument(
    ("--before",), {"type": positive, "metavar": "NUMBER", "help": "Only versions older than this one"}
)
_AFTER = Argument(("--after",), {"default": "", "metavar": "NAME", "help": "Only names after this one"})


def _ref(text: str) -> Argument:
    return Argument(
        ("ref",), {"metavar": text, "help": "A name, with the version or alias wanted; else the current one"}
    )


def _assets(what: str, plural: str, ref: str) -> Group:
    run = {
        "dataset": (catalog.list_datasets, catalog.dataset_versions, catalog.show_dataset),
        "model": (catalog.list_models, catalog.model_versions, catalog.show_model),
    }[what]
    return Group(
        what,
        f"Look at {plural}" + (", adopt and release them" if what == "dataset" else ""),
        (
            Command("list", f"List {plural}", run[0], (_AFTER, _LIMIT)),
            Command(
                "versions", f"List the versions of a {what}, newest first", run[1], (_NAME, _BEFORE, _LIMIT)
            ),
            Command("show", f"Show one version of a {what}", run[2], (_ref(ref),)),
            *(
                (*maintenance.DATASET_COMMANDS, *diffing.COMMANDS, *adoption.COMMANDS)
                if what == "dataset"
                else (
                    *model_card.COMMANDS,
                    MANIFEST,
                    MODEL_ROLLBACK,
                    *prediction_log.COMMANDS,
                    *reported.COMMANDS,
                    *registry.COMMANDS,
                    *tuning.COMMANDS,
                    *estimate.COMMANDS,
                    ALARMS,
                )
            ),
        ),
    )


_MLFLOW = Argument(("--mlflow-conn-id",), {"metavar": "ID", "help": "Airflow connection of MLflow"})

COMMANDS: tuple[Command | Group, ...] = (
    Command(
        "migrate",
        "Bring the ledger's schema to this release; safe to repeat",
        administration.migrate,
        (
            Argument(
                ("--show-grants",), {"action": "store_true", "help": "Print the GRANTs of the three roles"}
            ),
            Argument(
                ("--mlflow",),
                {"action": "store_true", "help": "Also bring MLflow's tables to its release; starts Airflow"},
            ),
            _MLFLOW,
        ),
        check=False,
    ),
    Command(
        "status", "Say which version the ledger has and how much is in it", administration.status, check=False
    ),
    CATALOG,
    _assets("dataset", "datasets", "NAME[@N]"),
    _assets("model", "models", "NAME[@N|@ALIAS]"),
    CONTRACT,
    BRANCH,
    QUARANTINE,
    maintenance.GC,
    DELTA,
    LINEAGE,
    IMPACT,
    REACH,
    BLAME,
    REPRODUCE,
    RELEASE,
    APPROVALS,
    Command(
        "report",
        "Print the reports of a version, newest first",
        evidence.report,
        (
            _ref("ASSET[@N]"),
            Argument(("--kind",), {"choices": KINDS, "help": "Only reports of this kind"}),
            _LIMIT,
        ),
    ),
    Group(
        "incident",
        "Look at incidents, and resolve them",
        (
            Command(
                "list",
                "List incidents, newest first",
                evidence.incidents,
                (
                    Argument(("--asset",), {"metavar": "NAME", "help": "Only of this asset"}),
                    Argument(
                        ("--state",),
                        {"choices": STATES, "help": "Only in this state; open means not resolved"},
                    ),
                    _LIMIT,
                ),
            ),
            RESOLVE,
        ),
    ),
    SQL,
    DRAIN,
    DELIVERY,
    Group(
        "audit",
        "Look at the audit chain",
        (
            Command(
                "verify", "Recompute the audit chain; exit 1 when it is broken", administration.audit_verify
            ),
        ),
    ),
)

"""What Airflow asks every provider. Executed by every Airflow process, so it imports nothing."""

from __future__ import annotations

_NAME = "DataML"
_PACKAGE = "airflow_dataml"
_VERSION = "0.1.0"
_OPERATORS = (
    *("approval", "blame", "branches", "card", "catalog", "datasets", "diffs"),
    *("evaluation", "explanation", "exports", "hard_examples"),
    *("impact", "lineage", "maintenance", "monitoring"),
    *("point_in_time", "quality", "quarantine", "ray", "reconcile", "registry"),
    *("release", "reported", "reproduce", "retraining", "scoring", "staging", "training", "tune"),
    "versions",
)
_SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def get_provider_info() -> dict[str, object]:
    """Return the provider's description.

    The plugin is an entry point and not listed here: from an entry point Airflow makes an instance,
    from here it would take the class itself, whose lazy properties are not lists.
    """
    return {
        "package-name": "airflow-dataml",
        "name": _NAME,
        "description": "DataOps and MLOps as one platform inside Apache Airflow: versions, contracts, "
        "training, alarms and blame on one ledger.",
        "integrations": [{"integration-name": _NAME, "tags": ["service"]}],
        "operators": _modules("operators", *_OPERATORS),
        "sensors": _modules("sensors", "datasets", "models", "overdue"),
        "triggers": _modules("triggers", "datasets", "drain", "models", "overdue", "ray"),
        "hooks": _modules("hooks", "ledger", "lineage", "mlflow", "ray"),
        "notifications": [f"{_PACKAGE}.notifications.incidents.IncidentNotifier"],
        "extra-links": [
            f"{_PACKAGE}.links.{name}" for name in ("LedgerLink", "LineageLink", "IncidentsLink")
        ],
        "task-decorators": [
            {"name": "dataset_stage", "class-name": f"{_PACKAGE}.decorators.staging.dataset_stage_task"},
            {
                "name": "dataset_transform",
                "class-name": f"{_PACKAGE}.decorators.datasets.dataset_transform_task",
            },
            {"name": "model_monitor", "class-name": f"{_PACKAGE}.decorators.monitoring.model_monitor_task"},
            {"name": "quality_check", "class-name": f"{_PACKAGE}.decorators.quality.quality_check_task"},
        ],
        "connection-types": [_ledger_connection(), _mlflow_connection(), _ray_connection()],
        "asset-uris": [
            {
                "schemes": ["dataml"],
                "handler": f"{_PACKAGE}.assets.sanitize_uri",
                "factory": f"{_PACKAGE}.assets.create_asset",
                "to_openlineage_converter": f"{_PACKAGE}.assets.to_openlineage",
            }
        ],
        "cli": [f"{_PACKAGE}.cli.airflow_commands.get_commands"],
        "config": {
            "dataml": {"description": "The ledger, the model registry and the page.", "options": _options()}
        },
    }


def _modules(kind: str, *names: str) -> list[dict[str, object]]:
    return [{"integration-name": _NAME, "python-modules": [f"{_PACKAGE}.{kind}.{name}" for name in names]}]


def _ledger_connection() -> dict[str, object]:
    return {
        "connection-type": "dataml",
        "hook-class-name": f"{_PACKAGE}.hooks.ledger.DataMLHook",
        "hook-name": "DataML ledger",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"schema": "Database"},
            "placeholders": {"host": "localhost", "port": "5432", "schema": "dataml"},
        },
        "conn-fields": {
            "sslmode": {
                "label": "TLS mode",
                "description": "How strictly the server's certificate is checked (libpq's sslmode).",
                "schema": {"type": "string", "enum": _SSL_MODES, "default": "prefer"},
            }
        },
    }


def _mlflow_connection() -> dict[str, object]:
    return {
        "connection-type": "dataml_mlflow",
        "hook-class-name": f"{_PACKAGE}.hooks.mlflow.MlflowHook",
        "hook-name": "DataML MLflow",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"host": "Tracking server or database host", "schema": "Database"},
            "placeholders": {"host": "https://mlflow.example.com", "schema": "empty for a tracking server"},
        },
        "conn-fields": {
            "mlflow_schema": {
                "label": "Schema",
                "description": "PostgreSQL schema of MLflow's tables; unused with a tracking server.",
                "schema": {"type": ["string", "null"], "default": "mlflow"},
            },
            "artifact_location": {
                "label": "Artifact location",
                "description": "Where new experiments keep their files; the server's choice unless given.",
                "schema": {"type": ["string", "null"]},
            },
        },
    }


def _ray_connection() -> dict[str, object]:
    return {
        "connection-type": "dataml_ray",
        "hook-class-name": f"{_PACKAGE}.hooks.ray.RayHook",
        "hook-name": "DataML Ray",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "schema"],
            "relabeling": {"host": "Dashboard", "password": "Token"},
            "placeholders": {"host": "http://ray-head", "port": "8265"},
        },
        "conn-fields": {
            "runtime_env": {
                "label": "Runtime environment",
                "description": "Ray's runtime environment of every job, as a JSON object.",
                "schema": {"type": ["string", "null"]},
            },
            "work_dir": {
                "label": "Work folder",
                "description": "Where the cluster has the folder that is [dataml] work_dir here; the same path unless given.",
                "schema": {"type": ["string", "null"]},
            },
            "python": {
                "label": "Interpreter",
                "description": "Python of the cluster in which airflow-dataml is installed with the extra lightning.",
                "schema": {"type": ["string", "null"], "default": "python"},
            },
        },
    }


def _options() -> dict[str, object]:
    return {
        "conn_id": _option("Connection of the ledger.", default="dataml_default"),
        "mlflow_conn_id": _option(
            "Connection of the MLflow tracking store and registry.", default="dataml_mlflow_default"
        ),
        "work_dir": _option(
            "Folder where tasks keep exports, checkpoints and model files between tries; on several workers it "
            "must be shared for a retry to resume. {AIRFLOW_HOME}/dataml when empty.",
            default="",
            example="/mnt/shared/dataml",
        ),
        "harvest_checks": _option(
            "Whether the results of SQL check operators that are not DataML's become reports in the ledger, at "
            "the end of each such task.",
            kind="boolean",
            default="True",
        ),
        "lineage_backends": _option(
            "Where lineage events go besides the ledger: a JSON object of names and transports of the OpenLineage "
            "client. A transport's conn_id names the connection that says where it is and how to sign in.",
            default="",
            example='{"marquez": {"type": "http", "url": "http://marquez:5000"}}',
        )
        | {"sensitive": True},
        "spool_dir": _option(
            "Folder of this host where lineage events wait while the ledger does not answer; "
            "{AIRFLOW_HOME}/dataml/spool when empty.",
            default="",
            example="/var/lib/airflow/dataml-spool",
        ),
        "ui": _option("Whether the DataML page and its API are mounted.", kind="boolean", default="True"),
    }


def _option(
    description: str, *, default: str, kind: str = "string", example: str | None = None
) -> dict[str, object]:
    return {
        "description": description,
        "version_added": _VERSION,
        "type": kind,
        "example": example,
        "default": default,
    }

"""The ``[dataml]`` section of Airflow's configuration, one function per option."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import conf

if TYPE_CHECKING:
    from airflow_dataml.core.delivery import BackendSpec


def conn_id() -> str:
    """``[dataml] conn_id``: the connection of the ledger."""
    return str(conf.get("dataml", "conn_id", fallback="dataml_default"))


def mlflow_conn_id() -> str:
    """``[dataml] mlflow_conn_id``: the connection of the MLflow tracking store and registry."""
    return str(conf.get("dataml", "mlflow_conn_id", fallback="dataml_mlflow_default"))


def work_dir() -> Path:
    """``[dataml] work_dir``: where tasks keep exports, checkpoints and model files between tries.

    On several workers it must be shared for a retry to resume; nothing in it is needed after the task.
    """
    default = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "dataml"
    return Path(str(conf.get("dataml", "work_dir", fallback="") or default)).expanduser()


def harvest_checks() -> bool:
    """``[dataml] harvest_checks``: whether results of SQL check operators that are not ours become reports."""
    return bool(conf.getboolean("dataml", "harvest_checks", fallback=True))


def lineage_backends() -> tuple[BackendSpec, ...]:
    """``[dataml] lineage_backends``: where lineage events go besides the ledger; a JSON object of names and transports.

    :raises SpecError: it is no such object.
    """
    from airflow_dataml.core.delivery import parse_backends

    return parse_backends(str(conf.get("dataml", "lineage_backends", fallback="") or ""))


def spool_dir() -> Path:
    """``[dataml] spool_dir``: where lineage events of this host wait while the ledger does not answer."""
    default = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "dataml" / "spool"
    return Path(str(conf.get("dataml", "spool_dir", fallback="") or default)).expanduser()

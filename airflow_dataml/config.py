"""The ``[dataml]`` section of Airflow's configuration, one function per option."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import conf


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

"""Where the ledger is: from the environment at once, through Airflow only when it is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.dsn import check_dsn, parse_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

DSN_VARIABLE = "DATAML_LEDGER_DSN"
OPTION_VARIABLE = "AIRFLOW__DATAML__CONN_ID"
DEFAULT_CONN_ID = "dataml_default"
_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


def resolve_dsn(conn_id: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return the ledger's connection string.

    ``DATAML_LEDGER_DSN`` comes first, then ``AIRFLOW_CONN_<ID>``; only when neither is set is Airflow
    imported, which takes seconds, and asked, secrets backends and its own database included.

    :param conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    :raises ConnectionSpecError: none of them leads to a PostgreSQL database.
    """
    env = os.environ if environ is None else environ
    if dsn := env.get(DSN_VARIABLE):
        return check_dsn(dsn, source=DSN_VARIABLE)
    name = conn_id or env.get(OPTION_VARIABLE) or DEFAULT_CONN_ID
    if text := env.get(f"AIRFLOW_CONN_{name.upper()}"):
        return parse_connection(name, text).dsn()
    return _ask_airflow(conn_id)


def use_airflow() -> None:
    """Let Airflow's own database be searched for connections, as in its servers.

    Without it Airflow takes this process for a worker's and leaves its database out.
    """
    os.environ.setdefault(_CONTEXT, "server")


def _ask_airflow(conn_id: str | None) -> str:
    use_airflow()
    from airflow_dataml import config
    from airflow_dataml.hooks.ledger import DataMLHook

    return DataMLHook(conn_id or config.conn_id()).dsn()

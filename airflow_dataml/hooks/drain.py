"""A drainer put together from Airflow's configuration and connections; helper of operator and trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml import config
from airflow_dataml.core.delivery import Credentials, with_credentials
from airflow_dataml.core.errors import ConnectionSpecError
from airflow_dataml.draining import drainer_of
from airflow_dataml.hooks.ledger import DataMLHook

if TYPE_CHECKING:
    from airflow_dataml.core.delivery import BackendSpec
    from airflow_dataml.steps.drain import Drainer


def drainer(conn_id: str) -> Drainer:
    """Return a drainer of the ledger, the backends and the spool that Airflow is configured with.

    Connections are looked up now and not again.
    """
    return drainer_of(dsn=DataMLHook(conn_id).dsn(), specs=configured_backends(), spool=config.spool_dir())


def configured_backends() -> tuple[BackendSpec, ...]:
    """Return the backends of ``[dataml] lineage_backends`` with what their connections say.

    :raises SpecError: the option does not parse.
    :raises ConnectionSpecError: a connection is missing.
    """
    return tuple(resolved(spec) for spec in config.lineage_backends())


def resolved(spec: BackendSpec) -> BackendSpec:
    """Return a backend with what its connection says; looked up at each start, never stored."""
    if spec.conn_id is None:
        return spec
    try:
        conn = BaseHook.get_connection(spec.conn_id)
    except AirflowNotFoundException as err:
        msg = f"connection {spec.conn_id!r} of lineage backend {spec.name!r} is not defined."
        raise ConnectionSpecError(msg) from err
    return with_credentials(
        spec,
        Credentials(conn.host, conn.port, conn.schema, conn.login, conn.password, conn.extra_dejson),
    )

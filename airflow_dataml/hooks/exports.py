"""Servers of other catalogs from Airflow connections; helper of operator and command line."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.adapters.rest import RestServer
from airflow_dataml.core.errors import ConnectionSpecError


def server_of(conn_id: str) -> RestServer:
    """Return the server a connection leads to; its token goes to that server and nowhere else.

    :raises ConnectionSpecError: there is no such connection, or it names no server.
    """
    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as err:
        msg = f"connection {conn_id!r} is not defined: add one with the server's address and its token as password."
        raise ConnectionSpecError(msg) from err
    host = conn.host or ""
    if "://" not in host:
        scheme = conn.conn_type if conn.conn_type in ("http", "https") else "https"
        host = f"{scheme}://{host}"
    if conn.port:
        host = f"{host.rstrip('/')}:{conn.port}"
    if conn.schema and conn.schema not in ("http", "https"):
        host = f"{host.rstrip('/')}/{conn.schema.strip('/')}"
    return RestServer(url=host, token=conn.password or None, headers={"X-RestLi-Protocol-Version": "2.0.0"})

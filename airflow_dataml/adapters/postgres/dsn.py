"""Connection strings: from an Airflow connection's fields, or from its text, without Airflow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from airflow_dataml.core.errors import ConnectionSpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = ("dataml", "postgres")
# What a connection's extra may add to the DSN; anything else is ignored, never forwarded wholesale.
EXTRA = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """What an Airflow connection says; the password is left out of its ``repr``."""

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    database: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def dsn(self) -> str:
        """Return the libpq connection string; it holds the password.

        :raises ConnectionSpecError: another type of connection, or no database.
        """
        from psycopg.conninfo import make_conninfo

        return make_conninfo("", **self.keywords())

    def keywords(self) -> dict[str, Any]:
        """Return the same as keyword arguments, which any libpq driver takes; the password is among them.

        :raises ConnectionSpecError: another type of connection, or no database.
        """
        if self.conn_type not in TYPES:
            msg = f"connection {self.conn_id!r} is of type {self.conn_type!r}: the ledger needs 'dataml' or 'postgres'."
            raise ConnectionSpecError(msg)
        if not self.database:
            msg = f"connection {self.conn_id!r} names no database: fill in the field 'Database'."
            raise ConnectionSpecError(msg)
        return {
            "host": self.host or "localhost",
            "port": self.port or 5432,
            "dbname": self.database,
            **({"user": self.login} if self.login else {}),
            **({"password": self.password} if self.password else {}),
            **{key: value for key in EXTRA if (value := self.extra.get(key))},
        }


def parse_connection(conn_id: str, text: str) -> ConnectionFields:
    """Read an Airflow connection written as a URI or as JSON, as Airflow itself reads it.

    :param text: the value of ``AIRFLOW_CONN_<ID>``; never repeated in an error.
    """
    try:
        return _from_json(conn_id, text) if text.lstrip().startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError, AttributeError) as err:
        msg = f"connection {conn_id!r} is neither a URI nor a JSON object; its text is not shown, for it may hold a password."
        raise ConnectionSpecError(msg) from err


def check_dsn(dsn: str, *, source: str) -> str:
    """Return a libpq connection string, or refuse it without repeating it.

    :param source: where it was written.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:
        msg = (
            f"{source} is not a libpq connection string: write postgresql://user:password@host:5432/database."
        )
        raise ConnectionSpecError(msg) from None
    return dsn


def _from_json(conn_id: str, text: str) -> ConnectionFields:
    value = json.loads(text)
    port = value.get("port")
    return ConnectionFields(
        conn_id=conn_id,
        conn_type=_normal_type(value.get("conn_type") or ""),
        host=value.get("host"),
        port=int(port) if port else None,
        database=value.get("schema"),
        login=value.get("login"),
        password=value.get("password"),
        extra=_extra(value.get("extra")),
    )


def _from_uri(conn_id: str, text: str) -> ConnectionFields:
    uri = urlsplit(text)
    query = dict(parse_qsl(uri.query, keep_blank_values=True))
    return ConnectionFields(
        conn_id=conn_id,
        conn_type=_normal_type(uri.scheme),
        host=_host(uri) or None,
        port=uri.port,
        database=unquote(uri.path[1:]) or None,
        login=unquote(uri.username) if uri.username else None,
        password=unquote(uri.password) if uri.password else None,
        extra=_extra(query.get("__extra__")) if "__extra__" in query else query,
    )


def _host(uri: SplitResult) -> str:
    host = unquote(uri.hostname or "")
    if "/" in host:  # a socket directory, whose capitals ``hostname`` has lowered
        host = unquote(uri.netloc.rpartition("@")[2].partition(":")[0])
    return host


def _extra(value: Any) -> dict[str, Any]:
    found = json.loads(value) if isinstance(value, str) and value else value
    return found if isinstance(found, dict) else {}


def _normal_type(conn_type: str) -> str:
    return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")

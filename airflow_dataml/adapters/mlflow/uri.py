"""Tracking uris: built from connection fields, read back, and shown without their password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from airflow_dataml.core.errors import ConnectionSpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_S = 3
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_SECRETS = frozenset({"password", "sslpassword"})
_HIDDEN = "***"


def mlflow_uri(
    *,
    host: str,
    port: int | None = None,
    login: str | None = None,
    password: str | None = None,
    database: str,
    schema: str = "mlflow",
    options: Mapping[str, str] | None = None,
) -> str:
    """Tracking uri of an MLflow store in one schema of a Postgres database.

    :param host: name or address, or the directory of a unix socket.
    :param schema: MLflow's own; shared with Airflow, Optuna or the ledger it is refused on first use.
    :param options: further libpq parameters, such as ``sslmode``.

    >>> mlflow_uri(host="db", login="ml", password="a@b", database="platform")
    'postgresql+psycopg://ml:a%40b@db/platform?connect_timeout=3&options=-csearch_path%3Dmlflow'
    """
    if not _SCHEMA.match(schema):
        msg = f"schema {schema!r} is not usable for MLflow: write lower-case letters, digits and underscores."
        raise ConnectionSpecError(msg)
    query = {
        **({"host": host} if host.startswith("/") else {}),
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        **(options or {}),
        "options": f"-csearch_path={schema}",
    }
    user = quote(login or "", safe="") + (f":{quote(password, safe='')}" if password else "")
    place = ("" if host.startswith("/") else host) + (f":{port}" if port else "")
    netloc = f"{user}@{place}" if user else place
    return f"postgresql+psycopg://{netloc}/{quote(database, safe='')}?{urlencode(query, quote_via=quote)}"


@dataclass(frozen=True, slots=True, repr=False)
class TrackingUri:
    """A tracking uri that never shows its password.

    :param text: ``postgresql+psycopg://...`` for a store without a server, ``http(s)://...`` for a server.
    """

    text: str

    def __post_init__(self) -> None:
        scheme = urlsplit(self.text).scheme.partition("+")[0]
        if scheme not in {"postgresql", "http", "https"}:
            msg = (
                f"MLflow tracking uri {self.shown!r} is not supported: write postgresql+psycopg://... for a "
                "store in Postgres or http(s)://... for an MLflow server."
            )
            raise ConnectionSpecError(msg)

    def __repr__(self) -> str:
        return f"TrackingUri({self.shown!r})"

    @property
    def kind(self) -> Literal["postgres", "http"]:
        """Whether we are the server (Postgres), or ask one (http)."""
        return "http" if self.text.startswith("http") else "postgres"

    @property
    def dsn(self) -> str:
        """The same database for libpq, which knows no driver names."""
        return f"postgresql://{self.text.partition('://')[2]}"

    @property
    def shown(self) -> str:
        """The uri with every secret replaced."""
        parts = urlsplit(self.text)
        netloc = parts.netloc
        if parts.password is not None:
            user, _, place = netloc.rpartition("@")
            netloc = f"{user.partition(':')[0]}:{_HIDDEN}@{place}"
        query = "&".join(
            f"{name}={_HIDDEN if name in _SECRETS else quote(value, safe='/')}"
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        )
        return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")

    def scrub(self, message: str) -> str:
        """Take the password out of what a driver said."""
        parts = urlsplit(self.text)
        secrets = {parts.password, *(v for k, v in parse_qsl(parts.query) if k in _SECRETS)}
        for secret in filter(None, secrets):
            for form in {secret, unquote(secret)}:
                message = message.replace(form, _HIDDEN)
        return message


def artifact_root(uri: TrackingUri, location: str | None) -> str | None:
    """Return where model files go, or refuse a place that differs from worker to worker."""
    if location is None:
        if uri.kind == "postgres":
            msg = (
                f"the MLflow store {uri.shown} needs an artifact_location: a folder that every worker and "
                "user can read, or an object-store uri such as s3://bucket/models."
            )
            raise ConnectionSpecError(msg)
        return None
    if not urlsplit(location).scheme and not Path(location).is_absolute():
        msg = f"artifact_location {location!r} is relative: write an absolute path or an object-store uri."
        raise ConnectionSpecError(msg)
    return location.rstrip("/")

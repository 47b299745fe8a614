"""What OpenLineage calls our things, by its naming specification."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow_dataml.core.refs import Relation

POSTGRES_PORT = 5432
# What several tools call one object store.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
# In these what stands before the @ is part of the address, not a login.
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")


class LineageName(NamedTuple):
    """A dataset as OpenLineage names it."""

    namespace: str
    name: str


class LineageNaming:
    """The OpenLineage part of ``AssetNaming``; subclass that to change a decision."""

    logical_namespace = "dataml"

    def lineage_host(self, host: str | None) -> str:
        """Return the address of a server without credentials; one reached by a socket is this machine.

        >>> [LineageNaming().lineage_host(h) for h in ("DB.internal", "/run/postgresql", "a,b", "::1", None)]
        ['db.internal', 'localhost', 'a', '[::1]', 'localhost']
        """
        first = (host or "").split(",")[0].strip()
        if not first or first.startswith(("/", "@")):
            return "localhost"
        first = first.rpartition("@")[2].lower()
        return f"[{first}]" if ":" in first and not first.startswith("[") else first

    def lineage_namespace(self, *, host: str | None, port: int | None) -> str:
        """OpenLineage namespace of a Postgres server, as its naming spec has it."""
        return f"postgres://{self.lineage_host(host)}:{port or POSTGRES_PORT}"

    def lineage_canonical(self, namespace: str) -> str:
        """Return the namespace of a server as we call it; Airflow's hooks repeat a socket's folder or no host at all.

        >>> for name in ("postgres://%2Frun%2Fpostgresql:5432", "postgres://None:5432", "postgres://db:5432", "file"):
        ...     print(LineageNaming().lineage_canonical(name))
        postgres://localhost:5432
        postgres://localhost:5432
        postgres://db:5432
        file
        """
        scheme, found, place = namespace.partition("://")
        if not found or not place.startswith(("%2F", "%2f", "None:")):
            return namespace
        host, _, port = place.rpartition(":")
        return f"{scheme}://{self.lineage_host(unquote(host) if host != 'None' else None)}:{port}"

    def lineage_name(self, *, database: str, relation: Relation) -> str:
        """OpenLineage name of a Postgres table."""
        return f"{database}.{relation.schema}.{relation.name}"

    def lineage_file(self, location: str) -> LineageName:
        """Return the name of a file, a folder or a Delta table by its path or uri; no login is repeated.

        >>> for uri in ("/data/rides", "file:///data/rides/", "s3a://lake/a/b", "gs://key:secret@lake/a"):
        ...     print(*LineageNaming().lineage_file(uri))
        file /data/rides
        file /data/rides
        s3://lake a/b
        gs://lake a
        >>> LineageNaming().lineage_file("abfss://lake@acme.dfs.core.windows.net/a").namespace
        'abfss://lake@acme.dfs.core.windows.net'
        """
        uri = urlsplit(location)
        if uri.scheme in ("", "file"):
            return LineageName("file", posixpath.normpath(uri.path or location))
        login, _, host = uri.netloc.rpartition("@")
        if login and uri.scheme in _CONTAINERS:
            host = f"{login.partition(':')[0]}@{host}"
        scheme = _SCHEMES.get(uri.scheme, uri.scheme)
        return LineageName(f"{scheme}://{host}", uri.path.strip("/") or "/")

    def lineage_registry(self, *, host: str | None, port: int | None) -> str | None:
        """Return the namespace of a model registry: a server's address, or that of its database.

        >>> naming = LineageNaming()
        >>> naming.lineage_registry(host="https://mlflow.internal", port=None)
        'mlflow://mlflow.internal'
        >>> naming.lineage_registry(host="/run/postgresql", port=None)
        'mlflow://localhost:5432'
        """
        if host and host.startswith(("http://", "https://")):
            uri = urlsplit(host)
            port = port or uri.port
            return f"mlflow://{uri.hostname}" + (f":{port}" if port else "")
        return f"mlflow://{self.lineage_host(host)}:{port or POSTGRES_PORT}"

    def lineage_model(self, model: str, *, registry: str | None) -> LineageName:
        """Return the name of a model.

        :param registry: namespace of the registry that keeps it; ours where there is none.

        >>> LineageNaming().lineage_model("ride_late", registry=None)
        LineageName(namespace='dataml', name='models/ride_late')
        """
        return LineageName(registry or self.logical_namespace, f"models/{model}")

    def lineage_logical(self, kind: str, name: str) -> LineageName:
        """Return the name that is the same in every environment: that of the asset's uri.

        >>> LineageNaming().lineage_logical("dataset", "rides")
        LineageName(namespace='dataml', name='dataset/rides')
        """
        return LineageName(self.logical_namespace, f"{kind}/{name}")

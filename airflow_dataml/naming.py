"""What OpenLineage calls the assets of this deployment: the naming decisions, and what connections say of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml import config
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.core.refs import AssetNaming, Relation

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMING = AssetNaming()


class Database(NamedTuple):
    """A PostgreSQL database among all of them."""

    host: str
    port: int
    name: str

    @classmethod
    def of(cls, dsn: str) -> Database:
        """Read where a libpq connection string leads."""
        from psycopg.conninfo import conninfo_to_dict

        info = conninfo_to_dict(dsn)
        port = str(info.get("port") or 5432).split(",")[0]
        return cls(str(info.get("host") or "localhost"), int(port), str(info["dbname"]))

    def table_uri(self, relation: Relation) -> str:
        """Return the uri of a table, as Airflow's own assets for PostgreSQL have it."""
        path = "/".join(quote(word, safe="") for word in (self.name, relation.schema, relation.name))
        return f"postgres://{quote(self.host, safe='')}:{self.port}/{path}"

    def lineage_name(self, relation: Relation) -> LineageName:
        """Return the name of a table in OpenLineage."""
        return LineageName(
            NAMING.lineage_namespace(host=self.host, port=self.port),
            NAMING.lineage_name(database=self.name, relation=relation),
        )


@dataclass(frozen=True, slots=True)
class Names:
    """What OpenLineage calls our assets, once it is known where the ledger and the registry are.

    :param database: of the ledger; ``None`` where that is not known, and logical names have to do.
    :param registry: namespace of the model registry; ``None`` where there is none.
    """

    database: Database | None = None
    registry: str | None = None

    def of(self, kind: str, name: str, facts: Mapping[str, Any]) -> LineageName:
        """Return the name of an asset.

        :param facts: where it is kept: ``table`` or ``uri``.
        """
        if kind == "model":
            return NAMING.lineage_model(name, registry=self.registry)
        if facts.get("uri"):
            return NAMING.lineage_file(str(facts["uri"]))
        found = self.at(str(facts["table"])) if facts.get("table") else None
        return found or NAMING.lineage_logical(kind, name)

    def at(self, location: str) -> LineageName | None:
        """Return the name of a table, or of a Delta table's uri; ``None`` for a table nobody knows the server of."""
        if "/" in location and '"' not in location:
            return NAMING.lineage_file(location)
        if self.database is None:
            return None
        try:
            return self.database.lineage_name(Relation.parse(location))
        except SpecError:
            return None


def registry_namespace(mlflow_conn_id: str | None = None) -> str | None:
    """Return the namespace of the models of a registry, from its connection; ``None`` without one."""
    try:
        conn = BaseHook.get_connection(mlflow_conn_id or config.mlflow_conn_id())
    except AirflowNotFoundException:
        return None
    return NAMING.lineage_registry(host=conn.host, port=conn.port)


def ledger_database(dataml_conn_id: str | None = None) -> Database | None:
    """Return where the ledger and the managed datasets are, from its connection; ``None`` without one."""
    try:
        conn = BaseHook.get_connection(dataml_conn_id or config.conn_id())
    except AirflowNotFoundException:
        return None
    return Database(conn.host or "localhost", conn.port or 5432, conn.schema) if conn.schema else None

"""Where in the world a table is: for OpenLineage, for the catalog, and for whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from airflow_dataml.assets import NAMING
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import Relation
from airflow_dataml.steps.sightings import Sighting, enter_table

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


class LineageName(NamedTuple):
    """A dataset as OpenLineage names it."""

    namespace: str
    name: str


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
        return cls(str(info.get("host") or "localhost"), int(info.get("port") or 5432), str(info["dbname"]))

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


def lineage_name(location: str, dsn: str) -> LineageName:
    """Return the name in OpenLineage of a table or of a Delta table's uri.

    >>> lineage_name("s3://lake/rides", ""), lineage_name("/data/rides", "")
    (LineageName(namespace='s3://lake', name='rides'), LineageName(namespace='file', name='/data/rides'))
    """
    uri = urlsplit(location)
    if uri.scheme and uri.netloc:
        return LineageName(f"{uri.scheme}://{uri.netloc}", uri.path.strip("/"))
    if uri.scheme or "/" in location:
        return LineageName("file", uri.path)
    return Database.of(dsn).lineage_name(Relation.parse(location))


def enter(ledger: PostgresLedger, relation: Relation, *, dsn: str, conn_id: str | None, task_id: str) -> str:
    """Return the catalog's name of a table that somebody else writes.

    :param dsn: of the table's database.
    :param conn_id: its connection, where that database is not the ledger's own.
    :raises SpecError: the table is what readers of a managed dataset query.
    """
    name = enter_table(ledger, Sighting(relation, Database.of(dsn).table_uri(relation), conn_id=conn_id))
    kind = ledger.assets.get(name)["kind"]
    if kind != "external":
        msg = f"task {task_id!r}: table {relation} is the {kind} {name!r}: write dataset=... instead of table=..."
        raise SpecError(msg)
    return name

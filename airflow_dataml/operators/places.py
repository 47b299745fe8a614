"""Where in the world a table is: for OpenLineage, for the catalog, and for whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.core.refs import Relation
from airflow_dataml.naming import NAMING, Database
from airflow_dataml.steps.sightings import Sighting, enter_table

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

__all__ = ["Database", "LineageName", "enter", "lineage_name"]


def lineage_name(location: str, dsn: str) -> LineageName:
    """Return the name in OpenLineage of a table or of a Delta table's uri.

    >>> lineage_name("s3://lake/rides", ""), lineage_name("/data/rides", "")
    (LineageName(namespace='s3://lake', name='rides'), LineageName(namespace='file', name='/data/rides'))
    """
    if "/" in location and '"' not in location:
        return NAMING.lineage_file(location)
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

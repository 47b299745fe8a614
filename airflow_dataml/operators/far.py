"""Tables of other systems, as OpenLineage names them."""

from __future__ import annotations

from airflow_dataml.core.facets import DatasetFact
from airflow_dataml.core.facets_naming import LineageName
from airflow_dataml.core.refs import Relation
from airflow_dataml.naming import NAMING, ledger_database

# Systems whose names are those of the naming specification by host and port: scheme, port, default schema.
_SYSTEMS: dict[str, tuple[str, int, str | None]] = {
    "postgres": ("postgres", 5432, "public"),
    "dataml": ("postgres", 5432, "public"),
    "mysql": ("mysql", 3306, None),
    "mssql": ("mssql", 1433, "dbo"),
}


def tables_of(conn_id: str, sql: str) -> list[DatasetFact]:
    """Return the tables that a query on another connection names; nothing where that cannot be told.

    :param conn_id: the connection; its credentials are not looked at.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        import openlineage_sql  # type: ignore[import-untyped]  # ships no types

        conn = BaseHook.get_connection(conn_id)
    except (ImportError, AirflowNotFoundException):
        return []
    if conn.conn_type not in _SYSTEMS or not isinstance(sql, str):
        return []
    scheme, port, schema = _SYSTEMS[conn.conn_type]
    namespace = f"{scheme}://{NAMING.lineage_host(conn.host)}:{conn.port or port}"
    parsed = openlineage_sql.parse([sql], dialect=scheme)
    tables = parsed.in_tables if parsed is not None else []
    names = dict.fromkeys(
        LineageName(
            namespace, ".".join(p for p in (t.database or conn.schema, t.schema or schema, t.name) if p)
        )
        for t in tables
    )
    return [DatasetFact(name=name, type="TABLE") for name in names]


def table_fact(table: str, conn_id: str, *, asset: str | None) -> DatasetFact:
    """Return a table that nobody publishes here.

    :param conn_id: connection of its database.
    :param asset: what the catalog calls it, once that is known.
    """
    relation, database = Relation.parse(table), ledger_database(conn_id)
    name = database.lineage_name(relation) if database else NAMING.lineage_logical("external", table)
    logical = NAMING.lineage_logical("external", asset) if asset else None
    return DatasetFact(name=name, logical=logical, type="TABLE", store="postgres")

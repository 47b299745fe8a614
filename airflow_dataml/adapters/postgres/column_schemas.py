"""The columns of tables, as the catalog has them, by every name that SQL may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

# A table of PostgreSQL is database.schema.table to OpenLineage, and schema.table to who is connected there.
_SCHEMAS = """
SELECT DISTINCT ON (named.name) named.name, s.columns
FROM dataml.asset a JOIN dataml.schema_blob s USING (schema_hash)
CROSS JOIN LATERAL (
  SELECT a.location ->> 'table', 0
  UNION ALL SELECT l.name, 1 FROM dataml.asset_alias l WHERE l.asset_id = a.asset_id
    AND l.namespace NOT IN ('uri', 'asset')
  UNION ALL SELECT regexp_replace(l.name, '^[^.]+\\.', ''), 2 FROM dataml.asset_alias l
    WHERE l.asset_id = a.asset_id AND l.namespace LIKE 'postgres://%%' AND l.name LIKE '%%.%%.%%'
) named (name, rank)
WHERE a.status <> 'deleted' AND a.merged_into IS NULL AND named.name IS NOT NULL
  AND (%s::text[] IS NULL OR named.name = ANY (%s::text[]))
ORDER BY named.name, named.rank, a.asset_id
"""


def schemas_of(connection: Connection, names: Sequence[str] | None = None) -> dict[str, dict[str, str]]:
    """Return table -> column -> type of every table the catalog knows, as a ``ColumnParser`` wants them.

    :param names: these tables alone; all of them cost a row each.
    """
    wanted = None if names is None else list(names)
    rows = connection.rows(_SCHEMAS, [wanted, wanted])
    return {row["name"]: dict(row["columns"]) for row in rows}

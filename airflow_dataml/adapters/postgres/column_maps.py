"""Which columns went into which, content-addressed in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.analyzer import PostgresAnalyzer
from airflow_dataml.core.column_lineage import ColumnMap
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.column_lineage import QueryLineage
    from airflow_dataml.core.datasets import Column


class PostgresColumnMaps:
    """Analysis by the ledger's own database, and the maps of parts; see ``core.column_lineage.ColumnMaps``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._analyzer = PostgresAnalyzer(connection)

    def analyze(
        self,
        query: str,
        *,
        inputs: Mapping[str, Sequence[Column]],
        parameters: Mapping[str, Any] | None = None,
    ) -> QueryLineage:
        """Return the lineage of a query; its inputs are empty temporary tables that are gone afterwards."""
        import psycopg

        if parameters:
            with self._db.errors():
                query = psycopg.ClientCursor(self._db.raw).mogrify(query, dict(parameters))
        found = [one for one in self._analyzer.analyze(query, tables=inputs) if one is not None]
        if not found or found[-1].statement != "select":
            msg = f"a query was expected, received {query[:80]!r}: give one SELECT."
            raise SpecError(msg)
        return found[-1]

    def keep(self, part_id: int, maps: Mapping[int, ColumnMap]) -> None:
        """Remember the maps of a part, once each however often they occur."""
        keep_maps(self._db, list(maps.values()))
        self._db.execute(
            """INSERT INTO dataml.part_columns (part_id, version_id, column_map)
               SELECT %s, version_id, column_map FROM unnest(%s::bigint[], %s::text[]) given (version_id, column_map)
               ON CONFLICT (part_id, version_id) DO UPDATE SET column_map = excluded.column_map""",
            [part_id, list(maps), [one.digest for one in maps.values()]],
        )

    def of_parts(self, part_ids: Sequence[int]) -> dict[int, ColumnMap]:
        """Return the maps of some parts by the version they are from."""
        rows = self._db.rows(
            """SELECT DISTINCT version_id, m.column_map, m.mapping, m.method, m.confidence
               FROM dataml.part_columns JOIN dataml.column_map m USING (column_map)
               WHERE part_id = ANY (%s) ORDER BY 1, 2""",
            [list(part_ids)],
        )
        found: dict[int, list[ColumnMap]] = {}
        for row in rows:
            found.setdefault(row["version_id"], []).append(ColumnMap.from_dict(row))
        return {version: ColumnMap.merged(maps) for version, maps in found.items()}


def keep_maps(db: Connection, maps: Sequence[ColumnMap]) -> None:
    """Write maps that the ledger does not have yet, in the order that lets two writers pass each other."""
    from psycopg.types.json import Jsonb

    unique = sorted({one.digest: one for one in maps}.items())
    if not unique:
        return
    db.execute(
        """INSERT INTO dataml.column_map (column_map, mapping, method, confidence)
           SELECT * FROM unnest(%s::text[], %s::jsonb[], %s::text[], %s::real[]) ON CONFLICT DO NOTHING""",
        [
            [digest for digest, _ in unique],
            [Jsonb(one.mapping) for _, one in unique],
            [one.method for _, one in unique],
            [one.confidence for _, one in unique],
        ],
    )


def inherit_maps(db: Connection, part_id: int, replaced: Sequence[int], inputs: Sequence[int]) -> None:
    """Let a part written anew be made from what those before it were made from."""
    db.execute(
        """INSERT INTO dataml.part_columns (part_id, version_id, column_map)
           SELECT DISTINCT ON (version_id) %s, version_id, column_map FROM dataml.part_columns
           WHERE part_id = ANY (%s) AND version_id = ANY (%s) ORDER BY version_id, part_id DESC
           ON CONFLICT DO NOTHING""",
        [part_id, list(replaced), list(inputs)],
    )

"""The projection with whatever reads SQL here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.core.lineage_sql import SqlReading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.lineage_assets import LineageAssets
    from airflow_dataml.core.column_lineage import ColumnParser
    from airflow_dataml.core.openlineage import ObservedEvent


def projector(connection: Connection, *, parser: ColumnParser | None = None) -> PostgresProjection:
    """Return what turns waiting events into the graph.

    :param parser: reads the SQL of events with the catalog's schemas; without it their own word is taken.
    """
    if parser is None:
        return PostgresProjection(connection)
    reading = SqlReading(parser)

    def amend(events: Sequence[ObservedEvent], assets: LineageAssets) -> Sequence[ObservedEvent]:
        return reading.amend(events, schemas_of=assets.columns)

    return PostgresProjection(connection, amend=amend)
